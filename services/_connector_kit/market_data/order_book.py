"""Order books that know when they are wrong: pure, no I/O.

Two kinds of venue, one interface: `apply(...)` returns `ApplyOutcome.APPLIED`,
`ApplyOutcome.IGNORED` (an old update, seen before) or a `SequenceGap`, after which the book must
not be used.

Binance, by price level (https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams,
"How to manage a local order book correctly"):

1. Open the diff stream and buffer what comes.
2. Get a depth snapshot.
3. If the snapshot's lastUpdateId is below the first buffered U, get another.
4. Drop buffered updates with u <= lastUpdateId.
5. Apply the rest, and from then on each that comes:
    a. u < the book's id: ignore it.
    b. U > the book's id + 1: something is missing; start again.
    c. Set each level to its quantity; a quantity of 0 removes it. The book's id is now u.

Luno, order by order (https://www.luno.com/en/developers/api#tag/Streaming-API):

1. The first message is a snapshot of all orders with a sequence number.
2. Each update must have the next number; anything else means starting again.
3. Within an update: trades first, each taking `base` off its maker; a maker with nothing left
   is gone without a delete. Then the create, then the delete.
4. A trade's price is its maker's; its taker's side is the opposite of its maker's.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import zip_longest
from math import inf
from typing import NamedTuple, Protocol

import msgspec

from common_models.fields import Side

_NOWHERE = -inf
_number = msgspec.json.Encoder().encode


class ApplyOutcome(Enum):
    """What became of an update that fits."""

    APPLIED = "applied"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class SequenceGap:
    """The update doesn't fit: the book is no longer the venue's. Start again."""

    reason: str


def _is_level(price: float, quantity: float) -> bool:
    """True for a level, False for one that is to go."""
    if 0.0 < price < inf and 0.0 <= quantity < inf:
        return quantity > 0.0
    raise ValueError(f"level {price!r} x {quantity!r}: expected finite numbers above 0")


class Ladder:
    """One side's price levels, best first.

    `top_json` keeps the JSON of each level beside it, so that publishing a book in which little
    changed is a join.
    """

    __slots__ = ("_json", "_keys", "_quantities", "_sign", "_worst_known")

    def __init__(
        self, side: Side, levels: Iterable[tuple[float, float]], *, complete: bool
    ) -> None:
        # Keys rise towards the best price, so the best levels, which change most, are at the
        # end of the list, where inserting is cheap.
        self._sign = sign = 1.0 if side == "buy" else -1.0
        self._quantities = {
            sign * price: quantity for price, quantity in levels if _is_level(price, quantity)
        }
        self._keys = sorted(self._quantities)
        self._json: dict[float, bytes] = {}
        # Beyond the last level of a cut snapshot we know nothing.
        self._worst_known = _NOWHERE if complete or not self._keys else self._keys[0]

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def complete(self) -> bool:
        """True when every level of the venue's book is known."""
        return self._worst_known == _NOWHERE

    @property
    def best(self) -> float | None:
        """The best price."""
        return abs(self._keys[-1]) if self._keys else None

    def set(self, price: float, quantity: float) -> None:
        """Set one level's whole quantity; 0 removes it.

        Raises:
            ValueError: invalid price or quantity.
        """
        self.update(((price, quantity),))

    def update(self, levels: Iterable[tuple[float, float]]) -> None:
        """Set each level's whole quantity; 0 removes it. One loop: most of a book's work is here.

        Raises:
            ValueError: invalid price or quantity; the levels before it are set.
        """
        sign, worst_known = self._sign, self._worst_known
        keys, quantities, forget = self._keys, self._quantities, self._json.pop
        for price, quantity in levels:
            key = sign * price
            if 0.0 < price < inf and 0.0 < quantity < inf:
                if key not in quantities:
                    if key < worst_known:
                        continue
                    insort(keys, key)
                quantities[key] = quantity
                forget(key, None)
            elif not _is_level(price, quantity) and quantities.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
                forget(key, None)

    def top(self, depth: int) -> list[tuple[float, float]]:
        """The best *depth* levels as (price, quantity)."""
        quantities = self._quantities
        return [(abs(key), quantities[key]) for key in self._keys[: -depth - 1 : -1]]

    def top_json(self, depth: int) -> bytes:
        """The best *depth* levels as the inside of a JSON list of OrderBookLevel."""
        cache = self._json
        parts = []
        for key in self._keys[: -depth - 1 : -1]:
            part = cache.get(key)
            if part is None:
                price, quantity = _number(abs(key)), _number(self._quantities[key])
                part = cache[key] = b'{"price":%b,"quantity":%b}' % (price, quantity)
            parts.append(part)
        return b",".join(parts)


class Book(Protocol):
    """What both kinds of book have, for those who publish them."""

    bids: Ladder
    asks: Ladder


def crossed(book: Book) -> SequenceGap | None:
    """A Gap where the best bid is not below the best ask."""
    bid, ask = book.bids.best, book.asks.best
    if bid is not None and ask is not None and bid >= ask:
        return SequenceGap(f"crossed: bid {bid!r} at or above ask {ask!r}")
    return None


def difference(ours: Book, theirs: Book, depth: int) -> str | None:
    """The first of the best *depth* levels in which two books differ; None where they are equal.

    *theirs* may hold only the levels that a snapshot covered.
    """
    for name, our_side, their_side in (
        ("bid", ours.bids, theirs.bids),
        ("ask", ours.asks, theirs.asks),
    ):
        known = depth if their_side.complete else min(depth, len(their_side))
        for our, their in zip_longest(our_side.top(known), their_side.top(known)):
            if our != their:
                return f"{name} {_shown(our)}, the venue's is {_shown(their)}"
    return None


def _shown(level: tuple[float, float] | None) -> str:
    return "none" if level is None else f"{level[0]!r} x {level[1]!r}"


class LevelBook:
    """A book updated by price level: Binance's. `limit` is the number of levels requested."""

    def __init__(
        self,
        update_id: int,
        bids: Sequence[tuple[float, float]],
        asks: Sequence[tuple[float, float]],
        *,
        limit: int,
    ) -> None:
        self.update_id = update_id
        self.bids = Ladder("buy", bids, complete=len(bids) < limit)
        self.asks = Ladder("sell", asks, complete=len(asks) < limit)

    def apply(
        self,
        first_id: int,
        last_id: int,
        bids: Iterable[tuple[float, float]],
        asks: Iterable[tuple[float, float]],
    ) -> ApplyOutcome | SequenceGap:
        """Apply one diff (U, u, b, a). The step numbers are those of the module's docstring."""
        if last_id <= self.update_id:  # 4, 5a
            return ApplyOutcome.IGNORED
        if first_id > self.update_id + 1:  # 5b
            return SequenceGap(f"update {first_id} after {self.update_id}")
        try:
            self.bids.update(bids)  # 5c
            self.asks.update(asks)
        except ValueError as e:
            return SequenceGap(f"update {first_id}: {e}")
        self.update_id = last_id
        return crossed(self) or ApplyOutcome.APPLIED

    def thin(self, depth: int) -> bool:
        """True when fewer than *depth* levels are left of what a cut snapshot covered."""
        return any(len(side) < depth and not side.complete for side in (self.bids, self.asks))


class RestingOrder(NamedTuple):
    """One order in a book that is updated order by order. `side` is the order's own."""

    order_id: str
    side: Side
    price: Decimal
    quantity: Decimal


class MakerFill(NamedTuple):
    """A trade as the venue reports it: a quantity taken from one maker order."""

    maker_id: str
    quantity: Decimal


class BookTrade(NamedTuple):
    """A trade as the book explains it: `side` is the taker's."""

    side: Side
    price: Decimal
    quantity: Decimal


class OrderByOrderBook:
    """A book that is updated order by order: Luno's.

    Raises:
        ValueError: an order without a price or a quantity above 0, or listed twice.
    """

    def __init__(self, sequence: int, orders: Iterable[RestingOrder]) -> None:
        self.sequence = sequence
        self._orders: dict[str, RestingOrder] = {}
        self._totals: dict[tuple[Side, Decimal], Decimal] = {}
        for order in orders:
            self._take(order)
        self.bids = self._ladder("buy")
        self.asks = self._ladder("sell")

    def _ladder(self, side: Side) -> Ladder:
        levels = ((float(p), float(q)) for (of, p), q in self._totals.items() if of == side)
        return Ladder(side, levels, complete=True)

    def apply(
        self,
        sequence: int,
        fills: Sequence[MakerFill] = (),
        create: RestingOrder | None = None,
        delete: str | None = None,
    ) -> list[BookTrade] | SequenceGap:
        """Apply one update; the trades it held, or a Gap.

        The step numbers are those of the module's docstring.
        """
        if sequence != self.sequence + 1:  # 2
            return SequenceGap(f"update {sequence} after {self.sequence}")
        try:
            trades = [self._fill(fill) for fill in fills]  # 3
            if create is not None:
                self._take(create)
                self._show(create)
            if delete is not None:
                self._change(self._resting(delete), Decimal(0))
        except (ValueError, ArithmeticError) as e:  # Decimal's faults are the latter
            return SequenceGap(f"update {sequence}: {e}")
        self.sequence = sequence
        return crossed(self) or trades

    def _resting(self, order_id: str) -> RestingOrder:
        order = self._orders.get(order_id)
        if order is None:
            raise ValueError(f"order {order_id} is unknown")
        return order

    def _fill(self, fill: MakerFill) -> BookTrade:
        maker = self._resting(fill.maker_id)
        if not (fill.quantity.is_finite() and 0 < fill.quantity <= maker.quantity):
            raise ValueError(f"trade of {fill.quantity} with a maker of {maker.quantity}")
        self._change(maker, maker.quantity - fill.quantity)
        taker: Side = "sell" if maker.side == "buy" else "buy"
        return BookTrade(taker, maker.price, fill.quantity)  # 4

    def _take(self, order: RestingOrder) -> None:
        """Add an order to what is known; its level isn't shown yet."""
        for number in (order.price, order.quantity):
            if not (number.is_finite() and number > 0):
                raise ValueError(f"order {order}: expected finite numbers above 0")
        if order.order_id in self._orders:
            raise ValueError(f"order {order.order_id} is added twice")
        self._orders[order.order_id] = order
        level = (order.side, order.price)
        self._totals[level] = self._totals.get(level, Decimal(0)) + order.quantity

    def _change(self, order: RestingOrder, quantity: Decimal) -> None:
        """Leave *quantity* of an order; 0 removes it."""
        if quantity:
            self._orders[order.order_id] = order._replace(quantity=quantity)
        else:
            del self._orders[order.order_id]
        self._totals[order.side, order.price] += quantity - order.quantity
        self._show(order)

    def _show(self, order: RestingOrder) -> None:
        """Bring the ladder in line with the level that *order* belongs to."""
        level = (order.side, order.price)
        total = self._totals[level]
        if not total:
            del self._totals[level]
        ladder = self.bids if order.side == "buy" else self.asks
        ladder.set(float(order.price), float(total))
