"""What a connector tells of the symbols it trades, in a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

import common_models
from services._connector_kit.fees import Fees
from services._connector_kit.instrument_publisher import InstrumentPublisher
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
    min_notional=Decimal(5),
    max_notional=Decimal(9000),
    min_market_notional=Decimal(0),
)
XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True, rules=RULES)
ETH = Instrument("ETH/ZAR", "ETHZAR", "ETH", "ZAR", trading=False)


@asynccontextmanager
async def telling(
    redis: Redis, *configured: Instrument
) -> AsyncIterator[tuple[list[str], InstrumentPublisher]]:
    """A publisher that tells of these, and of XBT's fees; how often it was about to."""
    about_to: list[str] = []

    async def before() -> None:
        about_to.append("writes")

    symbols = {instrument.symbol: instrument for instrument in configured}
    publisher = InstrumentPublisher("luno", redis, symbols, before)
    publisher.set_fees("XBT/ZAR", Fees(Decimal("0.001"), Decimal("0.0025")))
    telling = asyncio.create_task(publisher.keep_publishing())
    yield about_to, publisher
    telling.cancel()
    await asyncio.wait([telling])


async def told(redis: Any) -> dict[str, common_models.InstrumentInfo]:
    """What stands there."""
    return {
        name.decode(): common_models.InstrumentInfo.model_validate_json(data)
        for name, data in (await redis.hgetall(KEY)).items()
    }


async def test_each_symbol_is_published_with_the_bounds_that_hold_for_every_order(
    redis: Redis,
) -> None:
    """Of two bounds the narrower; a symbol that is no longer configured is taken out."""
    async with telling(redis, XBT, ETH) as (about_to, _):
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
        "maker_fee": 0.001,
        "taker_fee": 0.0025,
        "fee_prices": {},
    }
    assert (found["ETH/ZAR"].trading, found["ETH/ZAR"].lot) == (False, 0)
    assert (found["ETH/ZAR"].maker_fee, found["ETH/ZAR"].taker_fee) == (None, None)
    async with telling(redis, XBT):

        async def alone() -> bool:
            return list(await told(redis)) == ["XBT/ZAR"]

        await eventually_async(alone)


async def test_changed_fees_are_published_at_once(redis: Redis) -> None:
    """With what one of the asset that pays them is worth."""
    async with telling(redis, XBT) as (about_to, publisher):
        await eventually_async(lambda: told(redis))
        publisher.set_fees("XBT/ZAR", Fees(Decimal(0), Decimal("0.002"), {"BNB": Decimal(600)}))

        async def changed() -> bool:
            found = (await told(redis))["XBT/ZAR"]
            fees = (found.maker_fee, found.taker_fee, found.fee_prices)
            return fees == (0.0, 0.002, {"BNB": 600.0})

        await eventually_async(changed)
    assert about_to == ["writes", "writes"]
