"""Seeded random traders that keep one market's book two-sided and moving.

Their orders, and so all events while no other client trades, depend on the seed and the symbol
alone; the clock only sets the timestamps.
"""

from random import Random

from services.exchange_simulator.fair_value import RANGING, TRENDING, FairValue
from services.exchange_simulator.market import MarketStep, SimulatedMarket
from services.exchange_simulator.matching import (
    BookOrder,
    Match,
    Removed,
    Rested,
    Side,
    Terms,
    TimeInForce,
)

TRADERS = "traders"
WARM_UP = 200  # actions before the market opens, so that it has traded already

# The mean distance of orders from the fair value, as a share of it: most near, some deep.
NEAR, DEEP, DEEP_SHARE = 0.0002, 0.03, 0.35
# The share of actions that take liquidity. The others place or cancel, to keep the book full.
TAKE_SHARE = 0.3
MAX_SIZE = 20  # in multiples of the typical quantity


class OrderPool:
    """Ids of resting orders, to pick any of them at random in constant time."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._at: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, order_id: int) -> None:
        """Add an id."""
        self._at[order_id] = len(self._ids)
        self._ids.append(order_id)

    def discard(self, order_id: int) -> None:
        """Remove an id; the last one moves to its place."""
        at = self._at.pop(order_id)
        last = self._ids.pop()
        if last != order_id:
            self._ids[at] = last
            self._at[last] = at

    def ids(self) -> list[int]:
        """All ids."""
        return list(self._ids)

    def pick(self, rng: Random) -> int:
        """A random id; the pool must not be empty."""
        return self._ids[int(rng.random() * len(self._ids))]


class Traders:
    """The traders of one market; they keep about *orders* resting orders on each side.

    *phase* is the average length of a trend or a range in actions; None: a random walk.
    """

    def __init__(
        self, market: SimulatedMarket, seed: int, orders: int, phase: int | None = None
    ) -> None:
        self._market = market
        self._instrument = market.instrument
        self._orders = orders
        name = f"{seed}:{market.instrument.symbol}"
        self._rng = Random(name)  # noqa: S311 - a market, no key
        phases = Random(f"{name}:phases")  # noqa: S311
        # Luno's markets trend more, for trend-following strategies; Binance's range more.
        character = TRENDING if market.instrument.venue == "luno" else RANGING
        start = market.instrument.start_price
        self._value = FairValue(start, self._rng, phases, character, phase)
        self._pools: dict[Side, OrderPool] = {"buy": OrderPool(), "sell": OrderPool()}
        market.subscribe(self._on_step)

    def open_market(self) -> None:
        """Fill the book, then act `WARM_UP` times."""
        for _ in range(self._orders):
            self._place("buy", post_only=True)
            self._place("sell", post_only=True)
        for _ in range(WARM_UP):
            self.act()

    def move(self, price: int) -> None:
        """Set the fair value to *price* (ticks), and move the market there at once.

        Both sides are replaced around the new price; the book is never one-sided. Orders of
        others that are in the way are filled.
        """
        up = price >= self._value.price
        self._value.move(price)
        ahead: Side = "sell" if up else "buy"
        behind: Side = "buy" if up else "sell"
        self._renew(ahead)
        engine = self._market.engine
        side = engine.asks if up else engine.bids
        in_the_way = side.available(price, self._instrument.max_quantity)
        while in_the_way:
            self._market.submit(Terms(TRADERS, behind, in_the_way, price, "IOC"))
            in_the_way = side.available(price, self._instrument.max_quantity)
        self._renew(behind)
        for _ in range(WARM_UP):
            self.act()

    def _renew(self, side: Side) -> None:
        """Place new orders on a side, then cancel its old ones."""
        old = self._pools[side].ids()
        for _ in range(self._orders):
            self._place(side, post_only=True)
        for order_id in old:
            self._market.cancel(order_id)

    def act(self) -> None:
        """One action: an order or a cancel; nothing unless the market is `active`."""
        if self._market.status != "active":
            return
        rng = self._rng
        self._value.act()
        bids, asks = len(self._pools["buy"]), len(self._pools["sell"])
        if rng.random() < TAKE_SHARE:
            side = self._taker_side()
            if (asks if side == "buy" else bids) * 2 >= self._orders:
                self._take(side)
                return
        missing = 1 - (bids + asks) / (2 * self._orders)
        if rng.random() < 0.5 + 2 * missing:
            # The side with fewer orders gets the order more often, the other side the cancel.
            few_bids = rng.random() * (bids + asks + 2) < asks + 1
            self._place("buy" if few_bids else "sell", post_only=rng.random() < 0.1)
        else:
            many_bids = rng.random() * (bids + asks) < bids
            self._market.cancel(self._pools["buy" if many_bids else "sell"].pick(rng))

    def _taker_side(self) -> Side:
        """More often a buyer if the market is below the fair value, a seller if above."""
        bid, ask = self._market.engine.bids.best(), self._market.engine.asks.best()
        if bid is None or ask is None:
            return "sell" if ask is None else "buy"
        lean = (self._value.price - (bid + ask) / 2) / (self._value.price * NEAR)
        return "buy" if self._rng.random() < 0.5 + lean / 2 else "sell"

    def _take(self, side: Side) -> None:
        rng = self._rng
        engine = self._market.engine
        best = (engine.asks if side == "buy" else engine.bids).best()
        kind = rng.random()
        price: int | None = None
        tif: TimeInForce = "GTC"
        if best is not None and kind < 0.3:
            reach = int(rng.expovariate(1.0) * self._value.price * NEAR / 4)
            price = self._within(best + reach if side == "buy" else best - reach)
            if kind < 0.02:
                tif = "FOK"
            elif kind < 0.1:
                tif = "IOC"
        self._market.submit(Terms(TRADERS, side, self._size(), price, tif))

    def _place(self, side: Side, *, post_only: bool) -> None:
        rng = self._rng
        width = DEEP if rng.random() < DEEP_SHARE else NEAR
        distance = rng.expovariate(1.0) * self._value.price * width + 0.5
        price = self._value.price - distance if side == "buy" else self._value.price + distance
        self._market.submit(
            Terms(TRADERS, side, self._size(), self._within(round(price)), "GTC", post_only)
        )

    def _size(self) -> int:
        typical = self._instrument.typical_quantity
        drawn = round(typical * min(self._rng.lognormvariate(0.0, 1.0), MAX_SIZE))
        return max(drawn, self._instrument.min_quantity)

    def _within(self, price: int) -> int:
        return min(max(price, self._instrument.min_price), self._instrument.max_price)

    def _on_step(self, step: MarketStep) -> None:
        """Track which of the traders' orders rest."""
        for event in step.events:
            if isinstance(event, Rested):
                if event.order.terms.owner == TRADERS:
                    self._pool(event.order).add(event.order.order_id)
            elif isinstance(event, Removed):
                self._discard(event.order)
            elif isinstance(event, Match) and not event.maker_left:
                self._discard(event.maker)

    def _discard(self, order: BookOrder) -> None:
        if order.terms.owner == TRADERS:
            self._pool(order).discard(order.order_id)

    def _pool(self, order: BookOrder) -> OrderPool:
        return self._pools[order.terms.side]
