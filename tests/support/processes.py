"""A service as a real process: started, watched, stopped or killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services._local.parent_death import exit_with_parent

ROOT = Path(__file__).parents[2]
STOP_WITHIN = 10.0


class Service:
    """One running service; `log` is where its stderr goes."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def exited(self) -> bool:
        """True once it has ended."""
        return self.process.returncode is not None

    @property
    def paused(self) -> bool:
        """True while it is stopped by a signal, its own or another's."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:  # it has ended
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if not self.exited:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), STOP_WITHIN)


@asynccontextmanager
async def running(module: str, environment: dict[str, str], folder: Path) -> AsyncIterator[Service]:
    """Run `python -m services.<module>` with only *environment*, in *folder*; ends it after."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{module}.log"
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(*exit_with_parent(), sys.executable, "-m", f"services.{module}"),
            cwd=folder,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            stderr=stderr,
        )
    service = Service(process, log)
    try:
        yield service
    finally:
        if not service.exited:
            process.kill()
            await process.wait()
