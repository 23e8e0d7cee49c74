"""Cancels and questions in virtual time: each is answered once, and the answer is true."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest

from common_models import CancelAllProgress, CommandResponseEvent
from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import OrderStatusReport, Status
from services._connector_kit.orders.account.published_balances import PublishedBalances
from services._connector_kit.orders.account.reconciler import AccountReconciler
from services._connector_kit.orders.commands.answers import accepted, rejected
from services._connector_kit.orders.commands.cancel_all import AT_ONCE
from services._connector_kit.orders.commands.cancel_order import UNKNOWN_A_MINUTE
from services._connector_kit.orders.commands.request_consumer import (
    MAX_AT_ONCE,
    MAX_READ,
    RequestConsumer,
)
from services._connector_kit.orders.commands.request_ports import GIVE_UP_AFTER, VenueOpenOrder
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import (
    CommandEntry,
    CommandQueue,
    OrderJournal,
    Rejection,
    VenueOrder,
)
from services._connector_kit.rate_limit import Priority, in_force
from tests.support.orders.account import (
    NOW,
    AccountInMemory,
    BalancesInMemory,
    LedgerInMemory,
    order,
)
from tests.support.orders.commands import command, record
from tests.support.virtual_time import LoopClock, run_virtually


class Streams:
    """The bus and the journal of one desk: entries in, answers out."""

    def __init__(self, entries: Sequence[CommandEntry], records: Sequence[Record]) -> None:
        self._new = list(entries)
        self.records = {taken.client_order_id: taken for taken in records}
        self.pending: list[CommandEntry] = []
        self.answers: dict[str, CommandResponseEvent] = {}
        self.letters: dict[str, str] = {}
        self.answered_at: dict[str, float] = {}
        self.faults: list[Exception] = []

    async def prepare(self) -> bool:
        """There are groups."""
        return False

    async def own_pending(self) -> Sequence[CommandEntry]:
        """What was read and not answered."""
        return list(self.pending)

    async def take_over(self) -> Sequence[CommandEntry]:
        """There is nobody else."""
        return []

    async def new_entries(self) -> Sequence[CommandEntry]:
        """All at once; then nothing for two seconds, and so on."""
        if self.faults:
            raise self.faults.pop(0)
        found, self._new = self._new, []
        self.pending += found
        await asyncio.sleep(0.0 if found else 2.0)
        return found

    async def newest_entry(self, _: CommandEntry) -> int:
        """Of all that came so far."""
        numbers = [int(entry_id.partition("-")[0]) for entry_id in self.answered_at]
        return max(numbers + [each.milliseconds for each in (*self._new, *self.pending)])

    async def get(self, client_order_id: str) -> Record | None:
        """The journal's record."""
        return self.records.get(client_order_id)

    async def unanswered(self) -> Sequence[Record]:
        """The journal's records without a final answer."""
        return [record for record in self.records.values() if record.state != "closed"]

    async def answer(
        self, entry: CommandEntry, answer: bytes | None, dead_letter: str | None
    ) -> None:
        """Keep it; a second one would be a fault of the desk."""
        assert entry.entry_id not in self.answered_at
        self.pending.remove(entry)
        self.answered_at[entry.entry_id] = asyncio.get_running_loop().time()
        if answer is not None:
            self.answers[entry.entry_id] = CommandResponseEvent.model_validate_json(answer)
        if dead_letter is not None:
            self.letters[entry.entry_id] = dead_letter


def entry(name: str, number: int = 1, **fields: Any) -> CommandEntry:
    """One command."""
    content = {"client_request_id": f"request-{number}", **fields}
    return CommandEntry(name, f"{number}-0", json.dumps(content).encode(), redelivered=False)


def cancel(number: int = 1, **fields: Any) -> CommandEntry:
    """A cancel of BTC/USDT."""
    return entry("cancel_order", number, symbol="BTC/USDT", **fields)


class Served:
    """What becomes of commands at a venue."""

    def __init__(
        self,
        venue: AccountInMemory | None,
        *entries: CommandEntry,
        records: Sequence[Record] = (),
        redis_faults: Sequence[Exception] = (),
        told: Sequence[OrderStatusReport] = (),
        accepted: Sequence[OrderRef] = (),
        happens: Sequence[tuple[float, Callable[[Streams], object]]] = (),
        orders_wait_until: float = 0.0,
        operator: bool = False,
        seconds: float = 120.0,
    ) -> None:
        self.operator = operator
        self.seconds = seconds
        self.progress: list[CancelAllProgress | None] = []
        self.streams = Streams(entries, records)
        self.streams.faults = list(redis_faults)
        self.ledger = LedgerInMemory()
        self.ledger.waiting.update({ref: f"client-{ref.order_id}" for ref in accepted})
        self.balances = BalancesInMemory()
        self._venue = venue
        self._told = told
        self._happens = happens
        self._orders_wait_until = orders_wait_until
        run_virtually(self._serve())

    async def _serve(self) -> None:
        ledger = cast("Ledger", self.ledger)
        for report in self._told:
            await self.ledger.publish(report)
        self.ledger.events.clear()
        account = None
        if self._venue is not None:
            account = AccountReconciler(
                self._venue,
                ledger,
                cast("PublishedBalances", self.balances),
                LoopClock(),
                30.0,
                AccountHealth(LoopClock()),
            )
        desk = RequestConsumer(
            cast("CommandQueue", self.streams),
            cast("OrderJournal", self.streams),
            LoopClock(),
            "binance",
            self._venue,
            account,
            ledger,
            lambda: NOW,
            orders_waiting=self._orders_waiting,
            newest_entry=self.streams.newest_entry,
            operator=self.operator,
            estimate=lambda requests, _: requests / 2,
            on_progress=self.progress.append,
        )
        loop = asyncio.get_running_loop()
        for second, what in self._happens:
            loop.call_at(second, what, self.streams)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await desk.run()

    async def _orders_waiting(self) -> bool:
        return asyncio.get_running_loop().time() < self._orders_wait_until

    def outcome(self, number: int = 1) -> tuple[str, str | None]:
        """Status and reason code of an answer."""
        answer = self.streams.answers[f"{number}-0"]
        assert answer.client_request_id == f"request-{number}"
        assert answer.exchange == "binance"
        return answer.status, answer.reason_code


def test_an_open_order_is_cancelled_and_the_cancel_published() -> None:
    """By either id."""
    served = Served(
        AccountInMemory(order("1"), order("2")),
        cancel(1, order_id="1"),
        cancel(2, client_order_id="client-2"),
    )
    assert [served.outcome(number) for number in (1, 2)] == [("done", None)] * 2
    assert sorted(served.ledger.events) == [("1", "canceled", 0.0), ("2", "canceled", 0.0)]


@pytest.mark.parametrize("ids", [{}, {"order_id": "1"}])
def test_an_order_that_was_amended_elsewhere_is_cancelled_by_the_id_that_stays(
    ids: dict[str, Any],
) -> None:
    """The venue knows it by another client id; it is to get ours back."""
    venue = AccountInMemory(order("1", client_order_id="auto-1"))
    served = Served(venue, cancel(client_order_id="ours", **ids), told=[ours("1")])
    assert served.outcome() == ("done", None)
    assert venue.kept == ["ours"]
    assert served.ledger.events == [("1", "canceled", 0.0)]


def ours(order_id: str, status: Status = "open") -> OrderStatusReport:
    """An order that was published with our client id."""
    return order(order_id, status, client_order_id="ours")


def test_an_order_that_was_amended_elsewhere_can_be_asked_for_by_our_id() -> None:
    """It is told under our id."""
    venue = AccountInMemory(order("1", client_order_id="auto-1"))
    asked = entry("query_order", symbol="BTC/USDT", client_order_id="ours")
    served = Served(venue, asked, told=[ours("1")])
    assert served.outcome() == ("done", None)
    (told,) = served.ledger.latest.values()
    assert told.client_order_id == "ours"


def test_a_client_id_that_was_used_again_is_the_newer_orders() -> None:
    """Binance takes the id of a closed order again, and the newer one may not be published yet."""
    venue = AccountInMemory(ours("2"), ours("1", "canceled"))
    served = Served(venue, cancel(client_order_id="ours"), told=[ours("1", "canceled")])
    assert served.outcome() == ("done", None)
    assert venue.orders["2"].status == "canceled"


def test_a_closed_order_that_has_another_client_id_by_now_is_found_all_the_same() -> None:
    """Somebody cancelled it elsewhere, which gave it another id: to cancel it again is done."""
    venue = AccountInMemory(order("1", "canceled", client_order_id="auto-1"))
    served = Served(venue, cancel(client_order_id="ours"), told=[ours("1", "canceled")])
    assert served.outcome() == ("done", None)


def test_ids_that_do_not_belong_together_are_for_the_venue_to_judge() -> None:
    """Neither order is cancelled where the venue says that there is none of both ids."""
    venue = AccountInMemory(order("3"), order("1"))
    named_by_both = cancel(client_order_id="ours", order_id="9")
    served = Served(venue, named_by_both, told=[ours("1")])
    assert served.outcome() == ("rejected", "nothing_to_cancel")
    assert {report.status for report in venue.orders.values()} == {"open"}


def test_a_cancelled_order_keeps_its_client_id() -> None:
    """That it was published with; of one that was never published the venue finds it out."""
    venue = AccountInMemory(order("1"), order("2"), order("3"))
    served = Served(
        venue, cancel(1, order_id="1"), cancel(2, order_id="2"), told=[ours("1"), order("2")]
    )
    assert [served.outcome(number) for number in (1, 2)] == [("done", None)] * 2
    assert sorted(map(str, venue.kept)) == ["client-2", "ours"]
    assert Served(venue, cancel(1, order_id="3")).outcome() == ("done", None)
    assert venue.kept[2] is None
    everything = AccountInMemory(order("4"))
    Served(everything, entry("cancel_all_orders"))
    assert everything.kept == ["client-4"]


def test_a_cancel_whose_answer_was_lost_is_done_all_the_same() -> None:
    """The next try finds nothing to cancel, because there is nothing left: that is success."""
    venue = AccountInMemory(order("1"))
    venue.cancels_all_the_same = True
    venue.faults = [TransientError("no answer")]
    served = Served(venue, cancel(order_id="1"))
    assert served.outcome() == ("done", None)
    assert venue.calls.count("cancel") == 2
    assert served.ledger.events == [("1", "canceled", 0.0)]


def test_a_cancel_is_done_though_the_order_isnt_shown_yet() -> None:
    """The comparison tells it later; the answer isn't kept back."""
    venue = AccountInMemory(order("1"))
    venue.hidden = {"1"}
    assert Served(venue, cancel(order_id="1")).outcome() == ("done", None)


@pytest.mark.parametrize("status", ["filled", "expired"])
def test_what_is_over_cant_be_cancelled(status: Any) -> None:
    """And the answer says how it ended."""
    served = Served(AccountInMemory(order("1", status)), cancel(order_id="1"))
    assert served.outcome() == ("rejected", "nothing_to_cancel")
    assert status in (served.streams.answers["1-0"].error_message or "")


def test_a_cancel_waits_a_little_for_an_order_that_is_under_way() -> None:
    """Long while it may yet show, less where nobody has heard of it, else not at all."""
    under_way = record(command(client_order_id="client-7"))
    taken = record(command(client_order_id="client-8"))
    entry_8 = CommandEntry("place_order", taken.entry_id, b"", redelivered=False)
    over = taken.closed(rejected(taken.order, entry_8, Rejection("halted", "why"), NOW))
    slow = record(command(client_order_id="client-9"))
    shown_late = slow.closed(accepted(slow, VenueOrder("9", "client-9", "0"), NOW))
    served = Served(
        AccountInMemory(),
        cancel(1, client_order_id="client-7"),
        cancel(2, client_order_id="nobody-s"),
        cancel(3, client_order_id="client-8"),
        cancel(4, order_id="8"),
        cancel(5, client_order_id="client-9"),
        records=[under_way, over, shown_late],
    )
    assert {served.outcome(number) for number in range(1, 6)} == {("rejected", "nothing_to_cancel")}
    answered = [round(served.streams.answered_at[f"{number}-0"]) for number in range(1, 6)]
    assert answered == [20, 1, 0, 0, 20]


def test_all_orders_are_cancelled_whatever_happened_meanwhile() -> None:
    """What isn't open any more doesn't count."""
    served = Served(
        AccountInMemory(order("1"), order("2", "filled", 10), order("3")),
        entry("cancel_all_orders"),
    )
    assert served.outcome() == ("done", None)
    assert sorted(served.ledger.events) == [("1", "canceled", 0.0), ("3", "canceled", 0.0)]


def test_an_order_that_cant_be_cancelled_is_named() -> None:
    """All others are, and the answer is no."""

    class Stubborn(AccountInMemory):
        async def cancel(
            self,
            symbol: str,
            *,
            order_id: str | None,
            client_order_id: str | None,
            keep: str | None = None,
        ) -> str:
            """All but one."""
            wanted = "none" if order_id == "2" else order_id
            return await super().cancel(symbol, order_id=wanted, client_order_id=None)

    served = Served(Stubborn(order("1"), order("2"), order("3")), entry("cancel_all_orders"))
    assert served.outcome() == ("rejected", "not_all_canceled")
    assert "2: " in (served.streams.answers["1-0"].error_message or "")
    assert ("3", "canceled", 0.0) in served.ledger.events


def test_a_cancel_waits_while_orders_wait_to_be_claimed() -> None:
    """The first ones on a new Redis wait for some seconds: its order may be among them."""
    served = Served(AccountInMemory(), cancel(client_order_id="later"), orders_wait_until=10.0)
    assert served.outcome() == ("rejected", "nothing_to_cancel")
    assert 10 <= served.streams.answered_at["1-0"] < 12


def test_a_cancel_finds_an_order_that_is_claimed_between_two_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The record isn't there at the first read: a claim came before the second one."""
    venue = AccountInMemory()
    claimed = record(command(client_order_id="client-7"))
    reads = 0
    get = Streams.get

    async def get_late(streams: Streams, client_order_id: str) -> Record | None:
        nonlocal reads
        reads += 1
        return None if reads <= 2 else await get(streams, client_order_id)

    monkeypatch.setattr(Streams, "get", get_late)

    def rests(_: Streams) -> None:
        venue.orders["7"] = order("7")

    served = Served(
        venue, cancel(client_order_id="client-7"), records=[claimed], happens=[(3.0, rests)]
    )
    assert served.outcome() == ("done", None)
    assert venue.orders["7"].status == "canceled"


def closing(taken: Record, order_id: str | None) -> Callable[[Streams], object]:
    """The order under way gets its answer: accepted with that id, or rejected."""
    found = VenueOrder(order_id or "", taken.client_order_id, "0")
    entry_of = CommandEntry("place_order", taken.entry_id, b"", redelivered=False)
    answer = (
        accepted(taken, found, NOW)
        if order_id
        else rejected(taken.order, entry_of, Rejection("halted", "why"), NOW)
    )
    return lambda streams: streams.records.update({taken.client_order_id: taken.closed(answer)})


def test_cancel_all_waits_for_orders_under_way_and_cancels_what_they_become() -> None:
    """Their POST was on its way when the venue was asked for its open orders."""
    venue = AccountInMemory(order("1"))
    first, second = (record(command(client_order_id=name)) for name in ("client-7", "client-8"))

    def placed(streams: Streams) -> None:
        venue.orders["7"] = order("7")
        closing(first, "7")(streams)

    served = Served(
        venue,
        entry("cancel_all_orders"),
        records=[first, second],
        happens=[(5.0, placed), (9.0, closing(second, None))],
    )
    assert served.outcome() == ("done", None)
    assert venue.orders["7"].status == "canceled"
    assert 8.9 < served.streams.answered_at["1-0"] < 10


def test_cancel_all_names_the_orders_with_unknown_outcome() -> None:
    """It is not done while one of them may yet rest at the venue."""
    served = Served(
        AccountInMemory(order("1")),
        entry("cancel_all_orders"),
        records=[record(command(client_order_id="client-7"))],
    )
    assert served.outcome() == ("unknown", "orders_unresolved")
    assert "client-7" in (served.streams.answers["1-0"].error_message or "")
    assert served.ledger.events == [("1", "canceled", 0.0)]


def test_cancel_all_of_one_symbol_leaves_the_others_alone() -> None:
    """And doesn't wait for their orders under way."""
    venue = AccountInMemory(order("1"), order("2", symbol="ETH/USDT"))
    elsewhere = record(command(client_order_id="client-7", symbol="ETH/USDT"))
    served = Served(venue, entry("cancel_all_orders", symbol="BTC/USDT"), records=[elsewhere])
    assert served.outcome() == ("done", None)
    assert [report.status for report in venue.orders.values()] == ["canceled", "open"]
    assert served.streams.answered_at["1-0"] < 1


def requests_at_the_venue(venue: AccountInMemory) -> int:
    """How many there were, whatever for."""
    return len(venue.calls)


@pytest.mark.parametrize("ids", [{"order_id": "{}"}, {"client_order_id": "nobody-s-{}"}])
def test_a_flood_of_unknown_ids_costs_few_requests_and_delays_no_known_order(
    ids: dict[str, str],
) -> None:
    """However many there are: at most what is allowed a minute; all are answered."""
    many = 300
    venue = AccountInMemory(order("known"))
    venue.took = 0.2
    unknown = (
        cancel(number, **{name: value.format(number) for name, value in ids.items()})
        for number in range(1, many)
    )
    known = [order("known")]
    served = Served(venue, *unknown, cancel(many, order_id="known"), told=known, seconds=61.0)
    assert served.outcome(many) == ("done", None)
    assert served.streams.answered_at[f"{many}-0"] < 2.0
    outcomes = Counter(served.outcome(number) for number in range(1, many))
    assert outcomes.keys() == {("rejected", "nothing_to_cancel"), ("rejected", "rate_limited")}
    assert outcomes["rejected", "nothing_to_cancel"] >= UNKNOWN_A_MINUTE / 4
    asked_for_the_known = 2
    assert requests_at_the_venue(venue) <= UNKNOWN_A_MINUTE + asked_for_the_known


def test_a_cancel_that_was_sent_is_not_refused_for_the_sake_of_requests() -> None:
    """It may have been carried out: until the venue says so, the answer is that nobody knows."""
    venue = AccountInMemory(*(order(str(number)) for number in range(1, 40)))
    venue.refuses["cancel"] = TransientError("silence")
    served = Served(venue, *(cancel(number, order_id=str(number)) for number in range(1, 40)))
    outcomes = Counter(served.outcome(number) for number in range(1, 40))
    assert outcomes.keys() == {("unknown", "no_answer"), ("rejected", "rate_limited")}
    sent = UNKNOWN_A_MINUTE // 2
    assert outcomes["unknown", "no_answer"] >= sent
    assert venue.calls.count("cancel") <= UNKNOWN_A_MINUTE + sent


def test_an_order_placed_elsewhere_is_cancelled_by_its_id() -> None:
    """Though nobody here knows it; and at the operator's wish before all others."""
    for operator in (False, True):
        venue = AccountInMemory(order("7"))
        priorities = watched(venue)
        assert Served(venue, cancel(order_id="7"), operator=operator).outcome() == ("done", None)
        wanted = Priority.OPERATOR if operator else Priority.BALANCES
        assert set(priorities) == {wanted}


def watched(venue: AccountInMemory) -> list[Priority]:
    """The priority of each request at the venue, as one of a cancel's would have it."""
    found: list[Priority] = []
    asked = venue._call

    async def call(name: str) -> None:
        found.append(in_force(Priority.CANCEL))
        await asked(name)

    venue._call = call  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("operator", [False, True])
def test_cancel_all_goes_before_all_else_and_the_operators_first(*, operator: bool) -> None:
    """With all that it asks for."""
    venue = AccountInMemory(order("1"), order("2"))
    priorities = watched(venue)
    Served(venue, entry("cancel_all_orders"), operator=operator)
    assert set(priorities) == {Priority.OPERATOR if operator else Priority.CANCEL_ALL}
    assert len(priorities) == 4  # the listing, two cancels, and what became of them


def test_many_orders_of_a_symbol_are_cancelled_by_one_request() -> None:
    """Where the venue has it, all of them were published, and none is under way."""
    orders = [order(str(number)) for number in range(9)]
    under_way = record(command(client_order_id="client-x"))
    for told, records, bulk in ((orders, (), 1), (orders[1:], (), 0), (orders, (under_way,), 0)):
        venue = AccountInMemory(*orders)
        venue.has_bulk = True
        served = Served(venue, entry("cancel_all_orders"), told=told, records=records)
        assert (venue.calls.count("stop_all"), venue.calls.count("cancel")) == (bulk, 9 - 9 * bulk)
        assert sorted(served.ledger.events) == [(str(i), "canceled", 0.0) for i in range(9)]


def test_a_refused_bulk_cancel_is_done_one_by_one() -> None:
    """Binance refuses where nothing is open any more, for one."""
    orders = [order(str(number)) for number in range(9)]
    venue = AccountInMemory(*orders)
    venue.has_bulk = True
    venue.refuses["stop_all"] = RejectedError("no")
    served = Served(venue, entry("cancel_all_orders"), told=orders)
    assert served.outcome() == ("done", None)
    assert venue.calls.count("cancel") == 9


def test_several_orders_are_cancelled_at_once_and_asked_for_together() -> None:
    """Each request takes a second."""
    venue = AccountInMemory(*(order(str(number)) for number in range(8)))
    venue.took = 1.0
    served = Served(venue, entry("cancel_all_orders"))
    assert served.outcome() == ("done", None)
    assert served.streams.answered_at["1-0"] == pytest.approx(1.0 + 8 / AT_ONCE + 1.0)


def test_cancel_all_is_not_given_up_while_it_makes_progress() -> None:
    """150 orders at a slow venue; how far it is, and how long it takes, is said each second."""
    venue = AccountInMemory(*(order(str(number)) for number in range(150)))
    venue.took = 3.0
    served = Served(venue, entry("cancel_all_orders"), seconds=200.0)
    assert served.outcome() == ("done", None)
    assert served.streams.answered_at["1-0"] > 100.0 > GIVE_UP_AFTER
    said = [each for each in served.progress if each is not None]
    assert {each.left + each.done for each in said} == {150}
    assert [each.done for each in said] == sorted(each.done for each in said)
    assert served.progress[-1] is None
    assert (said[0].left, said[0].seconds_left) == (150, 75.0)
    halfway = said[len(said) // 2]
    assert halfway.seconds_left == pytest.approx(57.0, abs=5.0)


def test_cancel_all_says_what_is_left_when_the_venue_falls_silent() -> None:
    """A minute after its last word."""
    venue = AccountInMemory(*(order(str(number)) for number in range(10)))
    venue.took = 1.0

    def silence(_: Streams) -> None:
        venue.faults = [TransientError("silence")] * 10_000

    served = Served(venue, entry("cancel_all_orders"), happens=[(2.5, silence)])
    assert served.outcome() == ("unknown", "no_answer")
    assert "6 of 10 orders are left" in (served.streams.answers["1-0"].error_message or "")
    assert 60.0 < served.streams.answered_at["1-0"] < 65.0


@pytest.mark.parametrize("took", [20.0, 30.0, 60.0])
def test_an_answer_at_the_moment_of_giving_up_ends_nothing_else(took: float) -> None:
    """Whichever of the two is first, the command is answered, and so is the next one."""
    venue = AccountInMemory(order("1"), order("2"))
    venue.took = took

    def more(streams: Streams) -> None:
        streams._new.append(cancel(2, order_id="1"))

    served = Served(venue, entry("cancel_all_orders"), happens=[(70.0, more)], seconds=400.0)
    assert served.outcome()[0] in {"done", "unknown"}
    assert served.outcome(2)[0] in {"done", "rejected", "unknown"}


def test_one_order_that_fails_for_a_moment_does_not_restart_the_run() -> None:
    """It is tried again by itself."""
    venue = AccountInMemory(*(order(str(number)) for number in range(6)))
    served_first = venue.stop

    async def stop(wanted: VenueOpenOrder) -> None:
        if wanted.order_id == "3" and not venue.calls.count("cancel of 3"):
            venue.calls.append("cancel of 3")
            raise TransientError("a moment")
        await served_first(wanted)

    venue.stop = stop  # type: ignore[method-assign, assignment]
    assert Served(venue, entry("cancel_all_orders")).outcome() == ("done", None)
    assert (venue.calls.count("open_orders"), venue.calls.count("cancel")) == (1, 6)


def test_cancel_alls_that_come_together_share_a_run_that_began_after_them() -> None:
    """One that comes while another runs isn't answered by it; a bot's runs lie apart."""
    for operator, runs_at in ((True, 1.0), (False, 1.0 + 2.0)):
        venue = AccountInMemory()
        venue.took = 1.0
        first = [entry("cancel_all_orders", number) for number in (1, 2, 3)]

        def more(streams: Streams) -> None:
            streams._new += [entry("cancel_all_orders", number) for number in (4, 5, 6)]

        served = Served(venue, *first, happens=[(0.1, more)], operator=operator)
        assert {served.outcome(number) for number in range(1, 7)} == {("done", None)}
        assert venue.calls.count("open_orders") == 2
        times = [served.streams.answered_at[f"{number}-0"] for number in range(1, 7)]
        assert times[:3] == [pytest.approx(1.0)] * 3
        assert times[3] == times[4] == times[5] >= runs_at + 1.0


@pytest.mark.parametrize("operator", [True, False])
def test_a_run_answers_all_that_came_before_it_however_many(operator: bool) -> None:
    """Those that weren't read yet, and those of one symbol; the newest has a run of its own."""
    venue = AccountInMemory(order("1"))
    venue.took = 1.5
    flood = [
        entry("cancel_all_orders", number, symbol="BTC/USDT" if number > 1000 else None)
        for number in range(1, 3001)
    ]
    served = Served(venue, *flood, operator=operator)
    assert {served.outcome(number) for number in range(1, 3001)} == {("done", None)}
    assert venue.calls.count("open_orders") == 2
    assert max(served.streams.answered_at.values()) <= 2 * 1.5 + 3 * 1.5 + 2.0


def test_a_run_of_one_symbol_answers_none_of_all() -> None:
    """Whatever came first."""
    one = [entry("cancel_all_orders", n, symbol="BTC/USDT") for n in range(1, MAX_READ + 1)]
    flood = [*one, *(entry("cancel_all_orders", MAX_READ + n) for n in range(1, 9))]
    venue = AccountInMemory(order("1", symbol="ETH/USDT"))
    venue.took = 1.0
    served = Served(venue, *flood, operator=True)
    assert served.outcome(MAX_READ + 1) == ("done", None)
    assert venue.orders["1"].status == "canceled"
    at = served.streams.answered_at
    assert at[f"{MAX_READ + 1}-0"] >= at["1-0"] + 1.0


def test_a_run_that_failed_answers_none_that_it_was_not_for() -> None:
    """It is tried again for those that are read after it."""
    venue = AccountInMemory(order("1"))
    venue.refuses["open_orders"] = FeedStoppedError("Binance refused the key")
    flood = [entry("cancel_all_orders", number) for number in range(1, MAX_READ + 11)]
    served = Served(venue, *flood, operator=True)
    assert {served.outcome(number) for number in range(1, MAX_READ + 11)} == {
        ("rejected", "key_refused")
    }
    assert venue.calls.count("open_orders") >= 2


def test_a_refused_key_ends_a_cancel_all_at_once() -> None:
    """Whether it is refused at the listing or at an order."""
    for call in ("open_orders", "cancel"):
        venue = AccountInMemory(order("1"), order("2"))
        venue.refuses[call] = FeedStoppedError("Binance refused the key")
        served = Served(venue, entry("cancel_all_orders"))
        assert served.outcome() == ("rejected", "key_refused")
        assert served.streams.answered_at["1-0"] < 1.0


def test_a_query_publishes_the_order_again() -> None:
    """Though nothing is new."""
    served = Served(
        AccountInMemory(order("1")),
        entry("query_order", 1, symbol="BTC/USDT", order_id="1"),
        entry("query_order", 2, symbol="BTC/USDT", order_id="1"),
        entry("query_order", 3, symbol="BTC/USDT", order_id="9"),
        entry("query_order", 4, symbol="XBT/ZAR", order_id="1"),
    )
    assert [served.outcome(number) for number in (1, 2, 3, 4)] == [
        ("done", None),
        ("done", None),
        ("rejected", "unknown_order"),
        ("rejected", "unknown_symbol"),
    ]
    assert served.ledger.events == [("1", "open", 0.0)] * 2


def test_a_question_that_is_refused_says_nothing_about_the_order() -> None:
    """A pair that is no longer listed, for one: `unknown_order` would be no truth."""
    venue = AccountInMemory(order("1"))
    venue.faults.append(RejectedError("invalid symbol", code="-1121"))
    served = Served(venue, entry("query_order", 1, symbol="BTC/USDT", order_id="1"))
    assert served.outcome() == ("rejected", "exchange_rejected")
    assert served.ledger.events == []


def test_balances_are_published_before_the_answer() -> None:
    """Those named, zero too; another exchange's aren't ours."""
    served = Served(
        AccountInMemory(),
        entry("request_balance", 1, exchange="binance", assets=["DOGE"]),
        entry("request_balance", 2, exchange="luno"),
        entry("request_balance", 3),  # for whose stream it is in
    )
    assert [served.outcome(number) for number in (1, 2, 3)] == [
        ("done", None),
        ("rejected", "wrong_exchange"),
        ("done", None),
    ]
    assert ("DOGE", 0.0) in served.balances.published


def test_a_silent_venue_is_asked_for_a_minute() -> None:
    """Then the answer is that nobody knows; a ban that lasts longer isn't sat out."""
    silent, banned = AccountInMemory(order("1")), AccountInMemory(order("1"))
    silent.faults = [TransientError("silence")] * 10_000
    banned.faults = [RateLimitedError("banned", retry_after=3 * 24 * 3600.0)]
    for venue in (silent, banned):
        served = Served(venue, cancel(order_id="1"))
        assert served.outcome() == ("unknown", "no_answer")
        assert -1e-6 < served.streams.answered_at["1-0"] - GIVE_UP_AFTER < 1


def test_a_refused_key_is_said_at_once() -> None:
    """Asking again won't help."""
    venue = AccountInMemory(order("1"))
    venue.faults = [FeedStoppedError("Binance refused the key")]
    assert Served(venue, cancel(order_id="1")).outcome() == ("rejected", "key_refused")


def test_without_credentials_every_command_is_rejected() -> None:
    """With a reason."""
    served = Served(None, cancel(order_id="1"))
    assert served.outcome() == ("rejected", "no_credentials")


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        (b"no json", False),
        (b'{"client_request_id": 7}', False),
        (b'{"client_request_id": "request-1"}', True),
        (b'{"client_request_id": "request-1", "symbol": "BTC/USDT"}', True),
        (b'{"client_request_id": "request-1", "symbol": "A/B", "order_id": "1", "odd": 1}', True),
    ],
)
def test_what_cant_be_read_is_a_dead_letter(data: bytes, *, answered: bool) -> None:
    """Answered where the request's id can be read."""
    served = Served(AccountInMemory(), CommandEntry("cancel_order", "1-0", data, redelivered=False))
    assert served.streams.letters.keys() == {"1-0"}
    assert served.streams.pending == []
    if answered:
        assert served.outcome() == ("rejected", "invalid_command")
    else:
        assert served.streams.answers == {}


def test_a_command_without_an_id_gets_one_from_its_entry() -> None:
    """The same whenever it is read."""
    data = b'{"symbol": "BTC/USDT", "order_id": "1"}'
    served = Served(
        AccountInMemory(order("1")), CommandEntry("cancel_order", "5-6", data, redelivered=False)
    )
    assert served.streams.answers["5-6"].client_request_id == "x5-6"


def test_trouble_with_redis_is_waited_out() -> None:
    """And then the commands are served."""
    faults = [TransientError("NOGROUP")] * 3
    served = Served(AccountInMemory(order("1")), cancel(order_id="1"), redis_faults=faults)
    assert served.outcome() == ("done", None)


def test_a_crowd_of_commands_is_served_in_turn() -> None:
    """At most so many at once; all are answered."""
    orders = [order(str(number)) for number in range(1, 101)]
    venue = AccountInMemory(*orders)
    venue.took = 0.5
    cancels = (cancel(number, order_id=str(number)) for number in range(1, 101))
    served = Served(venue, *cancels, told=orders)
    assert {served.outcome(number) for number in range(1, 101)} == {("done", None)}
    times = sorted(served.streams.answered_at.values())
    assert len([moment for moment in times if moment <= times[0] + 0.01]) <= MAX_AT_ONCE


@pytest.mark.parametrize("known_as", ["accepted", "published"])
def test_cancel_all_cancels_an_order_of_ours_that_the_venue_does_not_list_yet(
    known_as: str,
) -> None:
    """Lists of a venue may lag behind its answer to a POST."""
    venue = AccountInMemory(order("1"), order("2"))
    venue.hidden = {"2"}
    known: dict[str, Any] = {
        "accepted": {"accepted": [OrderRef("BTC/USDT", "2")]},
        "published": {"told": [order("2")]},
    }
    served = Served(venue, entry("cancel_all_orders"), **known[known_as])
    assert served.outcome() == ("done", None)
    assert [report.status for report in venue.orders.values()] == ["canceled", "canceled"]
    assert venue.kept[-1] == "client-2"  # one request: its client order id needs no query


def test_cancel_all_finds_an_accepted_order_that_is_published_while_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It moves from one list to the other between the two reads."""
    venue = AccountInMemory(order("2"))
    venue.hidden = {"2"}
    ref = OrderRef("BTC/USDT", "2")
    accepted, open_orders = LedgerInMemory.accepted, LedgerInMemory.open_orders

    async def publish_after(ledger: LedgerInMemory, read: Any) -> Any:
        found = await read(ledger)
        await ledger.publish(order("2"))
        return found

    monkeypatch.setattr(LedgerInMemory, "accepted", lambda it: publish_after(it, accepted))
    monkeypatch.setattr(LedgerInMemory, "open_orders", lambda it: publish_after(it, open_orders))
    served = Served(venue, entry("cancel_all_orders"), accepted=[ref])
    assert served.outcome() == ("done", None)
    assert venue.orders["2"].status == "canceled"


def test_cancel_all_names_an_unlisted_order_that_is_open_and_cannot_be_cancelled() -> None:
    """The venue shows it, so its state is known: it is not cancelled."""

    class Refusing(AccountInMemory):
        async def open_orders(self) -> Sequence[OrderStatusReport]:
            """A list that lags behind."""
            return []

        async def stop(self, order: VenueOpenOrder) -> None:
            """Refused."""
            raise RejectedError("not now", code="later")

    served = Served(
        Refusing(order("2")), entry("cancel_all_orders"), accepted=[OrderRef("BTC/USDT", "2")]
    )
    assert served.outcome() == ("rejected", "not_all_canceled")
    assert "2: not now" in (served.streams.answers["1-0"].error_message or "")


def test_cancel_all_asks_once_about_an_order_that_filled_before_it_was_published() -> None:
    """There is nothing to cancel: it is published as filled, and nothing is left."""
    venue = AccountInMemory(order("2", "filled", 10))
    served = Served(venue, entry("cancel_all_orders"), accepted=[OrderRef("BTC/USDT", "2")])
    assert served.outcome() == ("done", None)
    assert ("2", "filled", 10.0) in served.ledger.events


def test_cancel_all_names_an_order_that_it_could_neither_cancel_nor_see() -> None:
    """It was accepted, so it may rest at the venue."""
    venue = AccountInMemory(order("1"), order("2", "filled"))
    venue.hidden = {"2"}
    served = Served(venue, entry("cancel_all_orders"), accepted=[OrderRef("BTC/USDT", "2")])
    assert served.outcome() == ("unknown", "orders_unresolved")
    assert "2" in (served.streams.answers["1-0"].error_message or "")
    assert venue.orders["1"].status == "canceled"


def test_cancel_all_of_one_symbol_leaves_anothers_accepted_orders_alone() -> None:
    """They aren't asked about either."""
    venue = AccountInMemory(order("1"))
    other = OrderRef("ETH/USDT", "2")
    served = Served(venue, entry("cancel_all_orders", symbol="BTC/USDT"), accepted=[other])
    assert served.outcome() == ("done", None)
    assert venue.calls.count("cancel") == 1
