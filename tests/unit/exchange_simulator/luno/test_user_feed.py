"""Luno's user stream: documented messages, and five minutes of missed ones after a reconnect."""

import json
from typing import Any

import pytest

from services.exchange_simulator.account_order import NewOrder
from services.exchange_simulator.luno.order_wire import account_id, public_id
from services.exchange_simulator.luno.user_feed import UserFeed
from tests.unit.exchange_simulator.floors import XBT, LunoFloor


class Client:
    """A session of the client; `messages` are the messages it received."""

    def __init__(self, feed: UserFeed) -> None:
        self.messages: list[dict[str, Any]] = []
        self._feed = feed
        feed.join(self.push)

    def push(self, frame: bytes) -> None:
        """Record a frame."""
        self.messages.append(json.loads(frame))

    def leave(self) -> None:
        """End the session."""
        self._feed.leave(self.push)

    def statuses(self) -> list[tuple[str, str]]:
        """Client order id and status of each order_status message."""
        updates = [m["order_status_update"] for m in self.messages if m["type"] == "order_status"]
        return [(update["client_order_id"], update["status"]) for update in updates]


@pytest.fixture
def floor() -> LunoFloor:
    """1 XBT at 1,400,000 to sell."""
    floor = LunoFloor()
    floor.others(XBT, "sell", "1400000", "1")
    return floor


def buy(floor: LunoFloor, client_id: str, price: int = 1_390_000, lots: int = 500_000) -> None:
    """A limit order of the account."""
    floor.account.place(NewOrder(XBT, client_id, "limit", "buy", lots, price))


def test_an_order_on_the_book_is_awaiting_then_pending(floor: LunoFloor) -> None:
    """Envelope and keys as documented; the account id is a number."""
    client = Client(UserFeed(floor.account, floor.clock))
    buy(floor, "mine")
    names = {
        "order_id": public_id(floor.order("mine")),
        "client_order_id": "mine",
        "market_id": "XBTZAR",
    }
    envelope = {
        "timestamp": floor.clock.now,
        "order_status_update": None,
        "order_fill_update": None,
        "balance_update": None,
    }
    row = client.messages[2]["balance_update"]["row_index"]
    assert client.messages == [
        {**envelope, "type": "order_status", "order_status_update": {**names, "status": status}}
        for status in ("AWAITING", "PENDING")
    ] + [
        {
            **envelope,
            "type": "balance_update",
            "balance_update": {
                "account_id": account_id("ZAR"),
                "row_index": row,
                "balance": "10000000.00000000",
                "balance_delta": "0.00000000",
                "available": "9305000.00000000",
                "available_delta": "-695000.00000000",
            },
        }
    ]


def test_fills_have_cumulative_and_single_amounts(floor: LunoFloor) -> None:
    """Two fills of one order; COMPLETE and the balances follow."""
    client = Client(UserFeed(floor.account, floor.clock))
    buy(floor, "mine", 1_400_000, 1_500_000)
    floor.others(XBT, "sell", "1400000", "0.5")
    fills = [m["order_fill_update"] for m in client.messages if m["type"] == "order_fill"]
    assert [(f["base_delta"], f["base_fill"], f["counter_fill"]) for f in fills] == [
        ("1.00000000", "1.00000000", "1400000.00000000"),
        ("0.50000000", "1.50000000", "2100000.00000000"),
    ]
    # First the taker's fee, then the maker's, of the received base asset.
    assert [(f["base_fee_delta"], f["base_fee"], f["counter_fee"]) for f in fills] == [
        ("0.00100000", "0.00100000", "0.00000000"),
        ("0.00045000", "0.00145000", "0.00000000"),
    ]
    assert client.statuses() == [("mine", s) for s in ("AWAITING", "PENDING", "COMPLETE")]
    last = {
        m["balance_update"]["account_id"]: m["balance_update"]
        for m in client.messages
        if m["type"] == "balance_update"
    }
    assert last[account_id("XBT")]["balance"] == "6.49855000"
    assert last[account_id("ZAR")]["available"] == "7900000.00000000"


def test_balance_deltas_add_up_and_row_indexes_increase(floor: LunoFloor) -> None:
    """From the initial balance to the current one."""
    client = Client(UserFeed(floor.account, floor.clock))
    buy(floor, "a", 1_400_000)
    buy(floor, "b")
    floor.account.cancel(floor.order("b"))
    updates = [m["balance_update"] for m in client.messages if m["type"] == "balance_update"]
    rows = [update["row_index"] for update in updates]
    assert rows == list(range(rows[0], rows[0] + len(rows)))
    for key, begin in (("balance", 10_000_000.0), ("available", 10_000_000.0)):
        zar = [u for u in updates if u["account_id"] == account_id("ZAR")]
        assert begin + sum(float(u[f"{key}_delta"]) for u in zar) == float(zar[-1][key])


def test_missed_messages_are_sent_again_with_some_earlier_ones(floor: LunoFloor) -> None:
    """Duplicates are intended: the exact time of a disconnect is unknown."""
    feed = UserFeed(floor.account, floor.clock)
    first = Client(feed)
    buy(floor, "long ago")
    floor.clock.now += 2000
    buy(floor, "just before")
    floor.clock.now += 500
    first.leave()
    buy(floor, "missed")
    floor.clock.now += 60_000
    second = Client(feed)
    assert dict(second.statuses()) == {"just before": "PENDING", "missed": "PENDING"}
    assert second.messages[0] in first.messages
    buy(floor, "after")
    assert second.statuses()[-1] == ("after", "PENDING")


def test_nothing_older_than_five_minutes_is_sent_again(floor: LunoFloor) -> None:
    """The client must query older changes by REST."""
    feed = UserFeed(floor.account, floor.clock)
    Client(feed).leave()
    buy(floor, "old")
    floor.clock.now += 200_000
    buy(floor, "young")
    floor.clock.now += 100_001
    assert [name for name, _ in Client(feed).statuses()] == ["young", "young"]


def test_a_first_session_receives_no_earlier_messages(floor: LunoFloor) -> None:
    """The stream has no snapshot."""
    feed = UserFeed(floor.account, floor.clock)
    buy(floor, "before")
    client = Client(feed)
    assert client.messages == []
    # Leaving without having joined has no effect.
    feed.leave(lambda _: None)
    assert Client(feed).messages == []
