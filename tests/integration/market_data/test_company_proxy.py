"""Both connectors behind a company's proxy: the exchanges' names are known to the proxy alone."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.fault_explanations import NO_NAME, PROXY
from tests.support.eventually import eventually_async
from tests.support.network.company_proxy import (
    CompanyProxy,
    certificate,
    company_proxy,
    in_tls,
    server_context,
)
from tests.support.orders.trading import MARKETS, Market
from tests.support.ports import quiet_port
from tests.support.processes import Service, running
from tests.support.venues.simulated import all_move_on, report, simulator

HOSTS = {
    "binance": {"api.binance.test:443", "stream.binance.test:9443", "ws-api.binance.test:443"},
    "luno": {"api.luno.test:443", "ws.luno.test:443"},
}
URLS = {
    "BINANCE_REST_URL": "https://api.binance.test/api",
    "BINANCE_STREAM_URL": "wss://stream.binance.test:9443",
    "BINANCE_WS_API_URL": "wss://ws-api.binance.test/ws-api/v3",
    "LUNO_REST_URL": "https://api.luno.test",
    "LUNO_STREAM_URL": "wss://ws.luno.test",
}
PASSWORD = "s3cret/@pass"

both_markets = pytest.mark.parametrize("market", MARKETS, ids=lambda m: m.venue.exchange)


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[tuple[CompanyProxy, Path]]:
    """The exchanges, a proxy that leads to them, and the file of the authority they trust."""
    certified = certificate(folder, "DNS:*.binance.test", "DNS:*.luno.test")
    port = quiet_port()
    async with (
        simulator(port, folder / "simulator"),
        in_tls(port, server_context(certified)) as secure,
        company_proxy(secure, user="ann", password=PASSWORD) as proxy,
    ):
        yield proxy, certified


@asynccontextmanager
async def employee(
    market: Market, redis_url: str, folder: Path, authorities: Path, **settings: str
) -> AsyncIterator[tuple[Service, int]]:
    """A connector with a key that knows the exchanges by name only; and its health port."""
    health_port = quiet_port()
    environment = {
        **market.venue.environment(0, redis_url, health_port),
        **market.key,
        **URLS,
        "SSL_CERT_FILE": str(authorities),
        **settings,
    }
    async with running(market.venue.module, environment, folder) as service:
        yield service, health_port


def proxy_url(proxy: CompanyProxy, password: str) -> str:
    """For HTTPS_PROXY."""
    return proxy.url.replace("//", f"//ann:{password}@")


@both_markets
async def test_rest_and_sockets_go_through_the_proxy(
    market: Market, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Market data flows and the account is followed; the password stands in no line of the log."""
    async with office(tmp_path) as (proxy, authorities):
        way_out = proxy_url(proxy, "s3cret%2F%40pass")
        async with employee(
            market, redis_server.url, tmp_path, authorities, HTTPS_PROXY=way_out
        ) as (service, health_port):
            await eventually_async(lambda: all_move_on(redis, market.venue, {}), within=30.0)

            async def account_is_followed() -> bool:
                parts: dict[str, Any] = (await report(health_port))[1].get("parts", {})
                return parts.get("account") == "ok"

            await eventually_async(account_is_followed, within=30.0)
            assert await service.end() == 0
    assert set(proxy.tunnels) == HOSTS[market.venue.exchange]
    assert "s3cret" not in service.log.read_text()


@both_markets
async def test_hosts_of_no_proxy_are_reached_without_it(
    market: Market, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Here nobody resolves them: that is what the connector waits for."""
    async with office(tmp_path) as (proxy, authorities):
        settings = {
            "HTTPS_PROXY": proxy_url(proxy, "s3cret%2F%40pass"),
            "NO_PROXY": f"example.com, {market.venue.exchange}.test",
        }
        async with employee(market, redis_server.url, tmp_path, authorities, **settings) as (
            _,
            port,
        ):
            await eventually_async(lambda: waits_for(port, str(NO_NAME)))
    assert proxy.tunnels == []


@both_markets
async def test_a_proxy_that_refuses_the_password_is_reported(
    market: Market, redis_server: RedisServer, tmp_path: Path
) -> None:
    """On `/ready` and in the log, without the password."""
    async with office(tmp_path) as (proxy, authorities):
        way_out = proxy_url(proxy, "wr0ng-word")
        async with employee(
            market, redis_server.url, tmp_path, authorities, HTTPS_PROXY=way_out
        ) as (service, port):
            await eventually_async(lambda: waits_for(port, "407"))
            assert await waits_for(port, str(PROXY))
            lines = [json.loads(line) for line in service.log.read_text().splitlines()]
            (told,) = [line for line in lines if line["event"] == "start_waits"]
            assert str(PROXY) in told["error"]
            assert "wr0ng-word" not in service.log.read_text()
    assert proxy.tunnels == []


async def waits_for(health_port: int, words: str) -> bool:
    """True while the exchange isn't reached, for that reason."""
    parts = (await report(health_port))[1].get("parts", {})
    return words in parts.get("exchange", "")
