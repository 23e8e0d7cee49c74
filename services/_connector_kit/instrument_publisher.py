"""Publishes the instruments: the hash `<connector>:state:instruments`, one field per symbol."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

import common_models
from common_models.stream_names import connector, state_key
from services._connector_kit.fees import Fees
from services._connector_kit.instruments import Instrument
from services._runtime.redis_transaction import at_once, reading
from services._runtime.supervise import FailureLog, TransientError

# Written this often even if nothing changed, in seconds: Redis may have lost data.
PUBLISH_INTERVAL = 30.0


class InstrumentPublisher:
    """The symbols that one connector takes new orders of, as its listing has them now."""

    def __init__(
        self,
        exchange: str,
        redis: Redis,
        configured: Mapping[str, Instrument],
        before_writing: Callable[[], Awaitable[None]],
    ) -> None:
        self._exchange = exchange
        self._redis = redis
        self._configured = configured
        self._before_writing = before_writing
        self._fees: dict[str, Fees] = {}
        self._changed = asyncio.Event()

    def set_fees(self, symbol: str, fees: Fees) -> None:
        """The account's fees for a symbol: published at once where they changed."""
        if self._fees.get(symbol) != fees:
            self._fees[symbol] = fees
            self._changed.set()

    async def keep_publishing(self) -> None:
        """Write them until cancelled; what can't be written now is written the next time."""
        failures = FailureLog("instruments_not_written")
        while True:
            try:
                await self._before_writing()
                await self._publish()
            except TransientError as e:
                failures.seen(e)
            else:
                failures.over()
            await self._until_due()

    async def _until_due(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_INTERVAL):
                await self._changed.wait()

    async def _publish(self) -> None:
        """Write all, and take out those that are no longer configured."""
        self._changed.clear()
        key = state_key(connector(self._exchange), "instruments")
        fields = {
            symbol: instrument_info(
                self._exchange, instrument, self._fees.get(symbol)
            ).model_dump_json()
            for symbol, instrument in self._configured.items()
        }
        there: Any = await reading(self._redis.hgetall(key))
        gone = [name for name in there if name.decode() not in fields]
        words = [word for pair in fields.items() for word in pair]
        await at_once(self._redis, ("HSET", key, *words), *([("HDEL", key, *gone)] if gone else []))


def instrument_info(
    exchange: str, instrument: Instrument, fees: Fees | None
) -> common_models.InstrumentInfo:
    """An instrument as its model has it: bounds that hold for limit and market orders alike."""
    rules = instrument.rules
    both = (rules.quantity, rules.market_quantity)
    return common_models.InstrumentInfo(
        symbol=instrument.symbol,
        exchange=exchange,
        base=instrument.base,
        quote=instrument.quote,
        trading=instrument.trading,
        tick=float(rules.price.step),
        lot=float(max(each.step for each in both)),
        min_quantity=float(max(each.least for each in both)),
        max_quantity=float(_narrower(rules.quantity.most, rules.market_quantity.most)),
        min_notional=float(max(rules.min_notional, rules.min_market_notional)),
        max_notional=float(rules.max_notional),
        maker_fee=None if fees is None else float(fees.maker),
        taker_fee=None if fees is None else float(fees.taker),
        fee_prices={} if fees is None else {a: float(p) for a, p in fees.prices.items()},
        post_only=instrument.post_only,
    )


def _narrower(*bounds: Decimal) -> Decimal:
    """The smallest of *bounds* that isn't 0; 0 if all are."""
    return min(filter(None, bounds), default=Decimal(0))
