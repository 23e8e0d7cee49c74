"""In virtual time: a fresh order waits for what lacks, holds up no other, and is not forgotten."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from common_models import PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.place_order_consumer import (
    ConsumerTimings,
    PlaceOrderConsumer,
)
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    Claim,
    CommandEntry,
    CommandQueue,
    DataLossRecord,
    RedisIdentity,
    Rejection,
    RoundedOrder,
)
from tests.support.orders.commands import command
from tests.support.virtual_time import LoopClock, run_virtually

EPOCH = 1_700_000_000_000
BLOCK = 2.0
ALWAYS = float("inf")


def milliseconds() -> int:
    """The time of Redis and of the venue."""
    return EPOCH + round(asyncio.get_running_loop().time() * 1000)


def entry(at: float, symbol: str = "BTC/USDT", *, name: str = "", number: int = 0) -> CommandEntry:
    """A command that comes into the stream at that second."""
    entry_id = f"{EPOCH + round(at * 1000)}-{number}"
    order = command(symbol=symbol, client_order_id=name or f"id-{entry_id}")
    return CommandEntry(
        "place_order", entry_id, order.model_dump_json().encode(), redelivered=False
    )


class Streams:
    """The port `CommandQueue`: what comes when, and what is claimed in which order."""

    def __init__(self, *entries: CommandEntry, leased_until: float = ALWAYS) -> None:
        self.coming = list(entries)
        self.read: list[CommandEntry] = []
        self.claimed: list[str] = []
        self.faults = 0  # so many claims fail
        self._leased_until = leased_until
        self.on_read: Callable[[CommandEntry], None] = lambda _: None

    async def server(self) -> RedisIdentity:
        """The same for ever."""
        return RedisIdentity("one", milliseconds())

    async def prepare(self) -> bool:
        """The groups are there."""
        return False

    async def load_data_loss(self) -> DataLossRecord:
        """Nothing was ever forgotten."""
        return DataLossRecord("one", -1, -1)

    async def save_data_loss(self, what: DataLossRecord) -> None:
        """It is known."""

    async def newest_entry(self) -> int:
        """None."""
        return 0

    async def hold_lease(self) -> bool:
        """For a while."""
        return asyncio.get_running_loop().time() < self._leased_until

    async def own_pending(self) -> Sequence[CommandEntry]:
        """What was read and not claimed."""
        return [
            CommandEntry(e.command, e.entry_id, e.data, redelivered=True)
            for e in self.read
            if e.entry_id not in self.claimed
        ]

    async def take_over(self) -> Sequence[CommandEntry]:
        """Nothing."""
        return ()

    async def new_entries(self, *, wait: bool = True) -> Sequence[CommandEntry]:
        """At most ten."""
        found = self._come()
        if not found and wait:
            due = min((e.milliseconds for e in self.coming), default=1 << 60) - milliseconds()
            await asyncio.sleep(min(BLOCK, due / 1000))
            found = self._come()
        return found

    def _come(self) -> list[CommandEntry]:
        found = [e for e in self.coming if e.milliseconds <= milliseconds()][:10]
        self.coming = [e for e in self.coming if e not in found]
        self.read += found
        for entry in found:
            self.on_read(entry)
        return found

    async def claim(self, record: Record) -> Claim:
        """It is ours."""
        await asyncio.sleep(0)
        if self.faults:
            self.faults -= 1
            raise TransientError("no Redis")
        self.claimed.append(record.entry_id)
        return Claim(None, milliseconds())


class Market:
    """The port `Venue`, as far as the desk needs it: from when on each symbol has a book."""

    validity = 5000

    def __init__(self, **from_second: float) -> None:
        self.from_second = {name.replace("_", "/"): at for name, at in from_second.items()}
        self.ready_from = 0.0

    def milliseconds(self) -> int:
        """The venue's clock."""
        return milliseconds()

    def knows_time(self) -> bool:
        """Always."""
        return True

    def wait_reason(self, symbol: str) -> Rejection | None:
        """A book, until that second."""
        if asyncio.get_running_loop().time() >= self.from_second.get(symbol, 0.0):
            return None
        return Rejection("book_out_of_sync", "no book")

    def validate(self, order: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """As a market buy on Luno is sized: by the book."""
        return self.wait_reason(order.symbol) or RoundedOrder(str(order.quantity), None)

    async def ready(self, within: float) -> bool:
        """At once, or from some second on."""
        wait = max(0.0, self.ready_from - asyncio.get_running_loop().time())
        await asyncio.sleep(min(wait, within))
        return wait <= within


@dataclass
class Done:
    """What became of a command, and when."""

    reason: str | None
    second: float
    signed: float  # the second of its timestamp
    sent: str | None
    sendable: bool


class Carrying:
    """What `OrderExecutor` is asked to carry out."""

    def __init__(self, venue: Market) -> None:
        self.venue = self.checks = venue
        self.journal = self
        self.done: dict[str, Done] = {}

    async def unanswered(self) -> Sequence[Record]:
        """None."""
        return ()

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """Note it."""
        del query_first
        assert entry.entry_id not in self.done
        self.done[entry.entry_id] = Done(
            refusal.reason_code if refusal else None,
            round(asyncio.get_running_loop().time(), 2),
            (record.timestamp - EPOCH) / 1000,
            record.sent_quantity,
            record.sendable,
        )


def served(
    streams: Streams,
    market: Market,
    seconds: float = 40.0,
    *,
    halted: tuple[float, float] = (0.0, 0.0),
) -> dict[str, Done]:
    """What becomes of the commands, by entry id; trading is *halted* from and until a second."""
    carrying = Carrying(market)

    async def is_halted() -> Rejection | None:
        now = asyncio.get_running_loop().time()
        return Rejection("halted", "why") if halted[0] <= now < halted[1] else None

    async def serve() -> None:
        desk = PlaceOrderConsumer(
            cast("CommandQueue", streams),
            cast("OrderExecutor", carrying),
            LoopClock(),
            ConsumerTimings(max_age=10.0),
            halted=is_halted,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await desk.run()

    run_virtually(serve())
    return carrying.done


def test_an_order_waits_for_its_market_and_is_signed_after_that() -> None:
    """And sized by the book that has come."""
    order = entry(1.0)
    (done,) = served(Streams(order), Market(BTC_USDT=6.5)).values()
    assert (done.reason, done.sent) == (None, "0.5")
    assert 6.5 <= done.second <= 6.6
    assert done.signed >= 6.5
    assert done.sendable


def test_an_order_that_waited_for_as_long_as_it_may_is_refused_with_what_lacked() -> None:
    """Not as expired; and not sooner, nor later."""
    (done,) = served(Streams(entry(1.0)), Market(BTC_USDT=ALWAYS)).values()
    assert done.reason == "book_out_of_sync"
    assert 11.0 <= done.second <= 11.1


def test_an_order_that_lacks_something_holds_up_none_of_another_market() -> None:
    """Nor do those that come later wait for it."""
    timings, goes, late = entry(1.0), entry(1.0, "ETH/USDT", number=1), entry(3.0, "ETH/USDT")
    done = served(Streams(timings, goes, late), Market(BTC_USDT=6.0))
    assert done[goes.entry_id].second <= 1.1
    assert done[late.entry_id].second <= 3.1
    assert done[timings.entry_id].second >= 6.0


def test_orders_of_one_market_are_claimed_in_the_order_of_the_stream() -> None:
    """Those that came while others were held back, too."""
    orders = [entry(1.0, number=n) for n in range(25)] + [entry(4.0), entry(6.001)]
    streams = Streams(*orders)
    done = served(streams, Market(BTC_USDT=6.0))
    assert streams.claimed == [order.entry_id for order in orders]
    assert {one.reason for one in done.values()} == {None}


def test_an_id_is_claimed_in_the_order_of_the_stream_whatever_the_market() -> None:
    """Whose it is must not depend on a book."""
    first, second = entry(1.0, name="same"), entry(1.0, "ETH/USDT", name="same", number=1)
    streams = Streams(first, second)
    served(streams, Market(BTC_USDT=6.0))
    assert streams.claimed == [first.entry_id, second.entry_id]


def test_an_order_that_is_too_old_when_it_is_read_doesnt_wait() -> None:
    """It is expired, whatever lacks."""
    old = entry(-20.0)
    market = Market(ETH_USDT=ALWAYS)
    market.validate = lambda order: RoundedOrder(str(order.quantity), None)  # type: ignore[method-assign]
    streams = Streams(old, entry(-20.0, "ETH/USDT", number=1))
    done = served(streams, market, seconds=1.0)
    assert [one.reason for one in done.values()] == ["expired", "expired"]


def test_what_was_held_back_when_the_connection_broke_is_read_again_and_sent() -> None:
    """It is as fresh as it was: nobody has begun with it."""
    timings, breaks = entry(1.0), entry(2.0, "ETH/USDT")
    streams = Streams(timings, breaks)
    streams.faults = 1
    done = served(streams, Market(BTC_USDT=6.0))
    assert done[timings.entry_id].reason is done[breaks.entry_id].reason is None
    assert 6.0 <= done[timings.entry_id].second <= 6.1


def test_what_was_held_back_when_its_claim_failed_is_claimed_again() -> None:
    """Whichever of several it was."""
    orders = [entry(1.0, number=n) for n in range(3)]
    streams = Streams(*orders)
    streams.faults = 2
    done = served(streams, Market(BTC_USDT=6.0))
    assert streams.claimed == [order.entry_id for order in orders]
    assert max(one.second for one in done.values()) <= 7.0


def test_a_crowd_that_waits_is_bounded_and_each_is_answered() -> None:
    """Beyond the bound they stay in the stream, where the next find them too old."""
    orders = [entry(1.0, number=n) for n in range(150)]
    streams = Streams(*orders)
    done = served(streams, Market(BTC_USDT=8.0))
    assert {one.reason for one in done.values()} == {None}
    assert streams.claimed == [order.entry_id for order in orders]

    streams = Streams(*orders)
    reading = 0

    async def look() -> None:
        nonlocal reading
        await asyncio.sleep(5.0)
        reading = len(streams.read)

    async def both() -> None:
        desk = PlaceOrderConsumer(
            cast("CommandQueue", streams),
            cast("OrderExecutor", Carrying(Market(BTC_USDT=8.0))),
            LoopClock(),
        )
        task = asyncio.create_task(desk.run())
        await look()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtually(both())
    assert PlaceOrderConsumer.MAX_IN_FLIGHT <= reading < PlaceOrderConsumer.MAX_IN_FLIGHT + 10


def test_what_is_held_back_is_answered_though_the_lease_is_lost() -> None:
    """It was read here, and nobody else looks at it for a minute."""
    (done,) = served(Streams(entry(1.0), leased_until=2.0), Market(BTC_USDT=6.0)).values()
    assert done.reason is None
    assert done.second <= 7.1


def test_an_order_is_refused_with_what_lacked_though_it_could_be_sized() -> None:
    """It is too old by then, too; what lacked is what helps."""
    market = Market(BTC_USDT=ALWAYS)
    market.validate = lambda order: RoundedOrder(str(order.quantity), None)  # type: ignore[method-assign]
    (done,) = served(Streams(entry(1.0)), market).values()
    assert (done.reason, done.sent) == ("book_out_of_sync", "0.5")


def test_an_order_is_sized_after_the_wait_for_the_budget() -> None:
    """By the market as it is then."""
    market = Market()
    market.ready_from = 5.0

    def validate(order: PlaceOrderCommand) -> RoundedOrder:
        del order
        return RoundedOrder(f"{asyncio.get_running_loop().time():.0f}", None)

    market.validate = validate  # type: ignore[method-assign]
    (done,) = served(Streams(entry(1.0)), market).values()
    assert (done.reason, done.sent) == (None, "5")


def test_an_entry_that_another_process_may_have_started_waits_for_nothing() -> None:
    """It is never sent, so no market matters."""
    streams = Streams()
    streams.read = [entry(-2.0)]
    (done,) = served(streams, Market(BTC_USDT=ALWAYS)).values()
    assert not done.sendable
    assert done.second < 0.1


def test_a_market_that_is_back_while_the_next_command_is_read_changes_no_order() -> None:
    """Those that waited come first."""
    orders = [entry(1.0), entry(6.0)]
    streams, market = Streams(*orders), Market(BTC_USDT=ALWAYS)

    def book_is_back(read: CommandEntry) -> None:
        if read is orders[1]:
            market.from_second.clear()

    streams.on_read = book_is_back
    served(streams, market)
    assert streams.claimed == [order.entry_id for order in orders]


def test_no_order_waits_for_the_budget_through_a_halt_to_leave_after_it() -> None:
    """Neither the one that waits when the halt comes, nor those behind it."""
    market = Market()
    market.ready_from = 8.0
    orders = [entry(1.0), entry(1.0, number=1), entry(4.0), entry(5.5)]
    done = served(Streams(*orders), market, halted=(3.0, 5.0))
    assert [one.reason for one in done.values()] == ["halted"] * 3 + [None]
    assert [one.second for one in done.values()][2:] == [4.0, 8.0]
    assert max(one.second for one in list(done.values())[:2]) <= 3.3


def test_no_order_waits_for_its_market_through_a_halt_to_leave_after_it() -> None:
    """They are refused in the order of the stream."""
    orders = [entry(1.0), entry(1.0, number=1), entry(4.0), entry(5.5)]
    streams = Streams(*orders)
    done = served(streams, Market(BTC_USDT=8.0), halted=(3.0, 5.0))
    assert [one.reason for one in done.values()] == ["halted"] * 3 + [None]
    assert streams.claimed == [order.entry_id for order in orders]
    assert [
        done[order.entry_id].second < limit
        for order, limit in zip(orders, (3.1, 3.1, 4.1, 9.0), strict=True)
    ] == [True] * 4


def test_a_halt_that_began_and_ended_before_an_order_came_stops_none() -> None:
    """It leaves at once."""
    (done,) = served(Streams(entry(5.0)), Market(), halted=(1.0, 4.9)).values()
    assert (done.reason, done.second) == (None, 5.0)
