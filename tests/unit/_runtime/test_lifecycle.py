"""How a service starts and ends, as real processes that get real signals."""

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

# Each test gives the body of `serve`; "up" on stdout says that it runs.
PROGRAM = """
import asyncio
from services._runtime import lifecycle
from services._runtime.lifecycle import FatalError
from services._runtime.settings import ServiceSettings

async def serve(settings):
    print("up", flush=True)
{body}

lifecycle.STOP_WITHIN = {stop_within}
raise SystemExit(lifecycle.run("tested", ServiceSettings, serve))
"""
WAIT = "await asyncio.Event().wait()"


@dataclass
class Service:
    """A running service."""

    process: asyncio.subprocess.Process

    async def says(self) -> str:
        """The next line of its stdout."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 20)
        return line.decode().strip()

    async def asked(self, line: str) -> str:
        """What it says after it was given *line* on its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        return await self.says()

    async def up(self) -> None:
        """Wait until `serve` runs."""
        assert await self.says() == "up"

    async def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Its exit code, and its log lines."""
        _, stderr = await asyncio.wait_for(self.process.communicate(), 20)
        assert self.process.returncode is not None
        return self.process.returncode, [json.loads(line) for line in stderr.splitlines()]


@asynccontextmanager
async def service(
    folder: Path, body: str = WAIT, *, stop_within: float = 4.5, **environment: str
) -> AsyncIterator[Service]:
    """A service whose `serve` is *body*, in its own process."""
    indented = "\n".join(f"    {line}" for line in dedent(body).strip().splitlines())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM.format(body=indented, stop_within=stop_within)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), **environment},
    )
    try:
        yield Service(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def events(log: list[dict[str, Any]], level: str = "info") -> list[str]:
    """The names of a level's events."""
    return [line["event"] for line in log if line["level"] == level]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """What `serve` opened is closed, the exit code is 0, and it takes less than 5 seconds."""
    body = f"""
        try:
            {WAIT}
        finally:
            print("closed", flush=True)
    """
    async with service(tmp_path, body) as running:
        await running.up()
        asked = time.monotonic()
        running.process.send_signal(number)
        assert await running.says() == "closed"
        code, log = await running.end()
    assert code == 0
    assert time.monotonic() - asked < 5.0
    assert events(log) == ["service_started", "service_stopping", "service_stopped"]
    assert log[1]["signal"] == number.name
    assert events(log, "error") == []


async def test_more_signals_change_nothing(tmp_path: Path) -> None:
    """An impatient second Ctrl-C doesn't break the clean stop."""
    body = f"""
        try:
            {WAIT}
        finally:
            print("closing", flush=True)
            print(await asyncio.to_thread(input), flush=True)
    """
    async with service(tmp_path, body) as running:
        await running.up()
        running.process.send_signal(signal.SIGINT)
        assert await running.says() == "closing"
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        assert await running.asked("closed") == "closed"
        code, log = await running.end()
    assert code == 0
    assert events(log).count("service_stopping") == 1


async def test_a_failure_is_exit_1_with_one_error_event(tmp_path: Path) -> None:
    """Nobody foresaw it, so there is a traceback, without local variables."""
    body = """
        async def part():
            key = "hunter2-" + "canary"
            raise ValueError("a bug")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(part())
            tasks.create_task(asyncio.Event().wait())
    """
    async with service(tmp_path, body) as running:
        code, log = await running.end()
    assert code == 1
    assert events(log, "error") == ["service_failed"]
    assert log[-1]["error"] == "ValueError('a bug')"
    assert log[-1]["exception"][0]["exc_type"] == "ValueError"
    assert "hunter2-canary" not in json.dumps(log)


async def test_a_fatal_error_is_its_message_and_no_traceback(tmp_path: Path) -> None:
    """However deep in task groups it was raised, and only once if several parts say the same."""
    body = """
        async def fatal():
            raise FatalError("BINANCE_SYMBOLS=X: want BTC/USDT")
        async with asyncio.TaskGroup() as outer:
            outer.create_task(fatal())
            async with asyncio.TaskGroup() as inner:
                inner.create_task(fatal())
    """
    async with service(tmp_path, body) as running:
        code, log = await running.end()
    assert code == 1
    assert events(log, "error") == ["service_failed"]
    assert log[-1]["error"] == "BINANCE_SYMBOLS=X: want BTC/USDT"
    assert "exception" not in log[-1]


@pytest.mark.parametrize("body", ["return", "raise asyncio.CancelledError"])
async def test_a_service_that_ends_unasked_has_failed(body: str, tmp_path: Path) -> None:
    """By returning or by cancelling itself: one error, exit code 1."""
    async with service(tmp_path, body) as running:
        code, log = await running.end()
    assert code == 1
    assert events(log, "error") == ["service_failed"]
    assert "without being asked" in log[-1]["error"]


async def test_a_failure_while_stopping_is_not_hidden(tmp_path: Path) -> None:
    """Asked to stop, but it broke: exit code 1."""
    body = f"""
        try:
            {WAIT}
        finally:
            raise OSError("disk is full")
    """
    async with service(tmp_path, body) as running:
        await running.up()
        running.process.terminate()
        code, log = await running.end()
    assert code == 1
    assert events(log, "error") == ["service_failed"]
    assert "disk is full" in log[-1]["error"]


async def test_settings_that_cant_be_used_are_a_line_on_stderr_and_exit_1(tmp_path: Path) -> None:
    """`serve` never runs."""
    async with service(tmp_path, HEALTH_PORT="http") as running:
        stdout, stderr = await asyncio.wait_for(running.process.communicate(), 20)
    assert running.process.returncode == 1
    assert stdout == b""
    (line,) = stderr.decode().splitlines()
    assert line.startswith("tested: settings: HEALTH_PORT='http': ")


HANGS = {
    "swallows the cancellation": """
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
    """,
    "hangs while closing": """
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()
    """,
    "leaves a thread behind": """
        import time
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
        await asyncio.Event().wait()
    """,
}


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
async def test_a_stop_that_hangs_is_ended_by_force(body: str, tmp_path: Path) -> None:
    """After STOP_WITHIN, with an error that says so and exit code 1."""
    async with service(tmp_path, body, stop_within=0.3) as running:
        await running.up()
        running.process.terminate()
        code, log = await running.end()
    assert code == 1
    assert events(log, "error") == ["stop_took_too_long"]


async def test_a_failure_isnt_held_up_by_a_thread(tmp_path: Path) -> None:
    """Nobody asked it to stop, but it ends all the same."""
    body = """
        import time
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
        raise FatalError("bad key")
    """
    async with service(tmp_path, body, stop_within=0.3) as running:
        code, log = await running.end()
    assert code == 1
    assert events(log, "error")[0] == "service_failed"
