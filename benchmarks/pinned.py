"""Processes with a core of their own, and what they use."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from services._local.parent_death import exit_with_parent

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
STOP_WITHIN = 5.0


def cores() -> tuple[int, int]:
    """The core of the process under test, and the one of everything else.

    On a machine with one core they are the same.
    """
    free = sorted(os.sched_getaffinity(0))
    return free[-1], free[0]


def pin(core: int) -> None:
    """Keep this process, and all it starts, on one core."""
    os.sched_setaffinity(0, {core})


class Pinned:
    """One running process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.log = log
        self._process = process

    @property
    def exited(self) -> bool:
        """True once it has ended."""
        return self._process.poll() is not None

    def cpu_seconds(self) -> float:
        """What it has used so far, all threads, user and system."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self) -> int:
        """The memory it has resident now."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def log_end(self) -> str:
        """The last of what it said."""
        return self.log.read_text(errors="replace")[-1500:]


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], core: int, folder: Path
) -> Iterator[Pinned]:
    """Run *command* in *folder* on one core, with only *environment*; ends it after."""
    log = folder / "output.log"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*exit_with_parent(), *_pinned(core), *command],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield Pinned(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pinned(core: int) -> list[str]:
    """What to put before a command so that it, and its threads, are born on that core."""
    code = (
        "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])});"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", code, str(core)]
