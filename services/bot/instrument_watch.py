"""What the connectors say of each symbol's lots, bounds and fees: read again and again."""

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
# Where a symbol isn't known yet: the connector may only just have started.
READ_AGAIN_AFTER = 1.0
UNKNOWN = Lots()


class InstrumentWatch:
    """Lots, bounds and fees of the markets that the bot watches; without them any size will do."""

    def __init__(self, markets: Mapping[str, Iterable[str]]) -> None:
        self._markets = [(name, symbol) for name, found in markets.items() for symbol in found]
        self._known: dict[tuple[str, str], Lots] = {}
        self._prices: dict[tuple[str, str, str], Decimal] = {}
        self._faults: dict[tuple[str, str], str] = {}

    def lots(self, exchange: str, symbol: str) -> Lots:
        """What the exchange takes of a slash symbol."""
        return self._known.get((exchange, symbol), UNKNOWN)

    def full_fee(self, exchange: str, symbol: str) -> Decimal:
        """The largest share of a fill that can be taken: what is usual there, or the account's."""
        return max(full_fee(exchange), self.lots(exchange, symbol).fee)

    def price(self, exchange: str, asset: str, quote: str) -> Decimal | None:
        """The exchange's price of an asset that pays fees, in *quote*; None where it gives none."""
        return self._prices.get((exchange, asset, quote))

    async def load(self, redis: Redis) -> None:
        """Read them all.

        Raises:
            TransientError: Redis is in trouble; what was known stays.
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
        """Read them until cancelled."""
        while True:
            known = all(market in self._known for market in self._markets)
            await asyncio.sleep(READ_EVERY if known else READ_AGAIN_AFTER)
            try:
                await self.load(redis)
            except TransientError:  # the journal, on the same Redis, tells of it
                continue
