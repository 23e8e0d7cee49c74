"""A book rebuilt from the wire equals the engine's book."""

from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.service import Simulator


async def get(session: aiohttp.ClientSession, url: str, **params: Any) -> Any:
    """A JSON answer; a status except 200 fails the test."""
    async with session.get(url, params=params) as response:
        assert response.status == 200, await response.text()
        return await response.json()


class Witness:
    """Records the engine's book at each frame of a depth stream."""

    combined = False

    def __init__(self, feed: BinanceFeed) -> None:
        self.feed = feed
        self.books: dict[int, Any] = {}

    def push(self, frame: bytes) -> None:
        """Record the book after the frame."""
        book = self.feed.book(5000)
        self.books[book["lastUpdateId"]] = {side: dict(book[side]) for side in ("bids", "asks")}


@pytest.mark.parametrize(("speed", "frames"), [("@100ms", 8), ("", 2)])
async def test_binance_diffs_on_a_rest_snapshot_give_the_engines_book(
    simulator: Simulator, speed: str, frames: int
) -> None:
    """The documented procedure over real sockets, compared after every frame."""
    witness = Witness(simulator.binance["BTCUSDT"])
    witness.feed.channels[f"depth{speed}"].listeners.add(witness)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{simulator.ws_url}/ws/btcusdt@depth{speed}") as ws,
    ):
        event = await ws.receive_json()
        snapshot = await get(
            session, f"{simulator.http_url}/api/v3/depth", symbol="BTCUSDT", limit=5000
        )
        local_id = snapshot["lastUpdateId"]
        assert local_id >= event["U"] - 1
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        applied = 0
        while applied < frames:
            if event["u"] > local_id:
                assert event["U"] <= local_id + 1
                for side, key in (("bids", "b"), ("asks", "a")):
                    for price, quantity in event[key]:
                        if Decimal(quantity):
                            book[side][price] = quantity
                        else:
                            book[side].pop(price, None)
                local_id = event["u"]
                applied += 1
                assert book == witness.books[local_id]
            event = await ws.receive_json()


async def test_binance_aggregates_by_rest_equal_the_streamed_ones(simulator: Simulator) -> None:
    """Twenty streamed aggregates, requested again from the first id."""
    stream = f"{simulator.ws_url}/ws/ethusdt@aggTrade"
    async with aiohttp.ClientSession() as session, session.ws_connect(stream) as ws:
        streamed = [await ws.receive_json() for _ in range(20)]
        found = await get(
            session,
            f"{simulator.http_url}/api/v3/aggTrades",
            symbol="ETHUSDT",
            fromId=streamed[0]["a"],
            limit=20,
        )
    assert found == [{k: v for k, v in s.items() if k not in "eEs"} for s in streamed]


async def test_luno_trades_by_rest_equal_the_streamed_ones(simulator: Simulator) -> None:
    """In sequence, price, volume and side of the taker."""
    derived: dict[int, tuple[Decimal, Decimal, bool]] = {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{simulator.ws_url}/api/1/stream/ETHZAR") as ws,
    ):
        await ws.send_json({"api_key_id": "simulator-key", "api_key_secret": "simulator-secret"})
        snapshot = await ws.receive_json()
        bids = {order["id"] for order in snapshot["bids"]}
        while len(derived) < 20:
            message = await ws.receive_json()
            for trade in message["trade_updates"]:
                base, counter = Decimal(trade["base"]), Decimal(trade["counter"])
                bought = trade["maker_order_id"] not in bids
                derived[trade["sequence"]] = (counter / base, base, bought)
            create = message["create_update"]
            if create and create["type"] == "BID":
                bids.add(create["order_id"])
        answer = await get(session, f"{simulator.http_url}/api/1/trades", pair="ETHZAR")
    listed = {
        t["sequence"]: (Decimal(t["price"]), Decimal(t["volume"]), t["is_buy"])
        for t in answer["trades"]
    }
    assert derived.items() <= listed.items()


async def test_all_subscribers_of_a_stream_receive_the_same_frames(simulator: Simulator) -> None:
    """Two clients that joined at different times agree on every common diff."""
    url = f"{simulator.ws_url}/ws/btcusdt@depth@100ms"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as early:
        await early.receive_json()
        async with session.ws_connect(url) as late:
            seen_late = [await late.receive_str() for _ in range(3)]
            seen_early = [await early.receive_str() for _ in range(4)]
    assert seen_late[0] in seen_early
    common = list(zip(seen_early[seen_early.index(seen_late[0]) :], seen_late, strict=False))
    assert all(one == other for one, other in common)
