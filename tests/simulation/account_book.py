"""The account at a simulated venue: fills, balances, and who is told of them."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from common_models import PlaceOrderCommand
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account.order_status import (
    ZERO,
    Fill,
    OrderStatusReport,
    Status,
)
from services._connector_kit.orders.account.published_balances import PER_MILLISECOND
from services._connector_kit.orders.account.venue import (
    AccountListener,
    Balance,
    BalanceSnapshot,
    PushedBalances,
)
from tests.simulation import loop as virtual
from tests.simulation.loop import Timers
from tests.simulation.process import Process, Reply
from tests.simulation.venue import FaultyVenue
from tests.simulation.venue_order import FEE, Order, VenueKind
from tests.simulation.whole_plan import AccountFaults

FUNDS = {"USDT": Decimal(1_000_000), "BTC": Decimal(10_000), "ETH": Decimal(10_000)}
NO_SUCH_ORDER = "-2013"
LONGEST_ALIVE = 40.0


@dataclass(eq=False)
class Session:
    """One connection of the account's stream; what is pushed arrives in order, or not at all."""

    process: Process
    listener: AccountListener
    closed: asyncio.Future[None]
    arrives: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether anything still gets through."""
        return self.process.alive and not self.closed.done()


class Account:
    """One account. What happens to its orders beyond their placing is drawn."""

    def __init__(
        self,
        kind: VenueKind,
        venue: FaultyVenue,
        rng: random.Random,
        faults: AccountFaults,
        say: Callable[[str], None],
    ) -> None:
        self.venue = venue
        self.kind = kind
        self.moving = 0  # orders that something will happen to
        self._rng = rng
        self._faults = faults
        self._say = say
        self._loop = virtual.current()
        self._timers = Timers()
        self._sessions: list[Session] = []
        self.connected: dict[Process, list[tuple[float, float]]] = {}  # spans of its sessions
        self.history: list[dict[str, tuple[Decimal, Decimal]]] = []  # all balances, ever
        self._free = dict(FUNDS)
        self._locked: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._version = 0
        self.trades: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self.history.append(self.balances())
        venue.on_executed = self.executed

    # --- what happens to orders

    def executed(self, order: Order) -> None:
        """An order came into the engine."""
        asset, amount = self._needs(order, order.quantity)
        self._move(asset, -amount, amount)
        self._changed(order)
        if order.command.type == "market":
            self._after(self._rng.uniform(0, 0.05), self._trade, order)
            return
        match self._rng.choice(("fills", "fills", "rests", "canceled", "expired", "amended")):
            case "fills":
                self._after(self._rng.uniform(0, 60), self._trade, order)
            case "canceled":
                self._after(self._rng.uniform(0, 60), self._end, order, "canceled")
            case "expired":
                self._after(self._rng.uniform(0, 60), self._end, order, "expired")
            case "amended":
                self._after(self._rng.uniform(0, 40), self._amend, order)

    def place_elsewhere(self, symbol: str, number: int) -> None:
        """Somebody else with this account places an order."""
        command = PlaceOrderCommand(
            client_order_id=f"web-{number}",
            symbol=symbol,
            type=self._rng.choice(("limit", "market")),
            side=self._rng.choice(("buy", "sell")),
            quantity=self._rng.randint(1, 20),
            price=100,
        )
        order = self.venue.new_order(command)
        order.external = True
        self.executed(order)

    def begin_anew(self) -> None:
        """A testnet is reset."""
        self._say("the venue is reset: ids begin anew")
        self.venue.begin_anew()
        self.trades.clear()
        self._free, self._locked = dict(FUNDS), defaultdict(Decimal)
        self.history.append(self.balances())
        for session in list(self._sessions):
            self.drop(session)

    def _after(self, seconds: float, act: Callable[..., None], order: Order, *args: Any) -> None:
        self.moving += 1

        def happens() -> None:
            self.moving -= 1
            if order.open and order in self.venue.living():
                act(order, *args)

        self._timers.after(seconds, happens)

    def _trade(self, order: Order) -> None:
        """One fill; and the next ones, until it is filled."""
        left = order.quantity - order.filled
        whole = left <= 1 or self._rng.random() < 0.5
        self.fill(order, left if whole else (left / 2).to_integral_value())
        if order.open:
            gap = self._rng.choice((self._rng.uniform(0, 0.02), self._rng.uniform(0, 30)))
            self._after(gap, self._trade, order)

    def fill(self, order: Order, quantity: Decimal) -> None:
        """Execute a part of it."""
        price = order.price
        trades = self.trades[order.symbol]
        trades.append((len(trades) + 1, order.order_id))
        fill = Fill(
            str(len(trades)),
            int(self.venue.milliseconds()),
            price,
            quantity,
            "USDT",
            quantity * price * FEE,
        )
        order.fills.append(fill)
        base = order.symbol.partition("/")[0]
        if order.command.side == "buy":
            self._move("USDT", ZERO, -quantity * price)
            self._move(base, quantity, ZERO)
        else:
            self._move(base, ZERO, -quantity)
            self._move("USDT", quantity * price, ZERO)
        self._move("USDT", -fill.fee, ZERO)
        order.status = "filled" if order.filled >= order.quantity else "partially_filled"
        self._changed(order, fill)

    def _end(self, order: Order, status: Status) -> None:
        asset, amount = self._needs(order, order.quantity - order.filled)
        self._move(asset, amount, -amount)
        order.status = status
        self._changed(order)

    def _amend(self, order: Order) -> None:
        """Somebody else makes it smaller, and it keeps its place."""
        less = (order.quantity - order.filled) // 2
        if less <= 0:
            return
        asset, amount = self._needs(order, less)
        self._move(asset, amount, -amount)
        order.quantity -= less
        self._say(f"{order.symbol} {order.order_id} is amended to {order.quantity}")
        self._changed(order)
        self._after(self._rng.uniform(0, 30), self._trade, order)

    @staticmethod
    def _needs(order: Order, quantity: Decimal) -> tuple[str, Decimal]:
        base, _, quote = order.symbol.partition("/")
        return (quote, quantity * order.price) if order.command.side == "buy" else (base, quantity)

    def _move(self, asset: str, free: Decimal, locked: Decimal) -> None:
        self._free[asset] += free
        self._locked[asset] += locked

    def _changed(self, order: Order, *fills: Fill) -> None:
        order.updated = max(int(self.venue.milliseconds()), order.updated + 1)
        self._version = max(int(self.venue.milliseconds()) * PER_MILLISECOND, self._version + 1)
        self._say(f"{order.symbol} {order.order_id} is {order.status}, {order.filled} filled")
        self.history.append(self.balances())
        report = order.report(self.kind, fills)
        pushed = self.snapshot()
        for session in list(self._sessions):
            if self._rng.random() >= self._faults.unheard:
                self._push(session, report, PushedBalances(pushed.balances, pushed.version))

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and locked, by asset."""
        return {asset: (self._free[asset], self._locked[asset]) for asset in sorted(self._free)}

    def snapshot(self) -> BalanceSnapshot:
        """All balances now."""
        balances = [Balance(a, self._free[a], self._locked[a]) for a in sorted(self._free)]
        version = self._version if self.kind == "binance" else 0
        return BalanceSnapshot([b for b in balances if not b.is_zero], version)

    # --- the stream

    def connect(self, process: Process, listener: AccountListener, reply: Reply[Session]) -> None:
        """Begin a session of the stream; it ends some day."""

        def connected() -> None:
            if self._refused():
                reply(FeedStoppedError("401"))
            elif self._rng.random() < self._faults.errors:
                reply(TransientError("no connection"))
            else:
                session = Session(process, listener, self._loop.create_future())
                self._sessions.append(session)
                self.connected.setdefault(process, []).append((self._loop.time(), float("inf")))
                if self._rng.random() < self._faults.drops:
                    self._timers.after(self._rng.uniform(0, LONGEST_ALIVE), self.drop, session)
                reply(session)

        self._timers.after(self._rng.uniform(0.01, 0.3), connected)

    def drop(self, session: Session) -> None:
        """The connection breaks; what is on its way is lost."""
        if session in self._sessions:
            self._sessions.remove(session)
            spans = self.connected[session.process]
            spans[-1] = (spans[-1][0], self._loop.time())
            if not session.closed.done():
                session.closed.set_result(None)

    def _push(self, session: Session, report: OrderStatusReport, balances: PushedBalances) -> None:
        delay = self._rng.choice((self._rng.uniform(0, 0.05), self._rng.uniform(0, 5)))
        session.arrives = max(session.arrives, self._loop.time() + delay)

        def arrive() -> None:
            if session.alive:
                session.listener.received(report)
                if self.kind == "binance":
                    session.listener.received(balances)
                else:
                    session.listener.balances_changed()

        self._timers.after(session.arrives - self._loop.time(), arrive)

    # --- requests

    def heal(self) -> None:
        """From now on no request fails."""
        self._faults = replace(self._faults, errors=0.0, lost_answers=0.0, stray_401=0.0)

    def _refused(self) -> bool:
        """Whether the key is refused now, for a while or by a whim."""
        now = self._loop.time()
        stray = self._rng.random() < self._faults.stray_401
        return stray or any(begin <= now < end for begin, end in self._faults.refusals)

    def ask(self, work: Callable[[], Any], reply: Reply[Any], *, key: bool = True) -> None:
        """A request, signed with the key: *work* is what the venue does for it, and its answer."""

        def carry_out() -> None:
            found: Any
            if key and self._refused():
                found = FeedStoppedError("401")
            elif self._rng.random() < self._faults.errors:
                found = TransientError("HTTP 503")
            else:
                try:
                    found = work()
                except RejectedError as e:
                    found = e
                if self._rng.random() < self._faults.lost_answers:
                    found = TransientError("the answer was lost")
            back = self._rng.choice((self._rng.uniform(0, 0.05), self._rng.uniform(0, 0.5)))
            self._timers.after(back, reply, found)

        self._timers.after(self._rng.uniform(0.005, 0.2), carry_out)

    def find(self, symbol: str, order_id: str | None, client_order_id: str | None) -> Order:
        """The newest order with these ids; RejectedError where none is shown."""
        for order in reversed(self.venue.living()):
            named = order_id in (None, order.order_id)
            called = client_order_id in (None, order.client_order_id)
            shown = order.found_from <= self._loop.time()
            if order.symbol == symbol and named and called and shown:
                return order
        raise RejectedError("no such order", code=NO_SUCH_ORDER)

    def open_orders(self) -> list[Order]:
        """The open orders that are shown."""
        now = self._loop.time()
        return [o for o in self.venue.living() if o.open and o.searched_from <= now]

    def cancel(self, symbol: str, order_id: str | None, client_order_id: str | None) -> str:
        """Cancel an order, shown or not; RejectedError where there is nothing to cancel."""
        for order in self.venue.living():
            named = order_id in (None, order.order_id)
            called = client_order_id in (None, order.client_order_id)
            if order.symbol == symbol and named and called and order.open:
                self._end(order, "canceled")
                return order.order_id
        raise RejectedError("nothing to cancel", code="-2011")
