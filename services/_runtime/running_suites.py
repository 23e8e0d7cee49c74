"""Where the suites run that `make run` started in a folder, for the tools that look for them."""

import os
from pathlib import Path

import msgspec

SUITE_RECORD = "run.json"


class RunningSuite(msgspec.Struct, frozen=True):
    """One suite that runs; `redis_url` is None where it uses a Redis that it was given."""

    redis_url: str | None
    health_urls: dict[str, str]


def record_suite(folder: Path, run: RunningSuite) -> None:
    """Write down in a run's *folder* where it runs."""
    (folder / SUITE_RECORD).write_bytes(msgspec.json.encode(run))


def find_running_suites(data: Path) -> list[RunningSuite]:
    """The suites under *data* whose launcher still runs, the oldest first."""
    found = []
    for folder in sorted(data.glob("run-*-*")):
        if is_running(folder):
            try:
                found.append(
                    msgspec.json.decode((folder / SUITE_RECORD).read_bytes(), type=RunningSuite)
                )
            except (OSError, msgspec.MsgspecError):  # it is just starting
                continue
    return found


def is_running(folder: Path) -> bool:
    """True while the launcher that made a run's folder runs: its process id ends the name."""
    try:
        os.kill(int(folder.name.rpartition("-")[2]), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
