"""Start everything on this machine: `python -m services._local`, or `make run`."""

from services._local.launcher import main

raise SystemExit(main())
