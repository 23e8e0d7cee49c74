"""Each run has a folder for Redis's data and the logs; the latest few are kept."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from services._runtime.running_suites import is_running

MAX_RUN_FOLDERS = 5


def fresh_run_folder(data: Path) -> Path:
    """Make a new folder under *data*; delete the oldest folders of finished runs."""
    data.mkdir(parents=True, exist_ok=True)
    finished = [folder for folder in sorted(data.glob("run-*-*")) if not is_running(folder)]
    for folder in finished[: -(MAX_RUN_FOLDERS - 1)]:
        shutil.rmtree(folder, ignore_errors=True)
    folder = data / f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    folder.mkdir()
    return folder
