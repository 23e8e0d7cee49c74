"""The lots, bounds and fees of each symbol, polled from the connectors' state in Redis."""

import asyncio
from collections.abc import Iterable, Mapping
from decimal import Decimal

import structlog
from redis.asyncio import Redis

from common_models import InstrumentInfo
from common_models.stream_names import connector, state_key
from services._runtime.fees import full_fee
from services._runtime.redis_transaction import snapshot
from services._runtime.supervise import TransientError
from services.bot.lots import Lots
from services.bot.validation import MessageError, read

log = structlog.get_logger()

READ_EVERY = 30.0
# If a symbol isn't known yet: its connector may just have started.
READ_AGAIN_AFTER = 1.0
UNKNOWN = Lots()


class InstrumentWatch:
    """Lots, bounds and fees of the watched markets; while they are unknown, any size passes."""

    def __init__(self, markets: Mapping[str, Iterable[str]]) -> None:
        self._markets = [(name, symbol) for name, found in markets.items() for symbol in found]
        self._known: dict[tuple[str, str], Lots] = {}
        self._prices: dict[tuple[str, str, str], Decimal] = {}
        self._faults: dict[tuple[str, str], str] = {}

    def lots(self, exchange: str, symbol: str) -> Lots:
        """The lots and bounds of a slash symbol; `UNKNOWN` before they are read."""
        return self._known.get((exchange, symbol), UNKNOWN)

    def full_fee(self, exchange: str, symbol: str) -> Decimal:
        """The largest fee, as a share of a fill: the exchange's usual one, or the account's."""
        return max(full_fee(exchange), self.lots(exchange, symbol).fee)

    def price(self, exchange: str, asset: str, quote: str) -> Decimal | None:
        """The exchange's price of an asset that pays fees, in *quote*; None if unknown."""
        return self._prices.get((exchange, asset, quote))

    async def load(self, redis: Redis) -> None:
        """Read all instruments.

        Raises:
            TransientError: Redis failed; the known values stay.
        """
        reads = [
            ("HGET", state_key(connector(name), "instruments"), symbol)
            for name, symbol in self._markets
        ]
        for market, data in zip(self._markets, await snapshot(redis, reads), strict=True):
            if isinstance(data, bytes):
                self._handle(market, data)

    def _handle(self, market: tuple[str, str], data: bytes) -> None:
        try:
            instrument = read(InstrumentInfo, data)
            self._known[market] = Lots.of(instrument)
            for asset, price in instrument.fee_prices.items():
                self._prices[market[0], asset, instrument.quote] = Decimal(str(price))
        except MessageError as e:
            if self._faults.get(market) != str(e):
                self._faults[market] = str(e)
                log.warning(
                    "instrument_unreadable", exchange=market[0], symbol=market[1], error=str(e)
                )

    async def keep_reading(self, redis: Redis) -> None:
        """Poll them until cancelled."""
        while True:
            known = all(market in self._known for market in self._markets)
            await asyncio.sleep(READ_EVERY if known else READ_AGAIN_AFTER)
            try:
                await self.load(redis)
            except TransientError:  # the journal, on the same Redis, logs it
                continue
