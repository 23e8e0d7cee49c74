"""The matching engine: price-time priority over whole ticks and lots, with no I/O and no clock.

The engine receives an order and returns events in the order in which they happened. It knows
no venue, no money and no time; the listeners of the events add those.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Side = Literal["buy", "sell"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
KillReason = Literal["immediate_or_cancel", "fill_or_kill", "no_liquidity"]
Level = tuple[int, int]  # price in ticks, quantity in lots


class EngineError(ValueError):
    """An invalid or unknown order."""


class Terms(NamedTuple):
    """The terms of an order: price in ticks (None = at any price), quantity in lots."""

    owner: str
    side: Side
    quantity: int
    price: int | None = None
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    client_id: str | None = None


@dataclass(slots=True, eq=False)
class BookOrder:
    """An order and its unfilled quantity in lots."""

    order_id: int
    terms: Terms
    remaining: int


class OrderAccepted(NamedTuple):
    """The order was accepted; its matches, and its resting or its end, follow."""

    order: BookOrder


class OrderRefused(NamedTuple):
    """A post-only order that would have traded; the book is unchanged."""

    order: BookOrder


class Match(NamedTuple):
    """A trade of *quantity* lots at the maker's price; with `maker_left` 0 the maker is filled."""

    trade_id: int
    taker: BookOrder
    maker: BookOrder
    price: int
    quantity: int
    maker_left: int
    taker_left: int


class Rested(NamedTuple):
    """The remaining *quantity* of the order joined the book, last at its price."""

    order: BookOrder
    quantity: int


class Removed(NamedTuple):
    """A resting order was cancelled with *quantity* lots unfilled."""

    order: BookOrder
    quantity: int


class Reduced(NamedTuple):
    """A resting order was reduced by *quantity* lots and keeps its place in the queue."""

    order: BookOrder
    quantity: int


class Killed(NamedTuple):
    """The remaining *quantity* of an order that may not rest was cancelled."""

    order: BookOrder
    quantity: int
    reason: KillReason


EngineEvent = OrderAccepted | OrderRefused | Match | Rested | Removed | Reduced | Killed


@dataclass(slots=True)
class PriceLevel:
    """The orders at one price, oldest first, and their sum in lots."""

    quantity: int = 0
    orders: dict[int, BookOrder] = field(default_factory=dict)


class BookSide:
    """One side of the book.

    Prices are kept sorted by `price * sign`, so that the best one is always the last: the
    highest bid (sign 1), the lowest ask (sign -1).
    """

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, PriceLevel] = {}

    def best(self) -> int | None:
        """The best price in ticks, None if the side is empty."""
        return self.keys[-1] * self.sign if self.keys else None

    def quantity_at(self, price: int) -> int:
        """Lots at *price*, 0 if there is no such level."""
        level = self.levels.get(price)
        return level.quantity if level else 0

    def top(self, count: int) -> list[Level]:
        """The best *count* levels, best first."""
        return [
            (key * self.sign, self.levels[key * self.sign].quantity)
            for key in reversed(self.keys[-count:])
        ]

    def orders(self) -> Iterator[BookOrder]:
        """Every order in price-time order, best first."""
        for key in reversed(self.keys):
            yield from self.levels[key * self.sign].orders.values()

    def reaches(self, price: int | None) -> bool:
        """True if an order of the other side at *price* (None = any) would trade."""
        return bool(self.keys) and (price is None or self.keys[-1] >= price * self.sign)

    def available(self, price: int | None, wanted: int) -> int:
        """Lots available to an order of the other side at *price*, at most *wanted*."""
        found = 0
        for key in reversed(self.keys):
            if found >= wanted or (price is not None and key < price * self.sign):
                break
            found += self.levels[key * self.sign].quantity
        return min(found, wanted)

    def cost(self, quantity: int) -> int:
        """The cost of the best *quantity* lots (all if there are fewer), in ticks times lots."""
        money = 0
        for key in reversed(self.keys):
            taken = min(quantity, self.levels[key * self.sign].quantity)
            money += taken * key * self.sign
            quantity -= taken
            if not quantity:
                break
        return money

    def lots_for(self, money: int) -> tuple[int, int]:
        """The most lots that cost at most *money*, and their cost; money in ticks times lots."""
        lots = cost = 0
        for key in reversed(self.keys):
            price = key * self.sign
            taken = min((money - cost) // price, self.levels[price].quantity)
            lots += taken
            cost += taken * price
            if taken < self.levels[price].quantity:
                break
        return lots, cost

    def add(self, order: BookOrder, price: int) -> None:
        """Add *order* as the last one at *price*."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = PriceLevel()
            insort(self.keys, price * self.sign)
        level.orders[order.order_id] = order
        level.quantity += order.remaining

    def reduce(self, order: BookOrder, price: int, quantity: int) -> None:
        """Reduce *order* by *quantity* lots; remove the order, and its level, if none remain."""
        level = self.levels[price]
        level.quantity -= quantity
        order.remaining -= quantity
        if not order.remaining:
            del level.orders[order.order_id]
            if not level.orders:
                del self.levels[price]
                del self.keys[bisect_left(self.keys, price * self.sign)]


class MatchingEngine:
    """One symbol's book. Order and trade ids count up from *first_id*."""

    def __init__(self, first_id: int) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.resting: dict[int, BookOrder] = {}
        self.next_order_id = first_id
        self.next_trade_id = first_id

    def best(self) -> tuple[Level | None, Level | None]:
        """The best bid and ask, None for an empty side."""
        bid, ask = self.bids.top(1), self.asks.top(1)
        return (bid[0] if bid else None), (ask[0] if ask else None)

    def submit(self, terms: Terms) -> tuple[BookOrder, list[EngineEvent]]:
        """Match an order; its remaining quantity rests or is cancelled.

        Raises:
            EngineError: a quantity or price below 1, or contradictory terms.
        """
        _check(terms)
        order = BookOrder(self.next_order_id, terms, terms.quantity)
        self.next_order_id += 1
        other = self.asks if terms.side == "buy" else self.bids
        if terms.post_only and other.reaches(terms.price):
            return order, [OrderRefused(order)]
        events: list[EngineEvent] = [OrderAccepted(order)]
        if (
            terms.time_in_force == "FOK"
            and other.available(terms.price, terms.quantity) < terms.quantity
        ):
            events.append(Killed(order, order.remaining, "fill_or_kill"))
            return order, events
        if other.reaches(terms.price):
            self._match(order, other, events)
        if not order.remaining:
            return order, events
        if terms.price is None:
            events.append(Killed(order, order.remaining, "no_liquidity"))
        elif terms.time_in_force == "IOC":
            events.append(Killed(order, order.remaining, "immediate_or_cancel"))
        else:
            own = self.bids if terms.side == "buy" else self.asks
            own.add(order, terms.price)
            self.resting[order.order_id] = order
            events.append(Rested(order, order.remaining))
        return order, events

    def cancel(self, order_id: int) -> list[EngineEvent]:
        """Remove a resting order from the book.

        Raises:
            EngineError: no such order rests.
        """
        order = self.resting.pop(order_id, None)
        if order is None or order.terms.price is None:
            raise EngineError(f"order_id={order_id}: no such order on the book")
        left = order.remaining
        side = self.bids if order.terms.side == "buy" else self.asks
        side.reduce(order, order.terms.price, left)
        return [Removed(order, left)]

    def reduce(self, order_id: int, quantity: int) -> list[EngineEvent]:
        """Reduce a resting order by *quantity* lots; it keeps its place in the queue.

        Raises:
            EngineError: no such order rests, or no lots would remain.
        """
        order = self.resting.get(order_id)
        if order is None or order.terms.price is None:
            raise EngineError(f"order_id={order_id}: no such order on the book")
        if not 0 < quantity < order.remaining:
            raise EngineError(f"quantity={quantity}: expected 1 to {order.remaining - 1} lots")
        side = self.bids if order.terms.side == "buy" else self.asks
        side.reduce(order, order.terms.price, quantity)
        return [Reduced(order, quantity)]

    def restore(self, order: BookOrder) -> None:
        """Put an order of an earlier run back on the book, without matching.

        Raises:
            EngineError: it has no price, or would trade with a resting order.
        """
        terms = order.terms
        other = self.asks if terms.side == "buy" else self.bids
        if terms.price is None or other.reaches(terms.price):
            raise EngineError(f"order_id={order.order_id}: can't rest at price={terms.price}")
        (self.bids if terms.side == "buy" else self.asks).add(order, terms.price)
        self.resting[order.order_id] = order

    def _match(self, taker: BookOrder, side: BookSide, events: list[EngineEvent]) -> None:
        while taker.remaining and side.reaches(taker.terms.price):
            price = side.keys[-1] * side.sign
            maker = next(iter(side.levels[price].orders.values()))
            quantity = min(taker.remaining, maker.remaining)
            taker.remaining -= quantity
            side.reduce(maker, price, quantity)
            if not maker.remaining:
                del self.resting[maker.order_id]
            events.append(
                Match(
                    *(self.next_trade_id, taker, maker, price, quantity),
                    *(maker.remaining, taker.remaining),
                )
            )
            self.next_trade_id += 1


def _check(terms: Terms) -> None:
    if terms.quantity < 1:
        raise EngineError(f"quantity={terms.quantity}: expected at least 1 lot")
    if terms.price is not None and terms.price < 1:
        raise EngineError(f"price={terms.price}: expected at least 1 tick")
    if terms.post_only and (terms.price is None or terms.time_in_force != "GTC"):
        raise EngineError("post_only: expected a limit order with time_in_force GTC")
