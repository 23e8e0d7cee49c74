"""What an independent client of the same venue sees, to compare with what is published."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp

from common_models import OrderBook

DEPTH = 20
AGAIN_AFTER = 0.05

Levels = tuple[tuple[float, float], ...]
State = tuple[Levels, Levels]
Sides = tuple[dict[str, Decimal], dict[str, Decimal]]  # quantity by price, bids and asks


def state_of(book: OrderBook) -> State:
    """A published book, to look up."""
    return (
        tuple((level.price, level.quantity) for level in book.bids),
        tuple((level.price, level.quantity) for level in book.asks),
    )


def top(side: Iterable[tuple[Decimal, Decimal]], *, best_is_highest: bool) -> Levels:
    """The best levels, sorted anew each time."""
    ordered = sorted(side, reverse=best_is_highest)[:DEPTH]
    return tuple((float(price), float(quantity)) for price, quantity in ordered)


@dataclass
class Record:
    """Every state of one symbol's book, and the times (venue's milliseconds) it was watched."""

    states: set[State] = field(default_factory=set)
    watched: list[tuple[int, int]] = field(default_factory=list)
    sessions: int = 0

    def add(self, milliseconds: int, bids: Levels, asks: Levels, *, first: bool) -> None:
        """One more state; *first* of a session."""
        self.states.add((bids, asks))
        if first:
            self.sessions += 1
            self.watched.append((milliseconds, milliseconds))
        else:
            self.watched[-1] = (self.watched[-1][0], milliseconds)

    def unknown(self, books: Iterable[OrderBook]) -> list[OrderBook]:
        """Those of *books* that the venue never held, as far as it was watched."""
        return [
            book
            for book in books
            if any(a <= book.timestamp.timestamp() * 1000 <= b for a, b in self.watched)
            and state_of(book) not in self.states
        ]


async def _watch_binance(port: int, pair: str, record: Record) -> None:
    root = f"127.0.0.1:{port}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://{root}/ws/{pair.lower()}@depth@100ms") as ws,
    ):
        update = await ws.receive_json()
        depth = f"http://{root}/api/v3/depth?symbol={pair}&limit=5000"
        async with session.get(depth) as response:
            snapshot = await response.json()
        sides = [{p: Decimal(q) for p, q in snapshot[side]} for side in ("bids", "asks")]
        known, first = snapshot["lastUpdateId"], True
        while True:
            if update["u"] > known:
                assert update["U"] <= known + 1, "the recorder itself lost an update"
                for side, changes in zip(sides, (update["b"], update["a"]), strict=True):
                    side.update((price, Decimal(quantity)) for price, quantity in changes)
                known = update["u"]
                bids, asks = (
                    [(Decimal(price), q) for price, q in side.items() if q] for side in sides
                )
                record.add(
                    update["E"],
                    top(bids, best_is_highest=True),
                    top(asks, best_is_highest=False),
                    first=first,
                )
                first = False
            update = await ws.receive_json()


async def _watch_luno(port: int, pair: str, record: Record) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{port}/api/1/stream/{pair}") as ws,
    ):
        await ws.send_json({"api_key_id": "simulator-key", "api_key_secret": "simulator-secret"})
        orders: dict[str, tuple[str, Decimal, Decimal]] = {}
        first = True
        while True:
            frame = await ws.receive_json()
            if frame:
                _apply_luno(orders, frame)
                levels: dict[str, dict[Decimal, Decimal]] = {"BID": {}, "ASK": {}}
                for side, price, volume in orders.values():
                    levels[side][price] = levels[side].get(price, Decimal()) + volume
                record.add(
                    frame["timestamp"],
                    top(levels["BID"].items(), best_is_highest=True),
                    top(levels["ASK"].items(), best_is_highest=False),
                    first=first,
                )
                first = False


def _apply_luno(orders: dict[str, tuple[str, Decimal, Decimal]], frame: dict[str, Any]) -> None:
    for side, name in (("BID", "bids"), ("ASK", "asks")):
        for order in frame.get(name) or ():
            orders[order["id"]] = (side, Decimal(order["price"]), Decimal(order["volume"]))
    for trade in frame.get("trade_updates") or ():
        side, price, volume = orders.pop(trade["maker_order_id"])
        if left := volume - Decimal(trade["base"]):
            orders[trade["maker_order_id"]] = (side, price, left)
    if new := frame.get("create_update"):
        orders[new["order_id"]] = (new["type"], Decimal(new["price"]), Decimal(new["volume"]))
    if gone := frame.get("delete_update"):
        del orders[gone["order_id"]]


@asynccontextmanager
async def recording(
    exchange: str, port: int, symbols: Iterable[str]
) -> AsyncIterator[dict[str, Record]]:
    """Watch the books of a simulator while the block runs, also across its restarts."""
    watch: Callable[..., Any] = _watch_binance if exchange == "binance" else _watch_luno
    records = {symbol: Record() for symbol in symbols}

    async def keep_watching(symbol: str) -> None:
        while True:
            try:
                await watch(port, symbol.replace("/", ""), records[symbol])
            except (aiohttp.ClientError, ConnectionError, TypeError, json.JSONDecodeError):
                await asyncio.sleep(AGAIN_AFTER)  # it is away, or its last frame wasn't JSON

    watching = [asyncio.create_task(keep_watching(symbol)) for symbol in records]
    try:
        yield records
        assert not any(task.done() for task in watching), "a recorder stopped"
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
