"""Whose money it is: only what says that it is the simulator is one."""

import pytest

from services._connector_kit.errors import TransientError
from services._connector_kit.world import world_of
from tests.support.ports import quiet_port
from tests.support.venues.canned_http import canned_server

HELLO = b'{"service":"exchange_simulator"}'
TESTNETS = frozenset({"testnet.binance.vision"})


@pytest.mark.parametrize(
    ("url", "world"),
    [
        ("https://api.binance.com/api", "live"),
        ("https://testnet.binance.vision/api", "testnet"),
        ("https://testnet.binance.vision.example.com/api", "live"),
        ("https://127.0.0.1.example.com/api", "live"),
        ("https://simulator/api", "live"),
    ],
)
async def test_no_other_host_is_asked(url: str, world: str) -> None:
    """Any that isn't known for sure is taken for live."""
    assert await world_of(url, TESTNETS) == world


async def test_the_simulator_is_what_says_so() -> None:
    """It is asked at the root of the URL."""
    async with canned_server() as server:
        server.answers(200, HELLO)
        assert await world_of(f"{server.url}/api") == "simulator"
        assert server.requests == ["/simulator/hello"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"code":-1,"msg":"no such path"}'),
        (403, b""),
        (500, HELLO),
        (201, HELLO),
        (200, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"service":"binance"}'),
        (200, b'{"service":null}'),
        (200, b'["exchange_simulator"]'),
        (200, b"[" * 1000),
        (200, b'{"service":"exchange_simulator"' + b" " * 2000 + b"}"),
    ],
)
async def test_any_other_answer_is_that_of_a_proxy_before_a_live_venue(
    status: int, body: bytes
) -> None:
    """On this machine too: what it says is money is taken for money."""
    async with canned_server() as server:
        server.answers(status, body)
        assert await world_of(f"{server.url}/api", TESTNETS) == "live"


async def test_a_redirect_to_a_simulator_does_not_count_as_a_simulator() -> None:
    """Orders would not be redirected."""
    async with canned_server() as simulator, canned_server() as server:
        simulator.answers(200, HELLO)
        server.answers(307, b"", Location=f"{simulator.url}/simulator/hello")
        assert await world_of(server.url) == "live"
        assert simulator.requests == []


async def test_a_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would answer for whatever host it is asked for."""
    async with canned_server() as proxy, canned_server() as server:
        proxy.answers(200, HELLO)
        server.answers(404)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await world_of(server.url) == "live"
        assert proxy.requests == []


async def test_the_world_is_unknown_until_the_server_answers() -> None:
    """A simulator may still be starting."""
    with pytest.raises(TransientError, match="no answer from"):
        await world_of(f"http://127.0.0.1:{quiet_port()}/api")
    async with canned_server() as server:
        server.abort = True
        with pytest.raises(TransientError, match="no answer from"):
            await world_of(server.url)
