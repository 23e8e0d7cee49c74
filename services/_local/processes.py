"""Processes of the launcher: starts, polls and stops them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from services._local.parent_death import exit_with_parent
from services._local.settings import HOST

# In seconds: a service stops by itself within five.
STOP_TIMEOUT = 6.0
READY_REQUEST_TIMEOUT = 2.0
READY_POLL_INTERVAL = 0.1
LOG_LINES_SHOWN = 5
# Parts that the user's own code may block; the other parts work without them.
PLUGINS = frozenset({"strategies", "indicators"})


class ManagedProcessError(Exception):
    """A process ended, or did not become ready; the message says which and why."""


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


class ManagedProcess:
    """One service as a child process; its log is the file `<folder>/<name>.log`."""

    def __init__(self, name: str, health_port: int, folder: Path) -> None:
        self.name = name
        self.health_port = health_port
        self.log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._environment: Mapping[str, str] = {}
        self._started = asyncio.Event()
        self._changing = asyncio.Lock()  # held while the process is replaced

    @property
    def url(self) -> str:
        """The base URL of its health server."""
        return f"http://{HOST}:{self.health_port}"

    @property
    def pid(self) -> int | None:
        """Its process id; None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def ready_url(self) -> str:
        """The URL of its readiness."""
        return f"{self.url}/ready"

    async def start(self, environment: Mapping[str, str]) -> None:
        """Run `python -m services.<name>` in its log folder, which has no `.env`."""
        self._environment = environment
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*exit_with_parent(), sys.executable, "-m", f"services.{self.name}"),
                cwd=self.log.parent,
                env={**environment, "HEALTH_PORT": str(self.health_port)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the launcher
            )
        self._started.set()

    async def wait_for_exit(self) -> int:
        """Wait until it has exited, other than for a reload; return its exit code."""
        await self._started.wait()
        while True:
            process = self._process
            code = -1 if process is None else await process.wait()
            async with self._changing:
                if process is self._process:
                    return code

    async def restart(self) -> None:
        """Start it again with the same environment, unless it runs."""
        async with self._changing:
            if self._process is None or self._process.returncode is not None:
                await self.start(self._environment)

    async def reload(self) -> None:
        """Stop it, and start it again with the same environment."""
        async with self._changing:
            await self.stop()
            await self.start(self._environment)

    async def until_ready(self, http: aiohttp.ClientSession, within: float) -> None:
        """Poll until it is ready; failed plugins are ignored.

        Raises:
            ManagedProcessError: it is not ready after *within* seconds, or a part is blocked; the
                message names the parts that are not ready.
        """
        reason = "it was not polled"
        try:
            async with asyncio.timeout(within):
                while True:
                    reason = await self._why_not_ready(http)
                    if not reason:
                        return
                    await asyncio.sleep(READY_POLL_INTERVAL)
        except TimeoutError:
            raise ManagedProcessError(
                f"{self.name} isn't ready after {within:.0f} s: {reason}"
            ) from None

    async def _why_not_ready(self, http: aiohttp.ClientSession) -> str:
        """Why it is not ready; empty if it is.

        Raises:
            ManagedProcessError: a part is blocked until the user changes something.
        """
        try:
            async with http.get(
                self.ready_url, timeout=aiohttp.ClientTimeout(total=READY_REQUEST_TIMEOUT)
            ) as response:
                report: Any = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as e:
            return f"{self.ready_url} gives no answer ({e.__class__.__name__})"
        if not isinstance(report, dict) or report.get("service") != self.name:
            return f"{self.ready_url} is answered by something else"
        failed = PLUGINS.intersection(report["blocked"])
        waiting = {p: why for p, why in report["parts"].items() if why != "ok" and p not in failed}
        for part in waiting.keys() & set(report["blocked"]):
            raise ManagedProcessError(
                f"{self.name} can't work: {part}: {waiting[part]}\n  Its log: {self.log}"
            )
        return "; ".join(f"{part}: {why}" for part, why in waiting.items())

    async def stop(self) -> None:
        """Send SIGTERM to its process group; after `STOP_TIMEOUT` seconds, SIGKILL."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def failure_reason(log: Path) -> str:
    """Why a service failed, from its log: the `service_failed` error, or the last lines."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in reversed(lines):
        record = parse_log_line(line)
        if record.get("event") == "service_failed":
            return str(record.get("error"))
    return "\n  ".join(lines[-LOG_LINES_SHOWN:]) or "there is no log"


def parse_log_line(line: str) -> dict[str, Any]:
    """The fields of a log line; empty if it is not a JSON object."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
