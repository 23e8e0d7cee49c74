"""Each run has a folder of its own for the server's data and the logs; the last few are kept."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

KEPT = 5


def fresh_run_folder(data: Path) -> Path:
    """A new folder under *data*; of those that finished runs left, the oldest are removed."""
    data.mkdir(parents=True, exist_ok=True)
    finished = [folder for folder in sorted(data.glob("run-*-*")) if not _in_use(folder)]
    for folder in finished[: -(KEPT - 1)]:
        shutil.rmtree(folder, ignore_errors=True)
    folder = data / f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    folder.mkdir()
    return folder


def _in_use(folder: Path) -> bool:
    """True while the launcher that made it runs: its process id ends the name."""
    try:
        os.kill(int(folder.name.rpartition("-")[2]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
