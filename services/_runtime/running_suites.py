"""Records of the suites that `make run` started in a folder, so that tools find them."""

import os
from pathlib import Path

import msgspec

SUITE_RECORD = "run.json"


class RunningSuite(msgspec.Struct, frozen=True):
    """A running suite; `redis_url`: None if the user chose the Redis."""

    redis_url: str | None
    health_urls: dict[str, str]


def record_suite(folder: Path, run: RunningSuite) -> None:
    """Write the record of a suite to the folder of its run."""
    (folder / SUITE_RECORD).write_bytes(msgspec.json.encode(run))


def find_running_suites(data: Path) -> list[RunningSuite]:
    """The suites under *data* whose launcher still runs, oldest first."""
    found = []
    for folder in sorted(data.glob("run-*-*")):
        if is_running(folder):
            try:
                found.append(
                    msgspec.json.decode((folder / SUITE_RECORD).read_bytes(), type=RunningSuite)
                )
            except (OSError, msgspec.MsgspecError):  # the suite is starting
                continue
    return found


def is_running(folder: Path) -> bool:
    """Whether the launcher of a run still runs; the folder's name ends with its process id."""
    try:
        os.kill(int(folder.name.rpartition("-")[2]), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
