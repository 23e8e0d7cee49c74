"""Run `make run` on a terminal of its own, and keep what it shows as a picture: `make picture`."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.picture.terminal import Terminal, svg

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "make-run.svg"
COLUMNS, LINES = 100, 48
# The same markets in each picture, though not the same second of them.
SEED = "7"


def main() -> int:
    """0 once the picture is written; 1 where `make run` ended before."""
    parser = argparse.ArgumentParser(prog="python -m tests.picture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="from the start to the picture")
    seconds = parser.parse_args().seconds
    terminal = Terminal(COLUMNS, LINES)
    # The launcher reads no setting of ours but these, and its own defaults.
    environment = {
        "PATH": os.environ["PATH"],
        "TERM": "xterm-256color",
        "TZ": "UTC",
        "SIMULATOR_SEED": SEED,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "services._local"],
        cwd=ROOT,
        env=environment,
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        start_new_session=True,
    ) as run:
        try:
            terminal.read_for(seconds, while_=lambda: run.poll() is None)
            ended = run.poll()
            shown = terminal.shown()
        finally:
            run.send_signal(signal.SIGINT)
            terminal.read_for(20, while_=lambda: run.poll() is None)
    if ended is not None:
        sys.stderr.write(f"make run ended with {ended}:\n{shown.plain}\n")
        return 1
    PICTURE.write_text(svg(shown, COLUMNS, "make run"))
    sys.stdout.write(f"{PICTURE}, as it was after {seconds:g} s, {time.strftime('%Y-%m-%d')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
