"""A terminal of so many columns and rows, on which tradectl runs."""

import asyncio
import fcntl
import os
import re
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.tradectl.hand import TRADECTL
from tests.support.eventually import eventually_async
from tests.support.processes import ROOT

# What steers a terminal: colours, the cursor, what is erased.
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
END_WITHIN = 60.0


@dataclass
class Terminal:
    """What was written to it so far."""

    process: asyncio.subprocess.Process
    written: bytes = b""

    @property
    def text(self) -> str:
        """All of it, without what steers a terminal."""
        return STEERING.sub("", self.written.decode("utf-8", "replace")).replace("\r", "")

    async def until(self, words: str) -> None:
        """Wait until these were written."""

        async def there() -> bool:
            return words in self.text

        try:
            await eventually_async(there, within=END_WITHIN)
        except AssertionError:
            raise AssertionError(f"{words!r} isn't in {self.text[-2000:]!r}") from None

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(END_WITHIN):
            return await self.process.wait()


@asynccontextmanager
async def on_terminal(
    folder: Path,
    redis_url: str,
    *arguments: str,
    columns: int = 80,
    rows: int = 50,
    kind: str = "xterm",
) -> AsyncIterator[Terminal]:
    """`tradectl ARGUMENTS` there, in its foreground; killed if it hasn't ended after."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    try:
        process = await asyncio.create_subprocess_exec(
            *TRADECTL,
            *arguments,
            cwd=folder,
            env={**inherited, "PYTHONPATH": str(ROOT), "REDIS_URL": redis_url, "TERM": kind},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
    finally:
        os.close(slave)
    terminal = Terminal(process)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            terminal.written += os.read(master, 65536)
        except BlockingIOError:
            return
        except OSError:  # the other side is closed
            loop.remove_reader(master)

    loop.add_reader(master, read)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        loop.remove_reader(master)
        os.close(master)
