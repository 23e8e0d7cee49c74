"""The health endpoints, asked over HTTP as an orchestrator asks."""

import asyncio
import socket
from time import monotonic
from typing import Any

import aiohttp
import pytest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from services import __version__
from services._runtime import health
from services._runtime.health import Readiness, health_server
from services._runtime.lifecycle import FatalError
from services._runtime.metrics import Metrics
from services._runtime.settings import ServiceSettings
from services._runtime.supervise import Retry


def any_port() -> ServiceSettings:
    """Settings that take whatever port is free."""
    return ServiceSettings.model_construct(health_port=0)


async def get(port: int, path: str) -> tuple[int, Any]:
    """Status and JSON body."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", timeout=aiohttp.ClientTimeout(5)) as answer,
    ):
        return answer.status, await answer.json()


async def samples(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What `/metrics` says, by name and labels."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", timeout=aiohttp.ClientTimeout(5)) as answer,
    ):
        assert answer.status == 200
        families = text_string_to_metric_families(await answer.text())
    return {(s.name, tuple(s.labels.items())): s.value for f in families for s in f.samples}


async def test_health_says_that_the_process_lives() -> None:
    """Also while nothing is ready."""
    async with health_server("bot", any_port(), Readiness("redis"), Metrics("bot")) as port:
        assert await get(port, "/health") == (200, {"status": "alive", "service": "bot"})


async def test_ready_follows_the_parts_and_gives_the_reasons() -> None:
    """503 with the reason of each part that isn't ready; 200 when all are."""
    readiness = Readiness("redis", "feed")
    async with health_server("bot", any_port(), readiness, Metrics("bot")) as port:

        async def ready() -> tuple[int, dict[str, str]]:
            status, body = await get(port, "/ready")
            assert body["service"] == "bot"
            assert body["ready"] is (status == 200)
            return status, body["parts"]

        assert await ready() == (503, {"redis": "starting", "feed": "starting"})
        readiness.ok("redis")
        readiness.waiting("feed", "no snapshot")
        assert await ready() == (503, {"redis": "ok", "feed": "no snapshot"})
        readiness.ok("feed")
        assert await ready() == (200, {"redis": "ok", "feed": "ok"})
        readiness.waiting("redis", "connection refused")
        assert await ready() == (503, {"redis": "connection refused", "feed": "ok"})


def test_a_part_that_waits_for_no_stated_reason_is_not_called_ok() -> None:
    """The report never says "ok" of what isn't."""
    readiness = Readiness("redis")
    readiness.waiting("redis", "")
    report = readiness.report()
    assert report == {"ready": False, "parts": {"redis": ""}, "blocked": [], "retries": {}}


def test_what_waits_for_a_person_is_named() -> None:
    """Until it works, or waits for something that passes."""
    readiness = Readiness("redis", "feed")
    readiness.waiting("redis", "want noeviction", blocked=True)
    readiness.waiting("feed", "key refused", blocked=True)
    assert readiness.report()["blocked"] == ["feed", "redis"]
    readiness.waiting("redis", "connection refused")
    assert readiness.report()["blocked"] == ["feed"]
    readiness.ok("feed")
    assert readiness.report()["blocked"] == []


async def test_a_retry_is_reported_with_its_attempt_and_the_time_of_the_next() -> None:
    """Until it works, or is known to wait for something else."""
    readiness = Readiness("redis", "feed")
    async with health_server("bot", any_port(), readiness, Metrics("bot")) as port:
        readiness.retrying("redis", Retry("refused", 12, monotonic() + 60.0))
        readiness.waiting("feed", "stale: silent", retry=Retry("silent", 1, monotonic() - 5.0))
        status, body = await get(port, "/ready")
        assert (status, body["parts"]) == (503, {"redis": "refused", "feed": "stale: silent"})
        wait = body["retries"]["redis"].pop("next_try_in")
        assert 50.0 < wait <= 60.0
        assert body["retries"] == {
            "redis": {"cause": "refused", "attempt": 12},
            "feed": {"cause": "silent", "attempt": 1, "next_try_in": 0.0},
        }
        readiness.ok("redis")
        readiness.waiting("feed", "syncing: the socket is new")
        assert (await get(port, "/ready"))[1]["retries"] == {}


def test_a_part_named_late_counts_too() -> None:
    """What reports that it waits is waited for, announced or not."""
    readiness = Readiness()
    assert readiness.ready
    readiness.waiting("late", "just starting")
    assert not readiness.ready


async def test_the_port_is_free_again_afterwards() -> None:
    """The server ends with its block."""
    async with health_server("bot", any_port(), Readiness(), Metrics("bot")) as port:
        pass
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(port, "/health")


async def test_a_taken_port_is_an_error_that_names_the_setting() -> None:
    """And the port, and what would be right."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = ServiceSettings.model_construct(health_port=port)
        with pytest.raises(FatalError, match=f"HEALTH_PORT={port}: .*in use.*expected") as caught:
            async with health_server("bot", settings, Readiness(), Metrics("bot")):
                pass
    assert "0 for any" in str(caught.value)


async def test_an_address_that_is_not_ours_is_an_error_that_names_the_setting() -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    settings = ServiceSettings.model_construct(health_host="192.0.2.1", health_port=0)
    with pytest.raises(FatalError, match=r"HEALTH_HOST=192\.0\.2\.1 "):
        async with health_server("bot", settings, Readiness(), Metrics("bot")):
            pass


async def test_metrics_say_what_runs_and_which_part_does_not_work() -> None:
    """In Prometheus's text format, read by Prometheus's own parser."""
    metrics = Metrics("bot")
    readiness = Readiness("redis", "feed")
    readiness.ok("redis")
    async with health_server("bot", any_port(), readiness, metrics) as port:
        found = await samples(port)
    assert found["ready", ()] == 0
    assert found["part_ready", (("part", "redis"),)] == 1
    assert found["part_ready", (("part", "feed"),)] == 0
    assert found["process_resident_memory_bytes", ()] > 1_000_000
    [build] = [dict(labels) for name, labels in found if name == "build_info"]
    assert build["service"] == "bot"
    assert build["version"] == __version__


async def test_metrics_are_read_when_they_are_asked_for() -> None:
    """So counting costs an addition, and the page is never old."""
    metrics = Metrics("bot")
    seen = 0
    metrics.watch(lambda: [CounterMetricFamily("seen", "What was seen.", value=seen)])
    async with health_server("bot", any_port(), Readiness(), metrics) as port:
        assert (await samples(port))["seen_total", ()] == 0
        seen = 3
        assert (await samples(port))["seen_total", ()] == 3


async def test_who_only_holds_a_connection_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent, or in the middle of a request."""
    monkeypatch.setattr(health, "MAX_CONNECTION_SECONDS", 0.2)
    async with health_server("bot", any_port(), Readiness(), Metrics("bot")) as port:
        for begun in (b"", b"GET /health HTTP/1.1\r\nX-Half: a"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            async with asyncio.timeout(10):
                assert await read_to_the_end(reader) == b""
            writer.close()


async def test_idle_connections_do_not_block_new_ones() -> None:
    """The oldest connection goes for a new one; there are never more than so many."""
    async with health_server("bot", any_port(), Readiness(), Metrics("bot")) as port:
        crowd = [
            await asyncio.open_connection("127.0.0.1", port)
            for _ in range(health.MAX_CONNECTIONS + 1)
        ]
        async with asyncio.timeout(10):
            assert await read_to_the_end(crowd[0][0]) == b""
        status, _ = await get(port, "/health")
        assert status == 200
        async with asyncio.timeout(10):
            assert await read_to_the_end(crowd[1][0]) == b""
        for _, writer in crowd:
            writer.close()


async def read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side ends it, in whatever way."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""
