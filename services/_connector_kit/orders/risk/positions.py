"""The position in each market from our own orders, stored in the same Redis as their state."""

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal

import msgspec
from redis.asyncio import Redis

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.account.order_status import ZERO, PublishedOrder
from services._connector_kit.orders.keys import positions_key
from services._connector_kit.orders.ports import Clock
from services._runtime.position import Position, day_of
from services._runtime.redis_commands import pairs
from services._runtime.redis_transaction import Change, transact
from services._runtime.supervise import FailureLog

# In seconds.
ROLL_EVERY = 5.0


def updated_position(
    kept: bytes | None, before: PublishedOrder | None, now: PublishedOrder, day: str, rate: Decimal
) -> bytes | None:
    """The position *kept* plus the new fills and fees of an order; None if there are none.

    *before* and *now* are the previous and the new published state of the order. Their difference
    is added, so that a repeated report adds nothing, and a late one is added when it arrives. If
    the fee is in a third asset (BNB), whose price is unknown here, *rate* times the quote amount is
    deducted in its place.
    """
    after, known = _contribution(now, now, rate), _contribution(before, now, rate)
    quantity, cash = (new - old for new, old in zip(after, known, strict=True))
    if not quantity and not cash:
        return None
    position = Position(day=day) if kept is None else msgspec.json.decode(kept, type=Position)
    position.quantity += quantity
    position.cash += cash
    filled = now.filled - (before.filled if before else ZERO)
    spent = now.quote_filled - (before.quote_filled if before else ZERO)
    if filled > 0 and spent > 0:
        position.price = spent / filled
    return msgspec.json.encode(position)


def _contribution(
    published: PublishedOrder | None, order: PublishedOrder, rate: Decimal
) -> tuple[Decimal, Decimal]:
    """The change of the position by the *published* state: base asset, and quote asset."""
    if published is None:
        return ZERO, ZERO
    base, _, quote = order.symbol.partition("/")
    sign = 1 if order.side == "buy" else -1
    spent = published.quote_filled or published.filled * published.price
    fee = dict(published.fee)
    in_base, in_quote = fee.pop(base, ZERO), fee.pop(quote, ZERO)
    if any(fee.values()):
        in_quote += spent * rate
    return sign * published.filled - in_base, -sign * spent - in_quote


def read_positions(flat: Sequence[bytes]) -> dict[str, Position]:
    """The positions by symbol, from the reply to HGETALL."""
    return {
        symbol.decode(): msgspec.json.decode(data, type=Position)
        for symbol, data in pairs(flat).items()
    }


class DayRoll:
    """Starts a new day for every position at midnight UTC, by Redis's clock.

    `mark` returns the current price of a symbol, None without a live book. A symbol that is not
    *configured* has no book, and is valued at its last price.
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        mark: Callable[[str], Decimal | None],
        configured: Collection[str],
    ) -> None:
        self._redis = redis
        self._key = positions_key(connector)
        self._mark = mark
        self._configured = configured

    async def roll(self) -> None:
        """Start the new day of the positions with a known price; the others wait for their book.

        Raises:
            TransientError: Redis failed; rolling again is safe.
        """

        async def decide(change: Change) -> None:
            found, (seconds, _) = change.found
            today = day_of(int(seconds))
            for symbol, position in read_positions(found).items():
                mark = self._mark(symbol)
                waits = mark is None and symbol in self._configured and position.quantity
                if position.day < today and not waits:
                    position.price = mark or position.price
                    position.roll(today)
                    change.write("HSET", self._key, symbol, msgspec.json.encode(position))

        await transact(self._redis, [self._key], [("HGETALL", self._key), ("TIME",)], decide)

    async def keep_rolling(self, clock: Clock) -> None:
        """Roll every `ROLL_EVERY` seconds, until cancelled."""
        failures = FailureLog("day_not_rolled")
        while True:
            try:
                await self.roll()
            except TransientError as e:
                failures.seen(e)
            else:
                failures.over()
            await clock.sleep(ROLL_EVERY)
