"""Start everything on this machine: `make run`; with the argument `live`, `make live`."""

import sys

INTERRUPTED = 130

try:
    from services._local.launcher import main

    code = main(live=sys.argv[1:] == ["live"])
except KeyboardInterrupt:  # before the launcher handles signals
    code = INTERRUPTED

raise SystemExit(code)
