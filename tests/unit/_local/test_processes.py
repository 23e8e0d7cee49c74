"""A part: its end is noticed and explained, its readiness asked for, its stop enforced."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from services._local.processes import (
    ManagedProcess,
    ManagedProcessError,
    describe_exit,
    failure_reason,
)
from tests.support.eventually import eventually


def test_an_exit_code_is_described_in_words() -> None:
    """A negative code is a signal."""
    assert describe_exit(1) == "ended with exit code 1"
    assert describe_exit(-9) == "was killed by SIGKILL"


def test_the_failure_reason_is_the_one_clear_error(tmp_path: Path) -> None:
    """Whatever was logged after it."""
    log = tmp_path / "bot.log"
    failed = {"event": "service_failed", "error": "HEALTH_PORT=80: Permission denied"}
    log.write_text("\n".join(["{}", json.dumps(failed), '{"event": "late"}', "[1]"]))
    assert failure_reason(log) == "HEALTH_PORT=80: Permission denied"


def test_without_a_clear_error_the_last_lines_are_shown(tmp_path: Path) -> None:
    """A crash of the interpreter leaves text; some leave nothing."""
    log = tmp_path / "bot.log"
    assert failure_reason(log) == "there is no log"
    log.write_text("\n".join(f"line {n}" for n in range(9)))
    assert failure_reason(log) == "\n  ".join(f"line {n}" for n in range(4, 9))


def not_ready(*blocked: str, **parts: str) -> dict[str, object]:
    """A `/ready` of the bot; *parts* say "ok" or why not."""
    ready = all(why == "ok" for why in parts.values())
    return {"service": "bot", "ready": ready, "parts": parts, "blocked": list(blocked)}


class Endpoint:
    """A `/ready` that answers what it is told to."""

    answer: object = None
    port = 0

    async def serve(self, _: web.Request) -> web.Response:
        """The handler."""
        return web.json_response(self.answer, status=503)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """A served `Endpoint`."""
    endpoint = Endpoint()
    app = web.Application()
    app.add_routes([web.get("/ready", endpoint.serve)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.port = runner.addresses[0][1]
    yield endpoint
    await runner.cleanup()


async def test_it_waits_until_a_part_is_ready(endpoint: Endpoint, tmp_path: Path) -> None:
    """Not a moment longer."""
    part = ManagedProcess("bot", endpoint.port, tmp_path)
    endpoint.answer = not_ready(redis="away")
    async with aiohttp.ClientSession() as http:
        waiting = asyncio.create_task(part.until_ready(http, within=20.0))
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done()
        endpoint.answer = not_ready(redis="ok")
        await waiting


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            {
                "service": "bot",
                "ready": False,
                "parts": {"redis": "away", "x": "ok", "y": "no"},
                "blocked": [],
            },
            "redis: away; y: no",
        ),
        (not_ready() | {"service": "another"}, "is answered by something else"),
        ("nonsense", "is answered by something else"),
    ],
)
async def test_the_parts_that_are_not_ready_are_named_after_the_timeout(
    endpoint: Endpoint, tmp_path: Path, answer: object, reason: str
) -> None:
    """A program that isn't ours on that port doesn't count."""
    endpoint.answer = answer
    part = ManagedProcess("bot", endpoint.port, tmp_path)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ManagedProcessError, match=f"^bot isn't ready after 0 s: .*{reason}"):
            await part.until_ready(http, within=0.3)


async def test_a_blocked_part_is_an_error_at_once(endpoint: Endpoint, tmp_path: Path) -> None:
    """A Redis with wrong settings doesn't mend itself."""
    endpoint.answer = not_ready("redis_settings", redis_settings="want noeviction", feed="starting")
    part = ManagedProcess("bot", endpoint.port, tmp_path)
    async with aiohttp.ClientSession() as http, asyncio.timeout(5):
        with pytest.raises(
            ManagedProcessError, match="can't work: redis_settings: want noeviction\n"
        ):
            await part.until_ready(http, within=60.0)


@pytest.mark.parametrize("plugins", ["strategies", "indicators"])
async def test_a_plugin_that_failed_holds_nothing_up(
    endpoint: Endpoint, tmp_path: Path, plugins: str
) -> None:
    """The others go on without it."""
    endpoint.answer = not_ready(plugins, **{plugins: "stopped: mine: ValueError", "redis": "ok"})
    part = ManagedProcess("bot", endpoint.port, tmp_path)
    async with aiohttp.ClientSession() as http:
        await part.until_ready(http, within=5.0)


async def test_a_process_that_does_not_answer_is_reported_as_such(tmp_path: Path) -> None:
    """Nothing listens there."""
    part = ManagedProcess("bot", 1, tmp_path)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ManagedProcessError, match=r":1/ready gives no answer"):
            await part.until_ready(http, within=0.2)


def a_service(folder: Path, code: str) -> ManagedProcess:
    """A part that runs this; only `start` needs to be given its PYTHONPATH."""
    package = folder / "services" / "ours"
    package.mkdir(parents=True)
    (folder / "services" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(code)
    return ManagedProcess("ours", 1, folder)


async def test_a_reload_does_not_count_as_an_exit(tmp_path: Path) -> None:
    """The next process has the same environment; its own end is told as always."""
    code = "import os, time\nprint('run', os.environ['WORD'], flush=True)\ntime.sleep(600)\n"
    part = a_service(tmp_path, code)
    await part.start({"PYTHONPATH": str(tmp_path), "WORD": "same"})
    wait_for_exit = asyncio.create_task(part.wait_for_exit())
    await eventually(lambda: part.log.read_text().count("run same") == 1)
    await part.reload()
    await eventually(lambda: part.log.read_text().count("run same") == 2)
    await part.restart()  # it runs: nothing to do
    assert not wait_for_exit.done()
    await part.stop()
    assert await wait_for_exit == -signal.SIGTERM
    assert part.log.read_text().count("run same") == 2


async def test_a_part_that_hangs_is_made_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it started goes with it."""
    monkeypatch.setattr("services._local.processes.STOP_TIMEOUT", 0.2)
    part = a_service(
        tmp_path,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(600)\n",
    )
    await part.start({"PYTHONPATH": str(tmp_path)})
    wait_for_exit = asyncio.create_task(part.wait_for_exit())
    await eventually(lambda: "deaf" in part.log.read_text())
    await part.stop()
    assert await wait_for_exit == -signal.SIGKILL
    await part.stop()
