"""Luno's feed: a snapshot plus its updates equal the engine's book, order by order."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.luno.feed import LunoFeed
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.traders import Traders

NOW = 1_790_000_000_000
ETH = next(i for i in INSTRUMENTS if i.symbol == "ETH/ZAR")


class Follower:
    """A client's book, maintained by the documented rules; a violation fails the test."""

    def __init__(self) -> None:
        self.books: dict[str, dict[str, tuple[str, Decimal]]] = {}
        self.sequence = 0
        self.trades: list[int] = []
        self.kinds: set[str] = set()

    def push(self, frame: bytes) -> None:
        """Apply the snapshot, then updates."""
        message = msgspec.json.decode(frame)
        if "asks" in message:
            assert not self.books
            for side in ("bids", "asks"):
                self.books[side] = {
                    order["id"]: (order["price"], Decimal(order["volume"]))
                    for order in message[side]
                }
                assert len(self.books[side]) == len(message[side])
            self.sequence = int(message["sequence"])
            return
        self.sequence += 1
        assert message["sequence"] == str(self.sequence)
        self._update(message)

    def _update(self, message: dict[str, Any]) -> None:
        for trade in message["trade_updates"]:
            maker = trade["maker_order_id"]
            book = next(book for book in self.books.values() if maker in book)
            price, volume = book[maker]
            assert Decimal(trade["counter"]) == Decimal(trade["base"]) * Decimal(price)
            left = volume - Decimal(trade["base"])
            assert left >= 0
            if left:
                book[maker] = (price, left)
            else:
                del book[maker]
            self.trades.append(trade["sequence"])
        if create := message["create_update"]:
            side = "bids" if create["type"] == "BID" else "asks"
            assert create["order_id"] not in self.books[side]
            self.books[side][create["order_id"]] = (create["price"], Decimal(create["volume"]))
        if delete := message["delete_update"]:
            book = next(book for book in self.books.values() if delete["order_id"] in book)
            del book[delete["order_id"]]
        present = [key for key in ("create_update", "delete_update") if message[key]]
        if message["trade_updates"]:
            present.append("trade_updates")
        self.kinds.add("+".join(sorted(present)))


@given(seed=st.integers(0, 1000), joins=st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_every_client_has_the_engines_book_whenever_it_joins(seed: int, joins: list[int]) -> None:
    """Clients that join at different times all end with the engine's book."""
    market = SimulatedMarket(ETH, lambda: NOW)
    feed = LunoFeed(market)
    traders = Traders(market, seed, 30)
    traders.open_market()
    followers = []
    for wait in joins:
        for _ in range(wait):
            traders.act()
        followers.append(Follower())
        feed.join(followers[-1].push)
    for _ in range(50):
        traders.act()
    truth = Follower()
    feed.join(truth.push)
    for follower in followers:
        assert follower.books == truth.books
        assert follower.sequence == truth.sequence


def test_every_kind_of_update_occurs_and_trade_sequences_count_up() -> None:
    """Create, delete, trades, trades with a create, and empty updates."""
    market = SimulatedMarket(ETH, lambda: NOW)
    feed = LunoFeed(market)
    traders = Traders(market, 1, 100)
    traders.open_market()
    follower = Follower()
    feed.join(follower.push)
    for _ in range(5000):
        traders.act()
    assert follower.kinds == {
        *("create_update", "delete_update", "trade_updates", ""),
        "create_update+trade_updates",
    }
    first = follower.trades[0]
    assert follower.trades == list(range(first, first + len(follower.trades)))


def test_a_snapshot_is_in_price_time_order() -> None:
    """Bids fall, asks rise; at one price the older order comes first."""
    market = SimulatedMarket(ETH, lambda: NOW)
    feed = LunoFeed(market)
    Traders(market, 1, 400).open_market()
    snapshot = feed.snapshot()
    bids = [Decimal(order["price"]) for order in snapshot["bids"]]
    asks = [Decimal(order["price"]) for order in snapshot["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(set(bids)) < len(bids)
    ages = [order.order_id for order in market.engine.bids.orders()]
    same_price = [ages[i] < ages[i + 1] for i in range(len(bids) - 1) if bids[i] == bids[i + 1]]
    assert all(same_price)


def test_a_client_that_left_receives_nothing_while_the_sequence_continues() -> None:
    """A client that returns starts at a later sequence."""
    market = SimulatedMarket(ETH, lambda: NOW)
    feed = LunoFeed(market)
    traders = Traders(market, 1, 50)
    traders.open_market()
    frames: list[bytes] = []
    feed.join(frames.append)
    feed.leave(frames.append)
    for _ in range(10):
        traders.act()
    assert len(frames) == 1
    again = Follower()
    feed.join(again.push)
    assert again.sequence == int(msgspec.json.decode(frames[0])["sequence"]) + 10
