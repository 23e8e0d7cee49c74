"""Start everything on this machine: `make run`, and with the argument `live` `make live`."""

import sys

INTERRUPTED = 130

try:
    from services._local.launcher import main

    code = main(live=sys.argv[1:] == ["live"])
except KeyboardInterrupt:  # before the launcher listens to signals
    code = INTERRUPTED

raise SystemExit(code)
