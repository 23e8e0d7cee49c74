"""The books against plain dicts, and everything that must make them say "gap"."""

import json
from collections.abc import Iterable
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models.fields import Side
from services._connector_kit.market_data.order_book import (
    ApplyOutcome,
    BookTrade,
    Ladder,
    LevelBook,
    MakerFill,
    OrderByOrderBook,
    RestingOrder,
    SequenceGap,
    crossed,
)

DEPTH = 5
BAD_NUMBERS = [float("nan"), float("inf"), float("-inf"), -1.0]

Changes = dict[float, float]
Diff = tuple[int, Changes, Changes]  # how many venue updates it sums up, bids, asks
Levels = list[tuple[float, float]]

# Bids below 50, asks above: a book of these is never crossed.
bid_prices = st.integers(1, 49).map(float)
ask_prices = st.integers(51, 99).map(float)
quantities = st.sampled_from([0.0, 0.5, 1.0, 3.25, 1e-8])
bid_changes = st.dictionaries(bid_prices, quantities, max_size=6)
ask_changes = st.dictionaries(ask_prices, quantities, max_size=6)
# Deeper than any limit of a cut snapshot here.
deep_bids = st.dictionaries(bid_prices, st.just(1.0), min_size=9, max_size=20)
deep_asks = st.dictionaries(ask_prices, st.just(1.0), min_size=9, max_size=20)
diffs = st.lists(st.tuples(st.integers(1, 4), bid_changes, ask_changes), max_size=30)


def best_first(levels: Changes, side: Side) -> Levels:
    """The oracle's sorting."""
    alive = [(price, quantity) for price, quantity in levels.items() if quantity]
    return sorted(alive, reverse=side == "buy")


def after(levels: Changes, changes: Changes) -> Changes:
    """The oracle's update."""
    return {price: q for price, q in {**levels, **changes}.items() if q}


def parsed(ladder: Ladder, depth: int) -> Levels:
    """What `top_json` says."""
    rows = json.loads(b"[%b]" % ladder.top_json(depth))
    return [(row["price"], row["quantity"]) for row in rows]


def numbered(updates: Iterable[Diff], snapshot_id: int) -> list[tuple[int, int, Changes, Changes]]:
    """The diffs with the U and u that follow each other from *snapshot_id* on."""
    told, last = [], snapshot_id
    for size, bids, asks in updates:
        told.append((last + 1, last + size, bids, asks))
        last += size
    return told


@given(bid_changes, ask_changes, diffs, st.integers(0, 60))
def test_a_level_book_is_what_a_dict_would_be(
    bids: Changes, asks: Changes, updates: list[Diff], depth: int
) -> None:
    """After every update of a valid sequence the top levels, and their JSON, are the oracle's."""
    book = LevelBook(100, list(bids.items()), list(asks.items()), limit=1000)
    for first, last, bid_diff, ask_diff in numbered(updates, 100):
        outcome = book.apply(first, last, bid_diff.items(), ask_diff.items())
        assert outcome is ApplyOutcome.APPLIED
        bids, asks = after(bids, bid_diff), after(asks, ask_diff)
        assert book.bids.top(depth) == parsed(book.bids, depth) == best_first(bids, "buy")[:depth]
        assert book.asks.top(depth) == parsed(book.asks, depth) == best_first(asks, "sell")[:depth]
        assert book.update_id == last


@given(deep_bids, deep_asks, diffs, st.integers(DEPTH, 8))
def test_a_cut_snapshot_never_shows_a_level_it_did_not_cover(
    bids: Changes, asks: Changes, updates: list[Diff], limit: int
) -> None:
    """Until it is thin, its top is that of the whole book; and it never holds a wrong level."""
    book = LevelBook(
        100, best_first(bids, "buy")[:limit], best_first(asks, "sell")[:limit], limit=limit
    )
    for first, last, bid_diff, ask_diff in numbered(updates, 100):
        book.apply(first, last, bid_diff.items(), ask_diff.items())
        bids, asks = after(bids, bid_diff), after(asks, ask_diff)
        whole = (best_first(bids, "buy"), best_first(asks, "sell"))
        if not book.thin(DEPTH):
            assert (book.bids.top(DEPTH), book.asks.top(DEPTH)) == (
                whole[0][:DEPTH],
                whole[1][:DEPTH],
            )
        known = (book.bids.top(99), book.asks.top(99))
        assert known == (whole[0][: len(book.bids)], whole[1][: len(book.asks)])


@given(diffs, st.data())
def test_lost_repeated_and_reordered_updates_are_a_gap_or_ignored(
    updates: list[Diff], data: st.DataObject
) -> None:
    """Whatever becomes of the frames, a book that says "applied" is the venue's at that update."""
    bids: Changes = {}
    asks: Changes = {}
    told = numbered(updates, 100)
    truth = {100: (best_first(bids, "buy"), best_first(asks, "sell"))}
    for _, last, bid_diff, ask_diff in told:
        bids, asks = after(bids, bid_diff), after(asks, ask_diff)
        truth[last] = (best_first(bids, "buy"), best_first(asks, "sell"))
    indexes = st.lists(st.integers(0, max(len(told) - 1, 0)), max_size=len(told) * 2)
    book = LevelBook(100, [], [], limit=1000)
    for index in data.draw(indexes):
        first, last, bid_diff, ask_diff = told[index]
        known = book.update_id
        outcome = book.apply(first, last, bid_diff.items(), ask_diff.items())
        if isinstance(outcome, SequenceGap):
            assert first > known + 1
            return
        assert outcome is (ApplyOutcome.IGNORED if last <= known else ApplyOutcome.APPLIED)
        assert (book.bids.top(99), book.asks.top(99)) == truth[book.update_id]


def test_a_level_book_that_crosses_is_a_gap() -> None:
    """Both when a bid comes up to the ask and when it goes beyond."""
    for bid in (101.0, 102.0):
        book = LevelBook(1, [(100.0, 1.0)], [(101.0, 1.0)], limit=1000)
        outcome = book.apply(2, 2, [(bid, 1.0)], [])
        assert outcome == SequenceGap(f"crossed: bid {bid} at or above ask 101.0")


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_level_that_is_not_above_zero_is_a_gap(number: float) -> None:
    """As price and as quantity, on both sides."""
    for level in ((number, 1.0), (99.0, number)):
        for bids, asks in (([level], []), ([], [level])):
            book = LevelBook(1, [(98.0, 1.0)], [(101.0, 1.0)], limit=1000)
            outcome = book.apply(2, 2, bids, asks)
            assert isinstance(outcome, SequenceGap)
            assert "expected finite numbers above 0" in outcome.reason


@pytest.mark.parametrize("number", [*BAD_NUMBERS, 0.0])
def test_a_snapshot_with_an_invalid_price_is_refused(number: float) -> None:
    """No book is built from it."""
    with pytest.raises(ValueError, match="expected finite numbers above 0"):
        LevelBook(1, [(number, 1.0)], [], limit=1000)


def test_an_empty_side_has_no_best_price_and_crosses_nothing() -> None:
    """A one-sided book is a book."""
    book = LevelBook(1, [(100.0, 1.0)], [], limit=1000)
    assert book.bids.best == 100.0
    assert book.asks.best is None
    assert crossed(book) is None


def order(order_id: str, side: Side, price: object, quantity: object) -> RestingOrder:
    """An order from whatever Decimal takes."""
    return RestingOrder(order_id, side, Decimal(str(price)), Decimal(str(quantity)))


class Oracle:
    """Orders in a dict; everything else is worked out anew each time."""

    def __init__(self) -> None:
        self.orders: dict[str, RestingOrder] = {}

    def levels(self, side: Side) -> Levels:
        """Best first."""
        totals: dict[Decimal, Decimal] = {}
        for resting in self.orders.values():
            if resting.side == side:
                totals[resting.price] = totals.get(resting.price, Decimal()) + resting.quantity
        return sorted(((float(p), float(q)) for p, q in totals.items()), reverse=side == "buy")


new_orders = st.tuples(
    st.sampled_from(["buy", "sell"]), st.integers(1, 9), st.integers(1, 40).map(Decimal)
)


@given(st.lists(new_orders, max_size=12), st.lists(st.tuples(st.integers(0, 3), new_orders)))
def test_an_order_by_order_book_is_what_its_orders_add_up_to(
    resting: list[tuple[Side, int, Decimal]],
    steps: list[tuple[int, tuple[Side, int, Decimal]]],
) -> None:
    """After every valid update both sides are the oracle's, and the trades name the taker."""
    ids = count(1)
    oracle = Oracle()

    def made(side: Side, distance: int, quantity: Decimal) -> RestingOrder:
        price = 50 - distance if side == "buy" else 50 + distance
        return RestingOrder(f"id{next(ids)}", side, Decimal(price), quantity)

    for new in resting:
        placed = made(*new)
        oracle.orders[placed.order_id] = placed
    book = OrderByOrderBook(7, oracle.orders.values())
    for sequence, (kind, new) in enumerate(steps, start=8):
        oldest = next(iter(oracle.orders.values()), None)
        if kind == 0 or oldest is None:
            placed = made(*new)
            oracle.orders[placed.order_id] = placed
            assert book.apply(sequence, create=placed) == []
        elif kind == 1:
            del oracle.orders[oldest.order_id]
            assert book.apply(sequence, delete=oldest.order_id) == []
        elif kind == 2:
            assert book.apply(sequence) == []
        else:
            taken = min(new[2], oldest.quantity)
            left = oldest.quantity - taken
            oracle.orders[oldest.order_id] = oldest._replace(quantity=left)
            if not left:
                del oracle.orders[oldest.order_id]
            taker: Side = "sell" if oldest.side == "buy" else "buy"
            fills = [MakerFill(oldest.order_id, taken)]
            assert book.apply(sequence, fills) == [BookTrade(taker, oldest.price, taken)]
        assert book.bids.top(99) == parsed(book.bids, 99) == oracle.levels("buy")
        assert book.asks.top(99) == parsed(book.asks, 99) == oracle.levels("sell")
        assert book.sequence == sequence


def two_orders() -> OrderByOrderBook:
    """A bid b1 of 2 at 99 and an ask a1 of 3 at 101, at sequence 7."""
    return OrderByOrderBook(7, [order("b1", "buy", 99, 2), order("a1", "sell", 101, 3)])


def test_an_update_may_trade_create_and_delete_at_once() -> None:
    """A taker that takes all of a maker, and rests with what is left: trades, then the create."""
    book = two_orders()
    outcome = book.apply(
        8,
        [MakerFill("a1", Decimal(3))],
        create=order("b2", "buy", 101, "0.5"),
        delete="b1",
    )
    assert outcome == [BookTrade("buy", Decimal(101), Decimal(3))]
    assert book.bids.top(9) == [(101.0, 0.5)]
    assert book.asks.top(9) == []


@pytest.mark.parametrize("sequence", [7, 6, 9, 0])
def test_only_the_next_sequence_number_fits(sequence: int) -> None:
    """Repeated, older and skipped numbers are gaps."""
    assert two_orders().apply(sequence) == SequenceGap(f"update {sequence} after 7")


@pytest.mark.parametrize(
    ("fills", "create", "delete", "reason"),
    [
        ([("zz", "1")], None, None, "order zz is unknown"),
        ([("a1", "3.5")], None, None, "trade of 3.5 with a maker of 3"),
        ([("a1", "2"), ("a1", "2")], None, None, "trade of 2 with a maker of 1"),
        ([("a1", "0")], None, None, "trade of 0 with a maker of 3"),
        ([("a1", "-1")], None, None, "trade of -1 with a maker of 3"),
        ([("a1", "NaN")], None, None, "trade of NaN with a maker of 3"),
        ([("a1", "sNaN")], None, None, "trade of sNaN with a maker of 3"),
        ([("a1", "Infinity")], None, None, "trade of Infinity with a maker of 3"),
        ([], ("a1", "sell", "102", "1"), None, "order a1 is added twice"),
        ([], ("b1", "sell", "102", "1"), None, "order b1 is added twice"),
        ([], ("n1", "buy", "101", "1"), None, "crossed: bid 101.0 at or above ask 101.0"),
        ([], ("n1", "sell", "98", "1"), None, "crossed: bid 99.0 at or above ask 98.0"),
        ([], ("n1", "buy", "NaN", "1"), None, "expected finite numbers above 0"),
        ([], ("n1", "buy", "98", "-1"), None, "expected finite numbers above 0"),
        ([], ("n1", "buy", "98", "0"), None, "expected finite numbers above 0"),
        ([], ("n1", "buy", "1e400", "1"), None, "expected finite numbers above 0"),
        ([], None, "zz", "order zz is unknown"),
        ([("a1", "3")], None, "a1", "order a1 is unknown"),
    ],
)
def test_an_update_that_does_not_fit_is_a_gap(
    fills: list[tuple[str, str]],
    create: tuple[str, Side, str, str] | None,
    delete: str | None,
    reason: str,
) -> None:
    """Unknown makers, overfills, orders told twice, numbers that are none, crossed prices."""
    outcome = two_orders().apply(
        8,
        [MakerFill(maker, Decimal(quantity)) for maker, quantity in fills],
        order(*create) if create else None,
        delete,
    )
    assert isinstance(outcome, SequenceGap)
    assert reason in outcome.reason


@pytest.mark.parametrize(
    "orders",
    [
        [order("b1", "buy", 99, 0)],
        [order("b1", "buy", 99, -1)],
        [order("b1", "buy", "NaN", 1)],
        [order("b1", "buy", 99, "Infinity")],
        [order("b1", "buy", 99, 1), order("b1", "buy", 98, 1)],
    ],
)
def test_a_snapshot_with_an_invalid_order_is_refused(orders: list[RestingOrder]) -> None:
    """Also where another order at that price would hide it."""
    with pytest.raises(ValueError, match=r"expected finite numbers above 0|added twice"):
        OrderByOrderBook(7, [order("b0", "buy", 99, 5), *orders])
