"""Start everything on this machine: `python -m services._local`, or `make run`."""

INTERRUPTED = 130

try:
    from services._local.launcher import main

    code = main()
except KeyboardInterrupt:  # before the launcher listens to signals
    code = INTERRUPTED

raise SystemExit(code)
