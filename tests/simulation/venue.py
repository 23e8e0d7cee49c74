"""A venue that fails, with the rules of Binance or of Luno that the promise leans on."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from common_models import PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    RoundedOrder,
    VenueAcceptance,
    VenueOrder,
)
from tests.simulation import loop as virtual
from tests.simulation.faults import Faults
from tests.simulation.loop import Timers
from tests.simulation.process import Process, Reply, Trouble
from tests.simulation.redis import EPOCH
from tests.simulation.venue_order import Order, VenueKind

Way = Literal["find", "search"]

VALIDITY_MS = 5000
HTTP_TIMEOUT = 10.0
LONGEST_IN_NETWORK = 15.0
LONGEST_IN_ENGINE = 8.0
LONGEST_HIDDEN = 300.0
CLOCK_ERROR_MS = 1000  # by which a process may be wrong about the venue's clock
SYMBOL = "BTC/USDT"
PRICE = 100


@dataclass(frozen=True)
class Post:
    """One POST that left a process."""

    entry_id: str
    client_order_id: str
    timestamp: int
    process: Process | None = None
    sent_at: float = 0.0  # virtual seconds


@dataclass(frozen=True)
class Look:
    """One look for an order that the venue answered with "there is none", and when it did."""

    way: Way
    at: float  # venue milliseconds


class FaultyVenue:
    """One account at one venue.

    `lenient` keeps orders visible in one of two ways, and the engine quick: see the assumptions
    in `world.py`.
    """

    def __init__(
        self,
        kind: VenueKind,
        rng: random.Random,
        faults: Faults,
        say: Callable[[str], None],
        *,
        lenient: bool,
    ) -> None:
        self.orders: list[Order] = []
        self.posts: list[Post] = []
        self.refused: dict[str, str] = {}  # by entry id: the reason code
        self.misses: defaultdict[str, list[Look]] = defaultdict(list)  # by client order id
        self._life_began = 0
        self._reset_at = float("inf")  # venue milliseconds
        self.under_way = 0
        self.on_executed: Callable[[Order], None] = lambda _: None
        self._kind = kind
        self._rng = rng
        self._faults = faults
        self._say = say
        self._lenient = lenient
        self._loop = virtual.current()
        self._timers = Timers()
        self._ahead = rng.uniform(-2000, 2000)
        self._banned_until = 0.0

    def milliseconds(self) -> float:
        """Its clock."""
        return self.milliseconds_at(self._loop.time())

    def milliseconds_at(self, seconds: float) -> float:
        """What its clock shows at that virtual second."""
        return EPOCH + seconds * 1000 + self._ahead

    def known(self, client_order_id: str) -> list[Order]:
        """All orders that there ever were with that client order id."""
        return [order for order in self.orders if order.client_order_id == client_order_id]

    def living(self) -> list[Order]:
        """The orders since ids began."""
        return self.orders[self._life_began :]

    def deleted(self, order: Order, milliseconds: float) -> bool:
        """True if a reset had deleted the order by that venue time: nothing shows it any more."""
        return order not in self.living() and milliseconds >= self._reset_at

    # --- the POST

    def post(
        self, record: Record, reply: Reply[PlaceOutcome], process: Process | None = None
    ) -> None:
        """Take the POST from a process: what it is told, and what happens, are two things."""
        self.posts.append(
            Post(
                record.entry_id,
                record.client_order_id,
                record.timestamp,
                process,
                self._loop.time(),
            )
        )
        fate = self._fate()
        self._say(f"POST {record.client_order_id} for {record.entry_id}: {fate}")
        network = self._rng.uniform(0.01, 0.2)
        # A lost reply is noticed at once (the connection broke) or never (it hangs).
        silence = network + self._rng.choice((0.0, HTTP_TIMEOUT))
        match fate:
            case "answered":
                self._after(network, lambda: self._receive(record, reply))
            case "lost":
                self._after(silence, lambda: reply(OutcomeUnknown("no answer")))
            case "late":
                held_up = self._rng.uniform(0, LONGEST_IN_NETWORK)
                self._after(held_up, lambda: self._receive(record, _nobody, queued=True))
                self._after(silence, lambda: reply(OutcomeUnknown("no answer")))
            case "fails_before":
                self._after(network, lambda: reply(OutcomeUnknown("HTTP 503")))
            case "fails_after":
                self._after(network, lambda: self._receive(record, _nobody))
                self._after(network, lambda: reply(OutcomeUnknown("HTTP 504")))
            case "no_reply":
                self._after(network, lambda: self._receive(record, _nobody))
                self._after(silence, lambda: reply(OutcomeUnknown("no answer")))
            case "refused":
                self._after(network, lambda: self._refuse(record, reply, "exchange_rejected"))

    def _fate(self) -> str:
        names = ("lost", "late", "fails_before", "fails_after", "no_reply", "refused")
        chances = [getattr(self._faults, name) for name in names]
        answered = max(0.0, 1.0 - sum(chances))
        return self._rng.choices(("answered", *names), (answered, *chances))[0]

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self.under_way += 1

        def done() -> None:
            self.under_way -= 1
            act()

        self._timers.after(seconds, done)

    def _receive(self, record: Record, reply: Reply[PlaceOutcome], *, queued: bool = False) -> None:
        """The request has come in: its time is checked now, and again just before matching."""
        if self._loop.time() < self._banned_until:
            self._refuse(record, reply, "rate_limited")
        elif not self._in_time(record):
            self._too_late(record, reply)
        else:
            queue = self._rng.uniform(0, 6.0) if queued else self._rng.uniform(0, 0.05)
            self._after(queue, lambda: self._to_engine(record, reply, slow=queued))

    def _to_engine(self, record: Record, reply: Reply[PlaceOutcome], *, slow: bool) -> None:
        if not self._in_time(record):
            self._too_late(record, reply)
            return
        # What is in the engine isn't looked at again.
        longest = (1.0 if self._lenient else LONGEST_IN_ENGINE) if slow else 0.02
        self._after(self._rng.uniform(0, longest), lambda: self._match(record, reply))

    def _in_time(self, record: Record) -> bool:
        now = self.milliseconds()
        return record.timestamp - 1000 <= now <= record.timestamp + record.validity

    def _too_late(self, record: Record, reply: Reply[PlaceOutcome]) -> None:
        if self._kind == "luno":
            self._refuse(record, reply, "exchange_rejected")
        else:
            self._say(f"{record.client_order_id} is outside its time")
            reply(OutcomeUnknown("-1021"))

    def _match(self, record: Record, reply: Reply[PlaceOutcome]) -> None:
        # Binance: unique among open orders only. Luno: unique among all that ever were.
        rivals = [o for o in self.living() if o.client_order_id == record.client_order_id]
        if any(order.open or self._kind == "luno" for order in rivals):
            self._say(f"{record.client_order_id} is a duplicate")
            reply(OutcomeUnknown("duplicate"))
            return
        found_from, searched_from = self._shown_from()
        order = self.new_order(
            record.order, record.sent_quantity, record.sent_price, found_from, searched_from
        )
        self._say(f"{record.client_order_id} is executed as {order.order_id}")
        self.on_executed(order)
        reply(VenueAcceptance(order.as_told()))

    def new_order(
        self,
        command: PlaceOrderCommand,
        quantity: str | None = None,
        price: str | None = None,
        found_from: float = 0.0,
        searched_from: float = 0.0,
    ) -> Order:
        """An order, in the engine from now on. Ids are those of its symbol, and begin anew."""
        ids = len([o for o in self.orders[self._life_began :] if o.symbol == command.symbol])
        order = Order(
            order_id=str(ids + 1),
            client_order_id=command.client_order_id,
            command=command,
            quantity=Decimal(quantity or str(command.quantity)),
            price=Decimal(price or str(command.price or PRICE)),
            created=int(self.milliseconds()),
            found_from=found_from,
            searched_from=searched_from,
        )
        self.orders.append(order)
        return order

    def begin_anew(self) -> None:
        """A testnet is reset: all orders are gone, and ids begin with 1 again."""
        self._life_began = len(self.orders)
        self._reset_at = self.milliseconds()

    def _shown_from(self) -> tuple[float, float]:
        """From when on queries and searches show an order that is executed now."""
        now, hidden = self._loop.time(), self._rng.random() < self._faults.hidden
        shown = [now + self._rng.choice((0.0, self._rng.uniform(0, 0.5))) for _ in range(2)]
        if hidden:
            for way in self._rng.choice(((0,), (1,)) if self._lenient else ((0,), (0, 1))):
                shown[way] = now + self._rng.uniform(1, LONGEST_HIDDEN)
        return shown[0], shown[1]

    def _refuse(self, record: Record, reply: Reply[PlaceOutcome], reason_code: str) -> None:
        self._say(f"{record.client_order_id} is refused: {reason_code}")
        self.refused[record.entry_id] = reason_code
        reply(Rejection(reason_code, "no"))

    # --- queries, switches and bans

    def ask(self, way: Way, client_order_id: str, reply: Reply[VenueOrder | None]) -> None:
        """Answer a query with the first order of that id that it shows."""

        def answer() -> None:
            if self._rng.random() < self._faults.query_errors:
                reply(TransientError("the query failed"))
                return
            now = self._loop.time()
            for order in self.living():
                if order.client_order_id != client_order_id:
                    continue
                if (order.found_from if way == "find" else order.searched_from) <= now:
                    reply(order.as_told())
                    return
            self.misses[client_order_id].append(Look(way, self.milliseconds()))
            reply(None)

        self._timers.after(self._rng.uniform(0.01, 0.3), answer)

    def halted(self, reply: Reply[Rejection | None]) -> None:
        """Read the halt switch."""
        halted = self._rng.random() < self._faults.halted
        refusal = Rejection("halted", "trading is halted") if halted else None
        self._timers.after(self._rng.uniform(0.0002, 0.008), reply, refusal)

    def wait_out_ban(self, within: float, reply: Reply[bool]) -> None:
        """True once there is no ban; False at once where it lasts longer than *within*."""
        if self._rng.random() < self._faults.banned:
            self._banned_until = self._loop.time() + self._rng.uniform(0.5, 15)
        wait = max(0.0, self._banned_until - self._loop.time())
        if wait > within:
            self._timers.after(0.0, reply, False)
        else:
            self._timers.after(wait, reply, True)


def _nobody(_: PlaceOutcome | Trouble) -> None:
    """The reply that is lost."""


class VenuePort:
    """`ExecutionVenue` and `PreTradeChecks` of one process, whose venue clock may be wrong."""

    validity = VALIDITY_MS

    def __init__(self, process: Process, venue: FaultyVenue, error: float) -> None:
        self._process = process
        self._venue = venue
        self._error = error

    def milliseconds(self) -> int:
        """The venue's clock, as this process knows it."""
        return int(self._venue.milliseconds() + self._error)

    def knows_time(self) -> bool:
        """Always: how wrong it may be is in `error`."""
        return True

    def wait_reason(self, symbol: str) -> Rejection | None:
        """Nothing: account and books are not part of it."""
        del symbol
        return None

    async def ready(self, within: float) -> bool:
        """Wait out a ban."""
        return await self._process.call(
            "ready", lambda reply: self._venue.wait_out_ban(within, reply)
        )

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """One symbol, no rules."""
        if command.symbol != SYMBOL:
            return Rejection("unknown_symbol", f"symbol {command.symbol!r}; want {SYMBOL}")
        return RoundedOrder(
            str(command.quantity), None if command.price is None else str(command.price)
        )

    async def check(self, record: Record) -> Rejection | None:
        """The halt switch."""
        return await self._process.call("check", self._venue.halted)

    async def place(self, record: Record) -> PlaceOutcome:
        """POST."""
        return await self._process.call(
            "place", lambda reply: self._venue.post(record, reply, self._process)
        )

    async def find(self, record: Record) -> VenueOrder | None:
        """GET by client order id."""
        return await self._ask("find", record)

    async def search(self, record: Record) -> VenueOrder | None:
        """GET open orders and trades."""
        return await self._ask("search", record)

    async def _ask(self, way: Way, record: Record) -> VenueOrder | None:
        return await self._process.call(
            way, lambda reply: self._venue.ask(way, record.client_order_id, reply)
        )
