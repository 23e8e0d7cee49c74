"""`make run`'s launcher as a person starts it, and what it started."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.processes import ROOT

READY_WITHIN = 90.0
END_WITHIN = 30.0

# What a person may have lying about, and what must never reach the simulated run.
REAL_SECRETS = "BINANCE_API_KEY=real\nLUNO_API_KEY_ID=real\nMARKET_DATA_MAXLEN=real\n"


class Run:
    """One launcher; `folder` is where it was started, `out` and `err` what it printed."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.children: dict[str, int] = {}

    @property
    def out(self) -> str:
        """What it told the person so far."""
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it complained of so far."""
        return (self.folder / "err").read_text()

    @property
    def redis_port(self) -> int:
        """The port that it tells the person to look at."""
        found = re.search(r"redis-cli -p (\d+) XREAD", self.out)
        assert found, self.out
        return int(found[1])

    async def until_ready(self) -> None:
        """Wait until it says that it is ready, and note the processes that it runs."""
        await eventually(
            lambda: "Ready after" in self.out or self.process.returncode is not None, READY_WITHIN
        )
        assert "Ready after" in self.out, self.err
        self.children = children_of(self.process.pid)

    async def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if any, and wait for its end; the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), END_WITHIN)

    @property
    def left(self) -> dict[str, int]:
        """Processes it started that still live."""
        return {name: pid for name, pid in self.children.items() if _lives(pid)}


@asynccontextmanager
async def launched(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[Run]:
    """Start the launcher in *folder*, where a `.env` lies; the end of the block stops it."""
    (folder / ".env").write_text(REAL_SECRETS)
    (folder / "config.cfg").write_text("[luno]\napi_key_id = real\napi_secret_key = real\n")
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services._local", *arguments),
            cwd=folder,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            stdout=out,
            stderr=err,
        )
    run = Run(process, folder)
    try:
        yield run
    finally:
        if process.returncode is None:
            await run.end(signal.SIGTERM)


def children_of(parent: int) -> dict[str, int]:
    """The processes that *parent* started: the service's or the program's name, and its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text(errors="replace").split("\0")
        except OSError:  # it has just ended
            continue
        if int(status[1]) == parent:
            service = next((word for word in command if word.startswith("services.")), command[0])
            found[service.removeprefix("services.").rpartition("/")[2]] = int(folder.name)
    return found


def environment_of(pid: int) -> dict[str, str]:
    """What a running process was given."""
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
