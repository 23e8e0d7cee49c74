"""What the key may do: asked over real HTTP, signed, and judged before any order leaves."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FatalError, FeedStoppedError, TransientError
from services._connector_kit.world import World
from services.binance_connector.client import open_binance
from services.binance_connector.key_check import KeyCheck
from services.binance_connector.rest import SignedRest
from services.binance_connector.settings import BinanceSettings
from tests.support.venues.canned_http import CannedServer, canned_server
from tests.support.venues.listings import listing

READ_AND_TRADE = {
    "ipRestrict": True,
    "enableReading": True,
    "enableSpotAndMarginTrading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "permitsUniversalTransfer": False,
}


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    """Binance, with a key that may read and trade."""
    async with canned_server() as canned:
        canned.answers(200, json.dumps(READ_AND_TRADE).encode())
        yield canned


@asynccontextmanager
async def key_check(server: CannedServer, world: World = "live") -> AsyncIterator[KeyCheck]:
    """The check at that server."""
    settings = BinanceSettings.model_construct(
        binance_rest_url=f"{server.url}/api",
        binance_api_key=SecretStr("key"),
        binance_api_secret=SecretStr("secret"),
    )
    clock = VenueClock()

    async def fetch() -> int:
        return clock.milliseconds()

    await clock.measure(fetch)
    async with open_binance(settings) as binance:
        yield KeyCheck(SignedRest(binance, settings, listing(), clock), clock, world)


async def test_a_key_that_may_read_and_trade_is_taken(server: CannedServer) -> None:
    """One signed request, and from then on orders may leave."""
    async with key_check(server) as key:
        assert not await key.known(0.0)
        await key.check()
        assert await key.known(0.0)
    (request,) = server.requests
    assert request.startswith("/sapi/v1/account/apiRestrictions?")
    assert "signature=" in request


@pytest.mark.parametrize(
    "permission", ["enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer"]
)
async def test_a_key_that_may_move_money_away_is_refused(
    server: CannedServer, permission: str
) -> None:
    """The message names the variable, the permission and what would be right."""
    server.answers(200, json.dumps(READ_AND_TRADE | {permission: True}).encode())
    async with key_check(server) as key:
        with pytest.raises(FatalError, match=f"BINANCE_API_KEY.*{permission}.*read and trade"):
            await key.check()
        assert not await key.known(0.0)


@pytest.mark.parametrize("missing", READ_AND_TRADE)
@pytest.mark.parametrize("value", [None, "false", 0])
async def test_an_incomplete_answer_is_not_used(
    server: CannedServer, missing: str, value: object
) -> None:
    """What isn't plainly yes or no keeps orders from leaving."""
    told = {name: may for name, may in READ_AND_TRADE.items() if name != missing}
    server.answers(200, json.dumps(told if value is None else told | {missing: value}).encode())
    async with key_check(server) as key:
        with pytest.raises(TransientError, match="can't be read"):
            await key.check()
        assert not await key.known(0.0)


@pytest.mark.parametrize(("status", "body"), [(404, b"<html>"), (503, b""), (200, b"[]")])
async def test_without_an_answer_no_order_leaves(
    server: CannedServer, status: int, body: bytes
) -> None:
    """It is asked again, not taken for a yes."""
    server.answers(status, body)
    async with key_check(server) as key:
        with pytest.raises(TransientError):
            await key.check()
        assert not await key.known(0.0)


async def test_a_key_that_binance_refuses_is_left_to_the_orders_own_refusal(
    server: CannedServer,
) -> None:
    """Each order is then answered with what Binance says of the key."""
    server.answers(401, b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}')
    async with key_check(server) as key:
        with pytest.raises(FeedStoppedError, match="BINANCE_API_KEY"):
            await key.check()
        assert await key.known(0.0)


async def test_on_the_testnet_it_is_skipped_and_said(
    server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The testnet has no such call."""
    async with key_check(server, "testnet") as key:
        await key.check()
        assert await key.known(0.0)
    assert server.requests == []
    assert "key_not_checked" in "".join(capsys.readouterr())


@pytest.mark.parametrize("permission", ["enableReading", "enableSpotAndMarginTrading"])
async def test_a_key_that_may_not_trade_is_refused_until_it_may(
    server: CannedServer, permission: str
) -> None:
    """Every order would be refused; the permission may be given while the connector runs."""
    server.answers(200, json.dumps(READ_AND_TRADE | {permission: False}).encode())
    async with key_check(server) as key:
        with pytest.raises(FeedStoppedError, match="Enable Spot & Margin Trading"):
            await key.check()
        assert await key.known(0.0)
        server.answers(200, json.dumps(READ_AND_TRADE).encode())
        await key.check()


async def test_a_key_from_any_address_is_warned_about(
    server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is taken all the same."""
    server.answers(200, json.dumps(READ_AND_TRADE | {"ipRestrict": False}).encode())
    async with key_check(server) as key:
        await key.check()
    assert "key_from_any_address" in "".join(capsys.readouterr())
