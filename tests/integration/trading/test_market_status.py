"""A market that its exchange shuts, half or wholly: told, obeyed, and over again."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common_models import ConnectorStatusEvent, InstrumentInfo
from common_models.stream_names import EventStream, state_key
from services._connector_kit import instrument_publisher
from services._connector_kit.listing import Listing
from services.binance_connector import service as binance_service
from services.binance_connector.settings import BinanceSettings
from services.luno_connector import service as luno_service
from services.luno_connector.settings import LunoSettings
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, SMALL_WAITS, TradingDesk, trading_desk
from tests.support.ports import quiet_port

SERVE: dict[str, Any] = {
    "binance": (binance_service.serve, BinanceSettings),
    "luno": (luno_service.serve, LunoSettings),
}


@pytest.fixture(params=MARKETS, ids=lambda market: market.venue.exchange)
async def desk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TradingDesk]:
    """A connector in this process, so that its list of symbols is asked for often."""
    defaults: Any = Listing.keep_fresh.__kwdefaults__
    monkeypatch.setitem(defaults, "every", 0.5)
    monkeypatch.setattr(instrument_publisher, "PUBLISH_INTERVAL", 0.5)
    async with trading_desk(request.param, tmp_path) as desk:
        venue = desk.market.venue
        serve, settings = SERVE[venue.exchange]
        environment = {
            **venue.environment(desk.simulator_port, desk.redis_url, quiet_port()),
            **desk.market.key,
            **SMALL_WAITS,
        }
        given = {name.lower(): value for name, value in environment.items()}
        connector = asyncio.create_task(serve(settings.model_validate(given)))
        try:
            await eventually_async(lambda: says(desk, "trading", trading=True), within=30.0)
            yield desk
            assert not connector.done()
        finally:
            connector.cancel()
            await asyncio.gather(connector, return_exceptions=True)


async def says(desk: TradingDesk, market: str, *, trading: bool) -> bool:
    """What the connector says of the market it trades, and whether it trades."""
    stream = str(EventStream(desk.name, "connector_status"))
    entries: Any = await desk.redis.xrevrange(stream, count=1)
    if not entries:
        return False
    event = ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])
    known = {symbol.symbol: symbol.market_status for symbol in event.symbols}
    others = {status for symbol, status in known.items() if symbol != desk.market.symbol}
    return (
        known.get(desk.market.symbol) == market
        and event.trading == trading
        and others <= {"trading"}
    )


async def instrument(desk: TradingDesk) -> InstrumentInfo:
    """The one it trades, as others read it."""
    key = state_key(desk.name, "instruments")
    found: Any = await desk.redis.hget(key, desk.market.symbol)
    return InstrumentInfo.model_validate_json(found)


async def test_orders_that_a_shut_market_cant_take_are_refused_for_that_reason(
    desk: TradingDesk,
) -> None:
    """Half shut (Luno alone), wholly, and open again; the others of the connector trade on."""
    half = desk.market.venue.exchange == "luno"
    resting = await desk.far_below()
    for status, market, reason in (
        ("post_only", "post_only" if half else "halted", "post_only_mode"),
        ("halted", "halted", "symbol_not_trading"),
        ("active", "trading", None),
    ):
        await desk.set_market(status)
        await eventually_async(partial(says, desk, market, trading=True))
        plain = await desk.response(await desk.order(price=resting))
        rests = await desk.response(await desk.order(price=resting, post_only=True))
        wanted = reason if half or reason is None else "symbol_not_trading"
        assert plain.reason_code == wanted
        taken = status == "active" or (half and status == "post_only")
        assert (rests.status == "accepted") == taken, rests
        for refused in (plain, rests):
            if refused.status == "rejected":
                assert await desk.arrivals(refused.client_order_id) == 0

        async def known(taken: bool = taken, post_only: bool = market == "post_only") -> bool:
            found = await instrument(desk)
            return found.trading == taken and found.post_only == post_only

        await eventually_async(known)
