"""Where the suites run that `make run` started in a folder, for the tools that look for them."""

import os
from pathlib import Path

import msgspec

FILE = "run.json"


class Run(msgspec.Struct, frozen=True):
    """One suite that runs; `redis_url` is None where it uses a Redis that it was given."""

    redis_url: str | None
    health_urls: dict[str, str]


def note(folder: Path, run: Run) -> None:
    """Write down in a run's *folder* where it runs."""
    (folder / FILE).write_bytes(msgspec.json.encode(run))


def going_on(data: Path) -> list[Run]:
    """The suites under *data* whose launcher still runs, the oldest first."""
    found = []
    for folder in sorted(data.glob("run-*-*")):
        if in_use(folder):
            try:
                found.append(msgspec.json.decode((folder / FILE).read_bytes(), type=Run))
            except (OSError, msgspec.MsgspecError):  # it is just starting
                continue
    return found


def in_use(folder: Path) -> bool:
    """True while the launcher that made a run's folder runs: its process id ends the name."""
    try:
        os.kill(int(folder.name.rpartition("-")[2]), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
