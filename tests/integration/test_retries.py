"""A connector that can't reach its exchange or Redis goes on trying, and says so everywhere."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream, connector
from services._local.redis_server import RedisServer
from services._runtime import fault_explanations
from services._runtime.fault_explanations import FaultExplanation
from tests.integration.tradectl.hand import tradectl
from tests.support.eventually import eventually_async
from tests.support.network.company_proxy import certificate, in_tls, server_context
from tests.support.ports import quiet_port
from tests.support.processes import ROOT, Service, running
from tests.support.venues.simulated import (
    BINANCE,
    LUNO,
    LUNO_WITHOUT_KEY,
    VENUES,
    Venue,
    is_ready,
    report,
    simulator,
)

both_venues = pytest.mark.parametrize(
    "venue", [BINANCE, LUNO_WITHOUT_KEY], ids=lambda venue: venue.exchange
)


async def retries(health_port: int) -> dict[str, Any]:
    """What `/ready` says of it."""
    found: dict[str, Any] = (await report(health_port))[1].get("retries", {})
    return found


async def told(redis: Redis, venue: Venue) -> ConnectorStatusEvent | None:
    """The newest `connector_status`."""
    entries: Any = await redis.xrevrange(
        str(EventStream(connector(venue.exchange), "connector_status")), count=1
    )
    if not entries:
        return None
    return ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])


async def container_check(health_port: int) -> tuple[int, str]:
    """How the check of docker-compose.yml ends, and what it says."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    kind, _, *arguments = compose["services"][BINANCE.module]["healthcheck"]["test"]
    assert kind == "CMD"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env={"PATH": os.environ["PATH"], "HEALTH_PORT": str(health_port)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, said.decode()


@asynccontextmanager
async def unreachable(
    venue: Venue, address: str, redis_url: str, folder: Path
) -> AsyncIterator[tuple[Service, int]]:
    """The connector as a process whose exchange is at *address*, and its health port."""
    port = quiet_port()
    environment = {
        **venue.environment(1, redis_url, port),
        "BINANCE_REST_URL": f"https://{address}/api",
        "BINANCE_STREAM_URL": f"wss://{address}",
        "BINANCE_WS_API_URL": f"wss://{address}/ws-api/v3",
        "LUNO_REST_URL": f"https://{address}",
        "LUNO_STREAM_URL": f"wss://{address}",
    }
    async with running(venue.module, environment, folder) as service:
        yield service, port


def logged(service: Service, event: str) -> list[dict[str, Any]]:
    """The lines of its log that say *event*."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


@both_venues
@pytest.mark.parametrize(
    ("host", "cause", "explanation"),
    [
        ("no-such-exchange.invalid", "can't resolve {} (DNS)", fault_explanations.NO_NAME),
        ("127.0.0.2:{port}", "{} refuses the connection", fault_explanations.UNREACHABLE),
    ],
    ids=["DNS", "refused"],
)
async def test_an_exchange_that_is_not_reached_is_tried_again_visibly(
    venue: Venue,
    host: str,
    cause: str,
    explanation: FaultExplanation,
    redis_server: RedisServer,
    redis: Redis,
    tmp_path: Path,
) -> None:
    """By number and time on `/ready`, in `connector_status`, in the log and at the doctor."""
    address = host.format(port=quiet_port())
    words = cause.format(address)
    async with unreachable(venue, address, redis_server.url, tmp_path) as (service, port):

        async def third() -> bool:
            return int((await retries(port)).get("exchange", {}).get("attempt", 0)) >= 3

        await eventually_async(third, within=40.0)
        said = (await retries(port))["exchange"]
        assert words in said["cause"]
        assert 0 <= said["next_try_in"] <= 5
        assert (await report(port))[1]["parts"]["exchange"] == said["cause"]

        async def published() -> bool:
            event = await told(redis, venue)
            return event is not None and event.retries.get("exchange") is not None

        await eventually_async(published)
        event = await told(redis, venue)
        assert event is not None
        assert words in event.not_ready["exchange"]
        assert event.retries["exchange"].attempt >= 2
        assert event.retries["exchange"].next_try_in <= 5

        first = logged(service, "start_waits")[0]
        assert words in first["error"]
        assert first["attempt"] == 1
        assert first["next_try_in"] <= 0.5
        doctor = await tradectl(redis_server.url, "doctor", "--json")
        (check,) = [c for c in doctor.json if c["check"] == f"{venue.module} exchange"]
        assert words in check["what"]
        assert "(attempt " in check["what"]
        assert "next try in " in check["what"]
        assert check["fix"] == explanation.remedy
        status = await tradectl(
            redis_server.url, "status", HEALTH_URLS=f"{venue.module}=http://127.0.0.1:{port}"
        )
        assert "next try in" in " ".join(status.out.split())

        # It lives, and goes on trying; the engine is told that it isn't well, and why.
        code, output = await container_check(port)
        assert code == 1
        assert words in output
        assert (await report(port, "/health"))[0] == 200
        assert not service.exited
        before = (await retries(port))["exchange"]["attempt"]

        async def goes_on() -> bool:
            return int((await retries(port))["exchange"]["attempt"]) > int(before)

        await eventually_async(goes_on)
        assert await service.end() == 0


@both_venues
async def test_tls_that_is_not_trusted_is_tried_again_visibly(
    venue: Venue, redis_server: RedisServer, tmp_path: Path
) -> None:
    """A proxy that opens TLS, before anything is known of the exchange."""
    context = server_context(certificate(tmp_path, "IP:127.0.0.1"))
    async with (
        in_tls(quiet_port(), context) as tls,
        unreachable(venue, f"127.0.0.1:{tls}", redis_server.url, tmp_path) as (_, port),
    ):

        async def says_so() -> bool:
            said = (await retries(port)).get("exchange", {"cause": "", "attempt": 0})
            words = f"no trusted TLS with 127.0.0.1:{tls}"
            return words in str(said["cause"]) and int(said["attempt"]) >= 2

        await eventually_async(says_so)


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
async def test_an_exchange_and_a_redis_that_go_later_are_tried_again_visibly(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Each by its own number; healthy again by itself once they are back."""
    exchange, health = quiet_port(), quiet_port()
    environment = venue.environment(exchange, redis_server.url, health)

    async def ready() -> bool:
        return await is_ready(health)

    async def feeds_retry() -> bool:
        found = await retries(health)
        feeds = [found.get(f"feed {symbol}", {}) for symbol in venue.symbols]
        return all(each.get("attempt", 0) >= 2 for each in feeds)

    async def redis_retries() -> bool:
        found = (await retries(health)).get("redis", {"cause": "", "attempt": 0})
        return "Redis can't be reached" in found["cause"] and found["attempt"] >= 2

    async def symbols_told() -> bool:
        event = await told(redis, venue)
        return event is not None and all(each.retry for each in event.symbols)

    async def nothing_told() -> bool:
        event = await told(redis, venue)
        return event is not None and not any(each.retry for each in event.symbols)

    async with running(venue.module, environment, tmp_path):
        async with simulator(exchange, tmp_path / "1"):
            await eventually_async(ready)
            assert await container_check(health) == (0, "")
            assert await retries(health) == {}
        await eventually_async(feeds_retry)
        await eventually_async(symbols_told)
        assert (await container_check(health))[0] == 1
        async with simulator(exchange, tmp_path / "2"):
            await eventually_async(ready)
            await eventually_async(nothing_told)
            await redis_server.stop()
            await eventually_async(redis_retries)
            assert (await container_check(health))[0] == 1
            await redis_server.start()
            await eventually_async(ready)
            assert await retries(health) == {}


async def test_a_redis_that_is_not_there_at_the_start_is_tried_again_visibly(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """By each service that needs it."""
    await redis_server.stop()
    exchange, ports = quiet_port(), {name: quiet_port() for name in ("luno_connector", "bot")}
    given = LUNO.environment(exchange, redis_server.url, 0)

    async def all_try() -> bool:
        found = [(await retries(port)).get("redis", {}) for port in ports.values()]
        return all(each.get("attempt", 0) >= 2 for each in found)

    async def all_reach_it() -> bool:
        bodies = [(await report(port))[1] for port in ports.values()]
        parts = [body.get("parts", {}).get("redis") for body in bodies]
        return parts == ["ok", "ok"] and not any("redis" in body["retries"] for body in bodies)

    connecting, deciding = ({**given, "HEALTH_PORT": str(port)} for port in ports.values())
    async with (
        simulator(exchange, tmp_path),
        running("luno_connector", connecting, tmp_path),
        running("bot", deciding, tmp_path),
    ):
        await eventually_async(all_try)
        await redis_server.start()
        await eventually_async(all_reach_it)
