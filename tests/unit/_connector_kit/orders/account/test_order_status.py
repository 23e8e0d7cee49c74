"""Whatever comes in, what is told of an order is legal, complete, and told once."""

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common_models import OrderStatusUpdateEvent
from services._connector_kit.orders.account.order_status import (
    ARCHIVED,
    LOST,
    TERMINAL,
    Fill,
    OrderStatusReport,
    PublishedOrder,
    Status,
    diff,
    ended,
    generation,
)

NOW = 1_700_000_000_000
ASKED = Decimal(10)
FEE = Decimal("0.001")


def report(**fields: Any) -> OrderStatusReport:
    """An open order for 10, of which nothing is filled, but for *fields*."""
    amounts = {name: Decimal(str(fields.pop(name, "0"))) for name in ("filled", "quote_filled")}
    return OrderStatusReport(
        **{
            "order_id": "7",
            "client_order_id": "mine",
            "symbol": "BTC/USDT",
            "side": "buy",
            "status": "open",
            "quantity": ASKED,
            "milliseconds": NOW,
            **amounts,
            **fields,
        }
    )


def fill(number: int, quantity: str, price: str = "100") -> Fill:
    """A fill with an id and a fee."""
    return Fill(str(number), NOW, Decimal(price), Decimal(quantity), "BNB", FEE)


def publish(*reports: OrderStatusReport) -> list[OrderStatusUpdateEvent]:
    """What is published where these come in one after the other."""
    published: PublishedOrder | None = None
    events = []
    for one in reports:
        if found := diff(published, one, "binance", external=False):
            published = found.published
            if found.event is not None:
                events.append(found.event)
    return events


def test_the_first_report_is_always_published() -> None:
    """With all that is known of the order."""
    (event,) = publish(report())
    assert event == OrderStatusUpdateEvent(
        order_id="7",
        client_order_id="mine",
        symbol="BTC/USDT",
        status="open",
        filled_quantity=0.0,
        remaining_quantity=10.0,
        timestamp=event.timestamp,
        exchange="binance",
        side="buy",
    )
    assert event.timestamp.timestamp() * 1000 == NOW


def test_an_unchanged_report_is_published_again_only_on_request() -> None:
    """And then without the fills, which were told."""
    filled = report(filled=1, quote_filled=100, fills=(fill(1, "1"),))
    assert len(publish(filled, filled, report())) == 1
    first = diff(None, filled, "binance", external=True)
    assert first is not None
    again = diff(first.published, filled, "binance", external=True, again=True)
    assert again is not None
    assert again.event is not None
    assert again.event.trades is None
    assert again.event.filled_quantity == 1.0
    assert again.event.external


def test_fee_and_average_price_are_of_the_whole_order() -> None:
    """The trades are those of this update."""
    events = publish(
        report(filled=1, quote_filled=100, fills=(fill(1, "1", "100"),)),
        report(filled=4, quote_filled=430, fills=(fill(2, "3", "110"),)),
    )
    assert [event.average_price for event in events] == [100.0, 107.5]
    assert [event.fee for event in events] == [{"BNB": 0.001}, {"BNB": 0.002}]
    assert [[t.trade_id for t in event.trades or ()] for event in events] == [["1"], ["2"]]


def test_a_late_fill_is_published_by_its_id_when_it_arrives() -> None:
    """The cumulative quantity knew of it before; no fill is made up for it meanwhile."""
    events = publish(
        report(filled=3, quote_filled=300, fills=(fill(2, "2"),)),
        report(status="canceled", filled=3, quote_filled=300),
        report(status="canceled", filled=3, quote_filled=300, fills=(fill(1, "1"), fill(2, "2"))),
    )
    assert [event.status for event in events] == ["partially_filled", "canceled", "canceled"]
    published = [trade.trade_id for event in events for trade in event.trades or ()]
    assert published == ["2", "1"]
    assert events[-1].fee == {"BNB": 0.002}


def test_the_orders_fee_and_amounts_are_published_before_its_fills_are_known() -> None:
    """Luno tells an order's fills elsewhere, a moment later; the fee isn't counted twice."""
    order: dict[str, Any] = {"filled": 4, "quote_filled": 430, "fee": {"BTC": FEE * 4}}
    events = publish(
        report(filled=1, quote_filled=100, fee={"BTC": FEE}, fills=(fill(1, "1"),)),
        report(**order),
        report(**order, status="canceled", fills=(fill(1, "1"),)),
        report(**order, status="canceled", fills=(fill(1, "1"), fill(2, "3", "110"))),
        report(**order, status="canceled", fills=(fill(1, "1"), fill(2, "3", "110"))),
    )
    published = [[t.trade_id for t in event.trades or ()] for event in events]
    assert published == [["1"], [], [], ["2"]]
    assert [event.fills_complete for event in events] == [None, False, False, None]
    assert [event.filled_quantity for event in events] == [1.0, 4.0, 4.0, 4.0]
    assert [event.fee for event in events] == [{"BTC": 0.001}, *[{"BTC": 0.004}] * 3]


def test_each_fill_has_its_own_fee_and_says_whether_it_was_the_makers() -> None:
    """What the venue doesn't say of it is left out."""
    bare = Fill("1", NOW, Decimal(100), Decimal(1))
    whole = Fill("2", NOW + 5, Decimal(100), Decimal(1), "BNB", FEE, is_maker=True)
    (event,) = publish(report(filled=2, quote_filled=200, fills=(bare, whole)))
    assert event.trades is not None
    first, second = event.trades
    assert (first.fee, first.fee_asset, first.is_maker) == (None, None, None)
    assert (second.fee, second.fee_asset, second.is_maker) == (0.001, "BNB", True)
    assert (second.timestamp.timestamp() * 1000, second.side) == (NOW + 5, "buy")
    text = event.model_dump_json()
    assert text.count('"fee_asset"') == text.count('"is_maker"') == 1


def test_fills_published_without_an_id_by_an_earlier_release_are_not_published_again() -> None:
    """The first ones, as many as it told; those after them are new."""
    zero = Decimal(0)
    fills = (fill(4, "1"), fill(7, "2"), fill(9, "3"))
    for filled, traded, new in (
        (Decimal(3), Decimal(3), ["9"]),
        (Decimal(3), None, ["9"]),
        (Decimal(1), Decimal(1), ["7", "9"]),
        (zero, zero, ["4", "7", "9"]),
        (Decimal(6), zero, ["4", "7", "9"]),  # told without fills, by this release
    ):
        published = PublishedOrder(
            *("mine", "BTC/USDT", "partially_filled", ASKED, filled, filled * 100, {}),
            traded=traded,
        )
        whole = report(filled=6, quote_filled=600, fee={"BTC": FEE}, fills=fills)
        found = diff(published, whole, "luno", external=False)
        assert found is not None
        assert found.event is not None
        assert [t.trade_id for t in found.event.trades or ()] == new
        assert found.published.trade_ids == {"4", "7", "9"}
        again = diff(found.published, whole, "luno", external=False)
        assert again is None
        assert found.published.missing == 0


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        ({"type": "limit", "price": Decimal(99)}, ("sell", "limit", 99.0)),
        ({"type": "market", "price": Decimal(105)}, ("sell", "market", None)),
        ({"type": "stop_limit", "price": Decimal(99)}, ("sell", "stop_limit", 99.0)),
        ({}, ("sell", None, None)),
    ],
)
def test_an_order_says_what_it_is(order: dict[str, Any], shown: tuple[object, ...]) -> None:
    """Whoever placed it; what was known of it once stays known."""
    events = publish(report(side="sell", **order), report(side="sell", status="canceled"))
    assert [(event.side, event.type, event.price) for event in events] == [shown] * 2


def test_a_filled_amount_is_not_a_fill_until_its_price_is_known() -> None:
    """The venue shows what it cost a moment later: then the fill has a price."""
    first, second = publish(
        report(filled=1, quote_filled=0, fee={}),
        report(filled=1, quote_filled=100, fee={"BTC": FEE}),
    )
    assert (first.filled_quantity, first.trades) == (1, None)
    assert second.average_price == 100


def test_a_fee_that_arrives_later_is_published() -> None:
    """Though nothing else changed."""
    events = publish(
        report(filled=1, quote_filled=100, fee={}),
        report(filled=1, quote_filled=100, fee={"BTC": FEE}),
    )
    assert [event.fee for event in events] == [None, {"BTC": 0.001}]


@pytest.mark.parametrize("terminal", sorted(TERMINAL))
def test_a_terminal_status_stays(terminal: Status) -> None:
    """Whatever comes after it."""
    late = [report(), report(status="unknown", venue_status="ODD"), report(status="filled")]
    events = publish(report(status=terminal), *late)
    assert [event.status for event in events] == [terminal]


def test_an_unknown_venue_status_is_published_with_the_venues_own_word() -> None:
    """As unknown, with the venue's own; the order goes on from there."""
    odd = report(status="unknown", venue_status="ODD")
    events = publish(report(), odd, odd, report(), report(status="canceled"))
    assert [(e.status, e.venue_status) for e in events] == [
        ("open", None),
        ("unknown", "ODD"),
        ("open", None),
        ("canceled", None),
    ]


def test_what_isnt_known_of_a_market_order_isnt_made_up() -> None:
    """A venue that doesn't say how much was asked for: nothing remains, nothing is full."""
    events = publish(
        report(quantity=Decimal(0), filled=1, quote_filled=100, fee={}),
        report(quantity=Decimal(0), filled=2, quote_filled=200, fee={}, status="filled"),
    )
    assert [event.status for event in events] == ["partially_filled", "filled"]
    assert [event.remaining_quantity for event in events] == [0.0, 0.0]


def test_an_order_keeps_the_client_id_it_was_first_published_with() -> None:
    """Binance gives a cancelled order the cancel's."""
    events = publish(report(), report(status="canceled", client_order_id="of the cancel"))
    assert [event.client_order_id for event in events] == ["mine", "mine"]


def test_terms_follow_the_newest_version_only() -> None:
    """Amended elsewhere: what is left is less; an older report brings fills, not its terms."""
    events = publish(
        report(version=1),
        report(version=3, quantity=Decimal(5)),
        report(version=2, filled=2, quote_filled=200, fills=(fill(1, "2"),)),
        report(version=1, status="unknown", venue_status="ODD"),
        report(version=4, quantity=Decimal(5), filled=5, quote_filled=500, fills=(fill(2, "3"),)),
    )
    assert [(e.status, e.remaining_quantity, e.filled_quantity) for e in events] == [
        ("open", 10.0, 0.0),
        ("open", 5.0, 0.0),
        ("partially_filled", 3.0, 2.0),
        ("filled", 0.0, 5.0),
    ]


def test_a_late_answer_of_a_venue_without_versions_doesnt_bring_old_terms_back() -> None:
    """Less was filled then: it is older, whatever it says of the quantity."""
    events = publish(
        report(),
        report(quantity=Decimal(7)),
        report(quantity=Decimal(7), filled=7, quote_filled=700, fee={}, status="filled"),
        report(),
    )
    assert [(e.filled_quantity, e.remaining_quantity) for e in events] == [
        *[(0.0, 10.0), (0.0, 7.0), (7.0, 0.0)],
    ]


def test_terms_that_a_report_doesnt_know_stay() -> None:
    """Luno says no quantity of a market order, whichever of its reports comes first."""
    events = publish(report(version=2, quantity=Decimal(0)), report(version=1), report(version=3))
    assert [e.remaining_quantity for e in events] == [0.0, 10.0]


def test_what_self_trade_prevention_took_off_doesnt_remain() -> None:
    """Though later reports say nothing of it."""
    events = publish(
        report(version=1),
        report(version=2, prevented=Decimal(4)),
        report(version=3, filled=1, quote_filled=100, fills=(fill(1, "1"),)),
    )
    assert [(e.status, e.remaining_quantity) for e in events] == [
        ("open", 10.0),
        ("open", 6.0),
        ("partially_filled", 5.0),
    ]


def test_what_is_filled_without_fills_is_said_to_be_incomplete() -> None:
    """Until they are there; with the order's own fee, too."""
    events = publish(
        report(filled=3, quote_filled=300, fills=(fill(2, "2"),)),
        report(filled=3, quote_filled=300, fills=(fill(1, "1"), fill(2, "2"))),
        report(filled=5, quote_filled=500, status="canceled"),
    )
    assert [e.fills_complete for e in events] == [False, None, False]
    assert [e.fills_complete for e in publish(report(filled=3, quote_filled=300, fee={}))] == [
        False
    ]


def test_all_fills_of_an_older_release_are_taken_for_published() -> None:
    """It kept no sum of them; from then on they are counted."""
    first = PublishedOrder(
        "mine", "BTC/USDT", "open", ASKED, Decimal(3), Decimal(300), {}, frozenset("1")
    )
    found = diff(first, report(filled=5, quote_filled=500), "binance", external=False)
    assert found is not None
    assert found.published.missing == Decimal(2)
    whole = report(filled=5, quote_filled=500, fills=(fill(1, "1"), fill(2, "2"), fill(3, "2")))
    found = diff(first, whole, "binance", external=False)
    assert found is not None
    assert found.published.missing == 0


def test_fills_of_long_ago_are_kept_and_not_published() -> None:
    """Status, amounts and fee are."""
    old = report(status="filled", filled=10, quote_filled=1000, fills=(fill(1, "4"),))
    found = diff(None, old, "binance", external=True, history=True)
    assert found is not None
    assert found.event is not None
    assert (found.event.status, found.event.trades, found.event.fills_complete) == (
        "filled",
        None,
        None,
    )
    assert found.event.fee == {"BNB": 0.001}
    assert diff(found.published, old, "binance", external=True) is None


@pytest.mark.parametrize(
    ("created", "version", "then", "which"),
    [
        (0, 0, NOW, "same"),
        (NOW, 0, 0, "same"),
        (NOW, NOW, NOW + 1000, "same"),  # a venue's own times of one order may differ a little
        (NOW, NOW, NOW - 1000, "same"),
        (NOW, NOW, NOW + 1001, "newer"),
        (NOW, 0, NOW + 1001, "newer"),
        (NOW, NOW + 60_000, NOW + 60_000, "same"),  # it was known after that order was made
        (NOW, NOW + 60_000, NOW + 61_001, "newer"),
        (NOW, NOW, NOW - 1001, "older"),
    ],
)
def test_a_reused_order_id_with_a_later_creation_time_is_another_order(
    created: int, version: int, then: int, which: str
) -> None:
    """The venue was reset, and its ids began anew."""
    zero = Decimal(0)
    published = PublishedOrder(
        "mine", "BTC/USDT", "open", ASKED, zero, zero, {}, created=created, version=version
    )
    assert generation(published, report(created=then)) == which
    assert generation(None, report(created=then)) == "same"


def test_a_lost_order_has_ended_unless_the_venue_shows_it_again() -> None:
    """A word of the venue's own stays for good."""
    first = diff(None, report(filled=2, quote_filled=200, fee={}), "luno", external=False)
    assert first is not None
    for word, after in ((LOST, ["partially_filled"]), (ARCHIVED, [])):
        published, events = first.published, []
        last = ended("7", published, word, NOW)
        for one in (last, last, report(filled=2, quote_filled=200, fee={}), last):
            found = diff(published, one, "luno", external=False)
            if found is not None:
                published = found.published
                events += [] if found.event is None else [found.event]
        assert (events[0].status, events[0].venue_status) == ("expired", word)
        assert (events[0].filled_quantity, events[0].remaining_quantity) == (2.0, 8.0)
        assert events[0].client_order_id == "mine"
        assert [e.status for e in events[1:]] == [*after, *["expired"] * len(after)]


class AnOrderIsTold(RuleBasedStateMachine):
    """A venue fills an order; its reports get lost, come twice, late, and out of order.

    The order is amended elsewhere, and loses quantity to self-trade prevention.
    """

    own_fee = False  # the venue tells it apart from the fills

    def __init__(self) -> None:
        super().__init__()
        self.fills: list[Fill] = []
        self.over: Status | None = None
        self.quantity, self.prevented, self.version = ASKED, Decimal(0), 0
        self.sent: list[OrderStatusReport] = []
        self.published: bytes | None = None
        self.events: list[OrderStatusUpdateEvent] = []

    # --- the venue

    def now(self, fills: tuple[Fill, ...]) -> OrderStatusReport:
        """The order as it is, with these of its fills."""
        filled = sum((f.quantity for f in self.fills), Decimal(0))
        status = self.over or ("partially_filled" if filled else "open")
        return report(
            status=status,
            quantity=self.quantity,
            prevented=self.prevented,
            version=self.version,
            created=NOW,
            filled=filled,
            quote_filled=sum((f.quantity * f.price for f in self.fills), Decimal(0)),
            fills=fills,
            fee={"BNB": FEE * len(self.fills)} if self.own_fee else None,
        )

    @initialize()
    def taken(self) -> None:
        """The venue takes it, and says so."""
        self.sent.append(self.now(()))

    @rule(lots=st.integers(1, 4), price=st.integers(90, 110))
    def trades(self, lots: int, price: int) -> None:
        """Some of it trades."""
        left = self.left()
        if self.over or not left:
            return
        quantity = min(Decimal(lots), left)
        self.version += 1
        self.fills.append(fill(len(self.fills), str(quantity), str(price)))
        if quantity == left:
            self.over = "filled"
        self.sent.append(self.now((self.fills[-1],)))

    @rule(how=st.sampled_from(["canceled", "expired"]))
    def ends(self, how: Status) -> None:
        """It is cancelled, or expires."""
        if not self.over:
            self.over = how
            self.version += 1
            self.sent.append(self.now(()))

    @rule(less=st.integers(1, 3), how=st.sampled_from(["amended", "prevented"]))
    def shrinks(self, less: int, how: str) -> None:
        """Somebody amends it, or some of it would have met the account's own order."""
        if self.over or self.left() <= less:
            return
        self.version += 1
        if how == "amended":
            self.quantity -= less
        else:
            self.prevented += less
        self.sent.append(self.now(()))

    def left(self) -> Decimal:
        """What may still trade."""
        filled = sum((f.quantity for f in self.fills), Decimal(0))
        return self.quantity - self.prevented - filled

    # --- the way to us

    def hear(self, what: OrderStatusReport) -> None:
        """One report arrives; what was told is read back as Redis has it."""
        published = (
            None
            if self.published is None
            else msgspec.json.decode(self.published, type=PublishedOrder)
        )
        found = diff(published, what, "binance", external=False)
        if found is not None:
            self.published = msgspec.json.encode(found.published)
            if found.event is not None:
                self.events.append(found.event)

    @rule(data=st.data())
    def arrives(self, data: st.DataObject) -> None:
        """Any report that was ever sent: late, again, before others, or the others never."""
        self.hear(data.draw(st.sampled_from(self.sent)))

    @rule()
    def asked_for(self) -> None:
        """REST tells the order as it is, with all its fills."""
        self.hear(self.now(tuple(self.fills)))

    @rule()
    def listed(self) -> None:
        """REST lists it without them."""
        self.hear(self.now(()))

    # --- what must hold

    @invariant()
    def filled_never_falls(self) -> None:
        """Nor what is known of the fee."""
        filled = [event.filled_quantity for event in self.events]
        fees = [(event.fee or {}).get("BNB", 0.0) for event in self.events]
        assert filled == sorted(filled)
        assert fees == sorted(fees)

    @invariant()
    def statuses_are_legal(self) -> None:
        """Nothing follows a terminal status, and open never follows partially filled."""
        statuses = [event.status for event in self.events]
        changes = [s for i, s in enumerate(statuses) if i == 0 or statuses[i - 1] != s]
        ends = [status for status in changes if status in TERMINAL]
        order = ["open", "partially_filled", *ends]
        assert len(ends) <= 1
        assert changes == sorted(changes, key=order.index)

    @invariant()
    def what_remains_never_rises(self) -> None:
        """An order only ever shrinks here."""
        remaining = [event.remaining_quantity for event in self.events]
        assert remaining == sorted(remaining, reverse=True)

    @invariant()
    def what_is_missing_is_said(self) -> None:
        """The fills that were told are what is filled, or the event says that they aren't."""
        published = 0.0
        for event in self.events:
            published += sum(trade.quantity for trade in event.trades or ())
            complete = event.fills_complete is None
            assert complete == (published == event.filled_quantity)

    @invariant()
    def each_fill_is_told_once(self) -> None:
        """And only fills that there were."""
        trades = [trade for event in self.events for trade in event.trades or ()]
        published = Counter(trade.trade_id for trade in trades)
        assert set(published) <= {f.trade_id for f in self.fills}
        assert set(published.values()) <= {1}

    def teardown(self) -> None:
        """In the end the order is asked for once more: then everything was told, and rightly."""
        if not self.sent:
            return
        self.hear(self.now(tuple(self.fills)))
        truth, last = self.now(()), self.events[-1]
        trades = [trade for event in self.events for trade in event.trades or ()]
        assert last.status == truth.status
        assert last.filled_quantity == float(truth.filled)
        assert last.remaining_quantity == float(self.left())
        assert last.fills_complete is None
        assert sum(trade.quantity for trade in trades) == float(truth.filled)
        assert (last.fee or {}).get("BNB", 0.0) == float(FEE * len(self.fills))
        if truth.filled:
            assert last.average_price == float(truth.quote_filled / truth.filled)
            value = sum(trade.quantity * trade.price for trade in trades)
            assert value == pytest.approx(float(truth.quote_filled))


class AnOrderWithAFeeOfItsOwnIsTold(AnOrderIsTold):
    """The same where the order has a fee of its own."""

    own_fee = True


TestWithTheFillsFees = AnOrderIsTold.TestCase
TestWithAFeeOfItsOwn = AnOrderWithAFeeOfItsOwnIsTold.TestCase
for case in (TestWithTheFillsFees, TestWithAFeeOfItsOwn):
    case.settings = settings(max_examples=150, stateful_step_count=25)
    pytest.mark.slow(case)
del case  # pytest would run it as a third class
