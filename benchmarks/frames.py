"""The frames of a bench: what the venues would send, always the same ones.

Binance: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, combined
streams. Luno: https://www.luno.com/en/developers/api#tag/Streaming-API. Each list is endless in
principle: frame number i is a function of i, or of the frames before it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

BASES = ("BTC", "ETH", "SOL", "XRP", "BNB", "ADA", "DOGE", "LTC", "LINK", "DOT")
QUOTE = "USDT"
FIRST_ID = 3_000_000_000
FIRST_MS = 1_760_000_000_000
# A snapshot's levels, a diff's levels, and how far from the touch a diff's levels usually are.
LEVELS = 1000
CHANGES = 20
NEAR = 60.0
MIDDLE, TICK = 60_000.0, 0.01
GONE = 0.3
# What the busiest book of Luno's holds.
LUNO_ORDERS = 18_600
LUNO_PAIR = "XBTZAR"
LUNO_MIDDLE = 1_300_000

Payload = dict[str, Any]


@dataclass(frozen=True)
class Feed:
    """Frames in order; the first `primer` of them are sent as soon as a socket opens."""

    frames: list[bytes]
    primer: int

    @property
    def burst(self) -> int:
        """How many come after the primer."""
        return len(self.frames) - self.primer


def base_of(i: int) -> str:
    """Whose frame number *i* is: the symbols take turns."""
    return BASES[i % len(BASES)]


def _price(i: int) -> str:
    return f"{MIDDLE + (i * 7919 % 100_000) / 100:.8f}"


def _quantity(i: int) -> str:
    return f"{(1 + i * 104_729 % 9_999_991) / 100_000:.8f}"


def trade(i: int) -> Payload:
    """`@aggTrade`; each symbol's ids have no hole."""
    return {
        "e": "aggTrade",
        "E": FIRST_MS + i,
        "s": f"{base_of(i)}{QUOTE}",
        "a": FIRST_ID + i // len(BASES),
        "p": _price(i),
        "q": _quantity(i),
        "f": FIRST_ID + i,
        "l": FIRST_ID + i,
        "T": FIRST_MS + i - 1,
        "m": i % 3 == 0,
        "M": True,
    }


def ticker(i: int) -> Payload:
    """`@ticker`, what our connector takes: 24 hours in one frame."""
    price = _price(i)
    return {
        "e": "24hrTicker",
        "E": FIRST_MS + i,
        "s": f"{base_of(i)}{QUOTE}",
        "p": "120.50000000",
        "P": "0.201",
        "w": price,
        "x": price,
        "c": price,
        "Q": _quantity(i),
        "b": f"{MIDDLE - 1 - i % 977 / 100:.8f}",
        "B": _quantity(i + 1),
        "a": f"{MIDDLE + 2000 + i % 971 / 100:.8f}",
        "A": _quantity(i + 2),
        "o": price,
        "h": price,
        "l": price,
        "v": f"{10_000 + i / 100:.8f}",
        "q": "600000000.00000000",
        "O": FIRST_MS - 86_400_000,
        "C": FIRST_MS,
        "F": FIRST_ID,
        "L": FIRST_ID + i,
        "n": i + 1,
    }


def book_ticker(i: int) -> Payload:
    """`@bookTicker`, what cryptofeed takes for a ticker: smaller than `@ticker`."""
    full = ticker(i)
    return {"u": FIRST_ID + i, **{name: full[name] for name in ("s", "b", "B", "a", "A")}}


def _side(random: Random, sign: int) -> list[list[str]]:
    offsets: set[int] = set()
    while len(offsets) < CHANGES:
        offsets.add(min(int(random.expovariate(1 / NEAR)), LEVELS - 1))
    return [
        [
            f"{MIDDLE + sign * (offset + 1) * TICK:.8f}",
            f"{0 if random.random() < GONE else random.randint(1, 10**8) / 1e7:.8f}",
        ]
        for offset in sorted(offsets)
    ]


def snapshot(limit: int) -> Payload:
    """`GET /api/v3/depth` before the first diff."""

    def side(sign: int) -> list[list[str]]:
        return [
            [f"{MIDDLE + sign * (i + 1) * TICK:.8f}", f"{1 + i % 7:.8f}"]
            for i in range(min(limit, LEVELS))
        ]

    return {"lastUpdateId": FIRST_ID, "bids": side(-1), "asks": side(+1)}


def diffs(count: int) -> list[Payload]:
    """`@depth@100ms` of one symbol; the ids follow each other and the snapshot."""
    random = Random(5)  # the same diffs each time
    return [
        {
            "e": "depthUpdate",
            "E": FIRST_MS + i,
            "s": f"{BASES[0]}{QUOTE}",
            "U": FIRST_ID + 3 * i + 1,
            "u": FIRST_ID + 3 * i + 3,
            "b": _side(random, -1),
            "a": _side(random, +1),
        }
        for i in range(count)
    ]


@lru_cache
def top(count: int, depth: int) -> dict[str, list[tuple[float, float]]]:
    """The best levels after that many diffs, worked out the plain way."""
    start = snapshot(LEVELS)
    book = {"b": dict(start["bids"]), "a": dict(start["asks"])}
    for diff in diffs(count):
        for name, levels in book.items():
            levels.update(diff[name])
    return {
        name: sorted(
            ((float(p), float(q)) for p, q in levels.items() if float(q)), reverse=name == "b"
        )[:depth]
        for name, levels in book.items()
    }


def luno_snapshot() -> Payload:
    """The first frame of a market stream: every order, ten to a price."""

    def side(name: str, sign: int) -> list[Payload]:
        return [
            {
                "id": f"BX{name}{i:09d}",
                "price": f"{LUNO_MIDDLE + sign * (1 + i // 10)}.00",
                "volume": f"{0.001 + i % 997 / 1000:.6f}",
            }
            for i in range(LUNO_ORDERS // 2)
        ]

    return {
        "sequence": "1",
        "asks": side("ASK", +1),
        "bids": side("BID", -1),
        "status": "ACTIVE",
        "timestamp": FIRST_MS,
    }


def luno_update(i: int) -> Payload:
    """Update number *i* from 0: creates and deletes in turn, every tenth pair with a trade.

    Each pair leaves the book as large as it was.
    """
    pair, second = divmod(i, 2)
    new_id = f"BXNEW{pair:09d}"
    side, sign = (("BID", -1), ("ASK", +1))[pair % 2]
    price = f"{LUNO_MIDDLE + sign * (1 + pair * 31 % 40)}.00"
    empty: Payload = {
        "sequence": str(i + 2),
        "trade_updates": None,
        "create_update": None,
        "delete_update": None,
        "status_update": None,
        "timestamp": FIRST_MS + i,
    }
    if not second:
        order = {"order_id": new_id, "type": side, "price": price, "volume": "0.250000"}
        return {**empty, "create_update": order}
    if pair % 10 == 9:  # the new order is taken whole: a filled maker gets no delete
        fill = {
            "sequence": FIRST_ID + pair,
            "base": "0.250000",
            "counter": f"{float(price) / 4:.2f}",
            "maker_order_id": new_id,
            "taker_order_id": f"BXTAKER{pair:09d}",
            "order_id": new_id,
        }
        return {**empty, "trade_updates": [fill]}
    return {**empty, "delete_update": {"order_id": new_id}}


def packed(payload: Payload) -> bytes:
    """JSON without a needless space."""
    return json.dumps(payload, separators=(",", ":")).encode()


def _combined(channel: str, payload: Payload) -> bytes:
    return packed({"stream": f"{payload['s'].lower()}@{channel}", "data": payload})


def _turns(channel: str, payload: Callable[[int], Payload], count: int) -> Feed:
    primer = len(BASES)
    frames = [_combined(channel, payload(i)) for i in range(primer + count)]
    return Feed(frames, primer)


def feed(kind: str, count: int) -> Feed:
    """The frames of one bench: the primer, then *count* more."""
    if kind == "trades":
        return _turns("aggTrade", trade, count)
    if kind == "tickers":
        return _turns("ticker", ticker, count)
    if kind == "book_tickers":
        return _turns("bookTicker", book_ticker, count)
    if kind == "books":
        return Feed([_combined("depth@100ms", diff) for diff in diffs(1 + count)], 1)
    if kind == "luno":
        updates = [packed(luno_update(i)) for i in range(count)]
        return Feed([packed(luno_snapshot()), *updates], 1)
    raise ValueError(f"kind {kind!r}: want trades, tickers, book_tickers, books or luno")
