"""Binance's feed: contiguous update ids, books that can be rebuilt, correct aggregates."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.matching import Terms
from services.exchange_simulator.traders import Traders

NOW = 1_790_000_000_000
BTC = INSTRUMENTS[0]


class Recorder:
    """A session that records the frames it receives."""

    def __init__(self, *, combined: bool = False) -> None:
        self.combined = combined
        self.frames: list[bytes] = []

    def push(self, frame: bytes) -> None:
        """Record it."""
        self.frames.append(frame)

    @property
    def payloads(self) -> list[Any]:
        """The frames, decoded."""
        return [msgspec.json.decode(frame) for frame in self.frames]


def open_market(seed: int = 1, orders: int = 50) -> tuple[BinanceFeed, Traders]:
    """An open market with its feed and its traders."""
    market = SimulatedMarket(BTC, lambda: NOW)
    feed = BinanceFeed(market)
    traders = Traders(market, seed, orders)
    traders.open_market()
    return feed, traders


def quiet_market() -> tuple[BinanceFeed, SimulatedMarket]:
    """A market without traders."""
    market = SimulatedMarket(BTC, lambda: NOW)
    return BinanceFeed(market), market


def listen(feed: BinanceFeed, kind: str) -> Recorder:
    """Subscribe to one raw stream."""
    recorder = Recorder()
    feed.channels[kind].listeners.add(recorder)
    return recorder


def as_book(snapshot: dict[str, Any]) -> dict[str, dict[str, str]]:
    """`{"bids": {price: quantity}, "asks": ...}`."""
    return {side: {p: q for p, q in snapshot[side]} for side in ("bids", "asks")}  # noqa: C416


@given(
    seed=st.integers(0, 1000),
    speed=st.sampled_from(["depth@100ms", "depth"]),
    bursts=st.lists(st.integers(0, 30), min_size=1, max_size=15),
)
def test_a_snapshot_and_the_diffs_make_the_engines_book(
    seed: int, speed: str, bursts: list[int]
) -> None:
    """The documented procedure reproduces every level, whenever the client subscribes."""
    feed, traders = open_market(seed)
    diffs = listen(feed, speed)
    feed.tick(second=True)
    diffs.frames.clear()
    for _ in range(5):
        traders.act()
    snapshot = feed.book(5000)
    for burst in bursts:
        for _ in range(burst):
            traders.act()
        feed.tick(second=True)
    book, local_id = as_book(snapshot), snapshot["lastUpdateId"]
    for event in diffs.payloads:
        if event["u"] <= snapshot["lastUpdateId"]:
            continue
        assert event["U"] <= local_id + 1 <= event["u"]
        for side, key in (("bids", "b"), ("asks", "a")):
            for price, quantity in event[key]:
                if Decimal(quantity):
                    book[side][price] = quantity
                else:
                    book[side].pop(price, None)
        local_id = event["u"]
    assert book == as_book(feed.book(5000))
    assert local_id == feed.update_id


def test_update_ids_count_each_level_a_step_changes() -> None:
    """An order that fills two levels and rests on a third uses three ids."""
    feed, market = quiet_market()
    start = feed.update_id
    market.submit(Terms("a", "sell", 1, 100))
    market.submit(Terms("a", "sell", 1, 101))
    assert feed.update_id == start + 2
    market.submit(Terms("b", "buy", 5, 101))
    assert feed.update_id == start + 5
    market.submit(Terms("b", "buy", 5, 100, "IOC"))
    assert feed.update_id == start + 5


def test_diffs_are_contiguous_and_silent_when_nothing_changed() -> None:
    """Each frame starts at the last update id plus one; a tick without a change sends none."""
    feed, market = quiet_market()
    diffs = listen(feed, "depth@100ms")
    feed.tick(second=False)
    market.submit(Terms("a", "sell", 1, 100))
    feed.tick(second=False)
    feed.tick(second=False)
    market.submit(Terms("a", "sell", 1, 100))
    market.submit(Terms("a", "buy", 1, 90))
    feed.tick(second=False)
    first = market.first_id + 1
    assert [(d["U"], d["u"]) for d in diffs.payloads] == [
        (first, first),
        (first + 1, first + 2),
    ]
    assert diffs.payloads[1]["b"] == [["0.90000000", "0.00001000"]]
    assert diffs.payloads[1]["a"] == [["1.00000000", "0.00002000"]]


def test_slow_and_fast_diffs_are_independent() -> None:
    """One frame of the 1000 ms stream covers ten frames of the 100 ms stream."""
    feed, market = quiet_market()
    fast, slow = listen(feed, "depth@100ms"), listen(feed, "depth")
    for price in (100, 101, 102):
        market.submit(Terms("a", "sell", 1, price))
        feed.tick(second=price == 102)
    assert len(fast.frames) == 3
    assert [len(d["a"]) for d in slow.payloads] == [3]


def test_a_removed_level_has_quantity_zero() -> None:
    """Clients remove a level with quantity zero."""
    feed, market = quiet_market()
    order = market.submit(Terms("a", "sell", 1, 100))
    feed.tick(second=False)
    diffs = listen(feed, "depth@100ms")
    market.cancel(order.order_id)
    feed.tick(second=False)
    assert diffs.payloads[0]["a"] == [["1.00000000", "0.00000000"]]


def test_one_takers_fills_at_one_price_are_one_aggregate() -> None:
    """Two makers at 100 and one at 101 give two aggregates with first and last trade ids."""
    feed, market = quiet_market()
    aggregates, trades = listen(feed, "aggTrade"), listen(feed, "trade")
    for quantity, price in ((1, 100), (2, 100), (4, 101)):
        market.submit(Terms("maker", "sell", quantity, price))
    market.submit(Terms("taker", "buy", 5))
    first = market.first_id
    assert [(t["t"], t["p"], t["q"], t["m"]) for t in trades.payloads] == [
        (first, "1.00000000", "0.00001000", False),
        (first + 1, "1.00000000", "0.00002000", False),
        (first + 2, "1.01000000", "0.00002000", False),
    ]
    assert aggregates.payloads == [
        {
            "e": "aggTrade",
            "E": NOW,
            "s": "BTCUSDT",
            "a": first,
            "p": "1.00000000",
            "q": "0.00003000",
            "f": first,
            "l": first + 1,
            "T": NOW,
            "m": False,
            "M": True,
        },
        {
            "e": "aggTrade",
            "E": NOW,
            "s": "BTCUSDT",
            "a": first + 1,
            "p": "1.01000000",
            "q": "0.00002000",
            "f": first + 2,
            "l": first + 2,
            "T": NOW,
            "m": False,
            "M": True,
        },
    ]


def test_aggregates_cover_every_trade_once_with_contiguous_ids() -> None:
    """In a busy market, `f` and `l` are contiguous, and quantities add up."""
    feed, traders = open_market()
    aggregates, trades = listen(feed, "aggTrade"), listen(feed, "trade")
    for _ in range(2000):
        traders.act()
    found = aggregates.payloads
    assert [a["a"] for a in found] == list(range(found[0]["a"], found[0]["a"] + len(found)))
    assert [a["f"] for a in found[1:]] == [a["l"] + 1 for a in found[:-1]]
    assert sum(Decimal(a["q"]) for a in found) == sum(Decimal(t["q"]) for t in trades.payloads)


def test_the_best_prices_are_published_only_on_a_change() -> None:
    """A deeper order publishes nothing; a better price or a new best quantity does."""
    feed, market = quiet_market()
    best = listen(feed, "bookTicker")
    market.submit(Terms("a", "buy", 1, 100))
    market.submit(Terms("a", "buy", 1, 99))
    market.submit(Terms("a", "buy", 1, 100))
    assert [(b["b"], b["B"], b["a"], b["u"]) for b in best.payloads] == [
        ("1.00000000", "0.00001000", "0.00000000", market.first_id + 1),
        ("1.00000000", "0.00002000", "0.00000000", market.first_id + 3),
    ]


def test_partial_books_are_the_top_of_the_book() -> None:
    """Five, ten and twenty levels, with the update id of the book they show."""
    feed, _ = open_market()
    found = {n: listen(feed, f"depth{n}@100ms") for n in (5, 10, 20)}
    feed.tick(second=False)
    for count, recorder in found.items():
        assert recorder.payloads == [feed.book(count)]
        assert len(recorder.payloads[0]["bids"]) == count


def test_tickers_are_published_every_second() -> None:
    """Full and mini ticker, with the trades' high, low and last."""
    feed, market = quiet_market()
    ticker, mini = listen(feed, "ticker"), listen(feed, "miniTicker")
    for price in (100, 120, 110):
        market.submit(Terms("maker", "sell", 2, price))
        market.submit(Terms("taker", "buy", 1))
        market.submit(Terms("taker", "buy", 1))
    feed.tick(second=False)
    assert not ticker.frames
    feed.tick(second=True)
    found = ticker.payloads[0]
    assert (found["o"], found["h"], found["l"], found["c"]) == (
        *("1.00000000", "1.20000000"),
        *("1.00000000", "1.10000000"),
    )
    assert (found["p"], found["P"], found["w"]) == ("0.10000000", "10.000", "1.10000000")
    assert (found["v"], found["q"], found["n"]) == ("0.00006000", "0.00006600", 6)
    assert (found["F"], found["L"]) == (market.first_id, market.first_id + 5)
    assert {k: mini.payloads[0][k] for k in "ohlcvq"} == {k: found[k] for k in "ohlcvq"}


def test_a_frame_is_encoded_once_and_wrapped_for_combined_sessions() -> None:
    """All sessions receive the same payload; only the wrapper differs."""
    feed, market = quiet_market()
    raw, other, combined = Recorder(), Recorder(), Recorder(combined=True)
    for session in (raw, other, combined):
        feed.channels["aggTrade"].listeners.add(session)
    market.submit(Terms("maker", "sell", 2, 100))
    market.submit(Terms("taker", "buy", 1))
    assert raw.frames[0] is other.frames[0]
    assert combined.payloads == [{"stream": "btcusdt@aggTrade", "data": raw.payloads[0]}]
