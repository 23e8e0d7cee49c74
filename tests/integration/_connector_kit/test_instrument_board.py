"""What a connector tells of the symbols it trades, in a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

import common_models
from services._connector_kit.instrument_board import InstrumentBoard
from services._connector_kit.instruments import Instrument, Range, TradingRules
from tests.support.eventually import eventually_async

KEY = "luno_connector:state:instruments"


def ranges(*numbers: str) -> Range:
    """Step, least and most."""
    return Range(*map(Decimal, numbers))


RULES = TradingRules(
    price=ranges("0.01", "1", "1000000"),
    quantity=ranges("0.001", "0.01", "90"),
    market_quantity=ranges("0", "0.02", "50"),
    least_notional=Decimal(5),
    most_notional=Decimal(9000),
    least_market_notional=Decimal(0),
)
XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True, rules=RULES)
ETH = Instrument("ETH/ZAR", "ETHZAR", "ETH", "ZAR", trading=False)


@asynccontextmanager
async def telling(redis: Redis, *configured: Instrument) -> AsyncIterator[list[str]]:
    """A board that tells of these; how often it was about to."""
    about_to: list[str] = []

    async def before() -> None:
        about_to.append("writes")

    symbols = {instrument.symbol: instrument for instrument in configured}
    board = asyncio.create_task(InstrumentBoard("luno", redis, symbols, before).keep_telling())
    yield about_to
    board.cancel()
    await asyncio.wait([board])


async def told(redis: Any) -> dict[str, common_models.Instrument]:
    """What stands there."""
    return {
        name.decode(): common_models.Instrument.model_validate_json(data)
        for name, data in (await redis.hgetall(KEY)).items()
    }


async def test_each_symbol_is_told_with_the_bounds_that_hold_for_every_order(redis: Redis) -> None:
    """Of two bounds the narrower; a symbol that is no longer configured is taken out."""
    async with telling(redis, XBT, ETH) as about_to:
        await eventually_async(lambda: told(redis))
        found = await told(redis)
    assert about_to == ["writes"]
    assert found["XBT/ZAR"].model_dump(exclude={"timestamp"}) == {
        "symbol": "XBT/ZAR",
        "exchange": "luno",
        "base": "XBT",
        "quote": "ZAR",
        "trading": True,
        "post_only": False,
        "tick": 0.01,
        "lot": 0.001,
        "min_quantity": 0.02,
        "max_quantity": 50,
        "min_notional": 5,
        "max_notional": 9000,
        "maker_fee": None,
        "taker_fee": None,
    }
    assert (found["ETH/ZAR"].trading, found["ETH/ZAR"].lot) == (False, 0)
    async with telling(redis, XBT):

        async def alone() -> bool:
            return list(await told(redis)) == ["XBT/ZAR"]

        await eventually_async(alone)
