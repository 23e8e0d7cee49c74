"""`python -m tests.scaffold NAME [TITLE]`: add an exchange to this working tree."""

import sys

from tests.scaffold.new_exchange import add_exchange
from tests.support.processes import ROOT

name, *title = sys.argv[1:]
written = add_exchange(ROOT, name, title[0] if title else name.capitalize())
sys.stdout.write("".join(f"{path.relative_to(ROOT)}\n" for path in written))
sys.stdout.write("What to implement, in order: docs/adding_an_exchange.md\n")
