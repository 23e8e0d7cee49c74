"""Those who take a feed into Redis: how to start each, where its entries go, what they must be."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from redis import Redis

from benchmarks import frames
from common_models import Ticker, Trade

DEPTH = 20
Entry = tuple[bytes, dict[bytes, bytes]]


class WrongError(Exception):
    """What arrived is not what was sent."""


class Contender(Protocol):
    """One way of taking a feed into Redis."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def feed_of(self, work: str) -> str:
        """The kind of frames it takes for this work."""

    def command(self, work: str, feeder: int, redis: int) -> tuple[list[str], dict[str, str]]:
        """What to start, and its environment."""

    def streams(self, work: str) -> list[str]:
        """Where the entries of this work go, in the symbols' order."""

    def frame_number(self, stream: int, entry: Mapping[bytes, bytes]) -> int:
        """Which trade an entry of stream number *stream* is."""

    def check(self, work: str, redis: Redis, feed: frames.Feed) -> None:
        """Raise WrongError where what is in Redis isn't what the frames say."""


@dataclass(frozen=True)
class Ours:
    """Our Binance connector, as it is started in earnest; every diff gives a book."""

    name: str = "this suite"

    def feed_of(self, work: str) -> str:
        """Its tickers come from `@ticker`."""
        return work

    def command(self, work: str, feeder: int, redis: int) -> tuple[list[str], dict[str, str]]:
        """`python -m services.binance_connector`; Luno's for Luno's work."""
        common = {
            "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
            "HEALTH_PORT": "0",
            "ORDER_BOOK_INTERVAL": "0",
            "LOG_LEVEL": "warning",
        }
        rest, stream = f"http://127.0.0.1:{feeder}", f"ws://127.0.0.1:{feeder}"
        if work == "luno":
            return [sys.executable, "-m", "services.luno_connector"], {
                **common,
                "LUNO_SYMBOLS": "XBT/ZAR",
                "LUNO_REST_URL": rest,
                "LUNO_STREAM_URL": stream,
                "LUNO_API_KEY_ID": "bench",
                "LUNO_API_SECRET_KEY": "bench",
            }
        symbols = frames.BASES[:1] if work == "books" else frames.BASES
        return [sys.executable, "-m", "services.binance_connector"], {
            **common,
            "BINANCE_SYMBOLS": ",".join(f"{base}/{frames.QUOTE}" for base in symbols),
            "BINANCE_REST_URL": f"{rest}/api",
            "BINANCE_STREAM_URL": stream,
        }

    def streams(self, work: str) -> list[str]:
        """One a symbol."""
        if work == "luno":
            return [f"luno:{frames.LUNO_PAIR}:orderbook"]
        if work == "books":
            return [f"binance:{frames.BASES[0]}{frames.QUOTE}:orderbook"]
        kind = {"trades": "trades", "tickers": "ticker"}[work]
        return [f"binance:{base}{frames.QUOTE}:{kind}" for base in frames.BASES]

    def frame_number(self, stream: int, entry: Mapping[bytes, bytes]) -> int:
        """By the trade's id."""
        trade_id = int(json.loads(entry[b"data"])["trade_id"])
        return (trade_id - frames.FIRST_ID) * len(frames.BASES) + stream

    def check(self, work: str, redis: Redis, feed: frames.Feed) -> None:
        """Every entry that the trimming left, field by field; the final book."""
        last = len(feed.frames) - 1
        if work == "books":
            self._check_book(_last(redis, self.streams(work)[0]), last)
            return
        if work == "luno":
            book = _data(_last(redis, self.streams(work)[0]))
            book.pop("timestamp")
            _same(book, luno_book(last), "the final book")
            return
        for number, stream in enumerate(self.streams(work)):
            expected = range(last - (last - number) % 10, -1, -len(frames.BASES))
            found = _newest_first(redis, stream)
            for i, (_, fields) in zip(expected, found, strict=False):
                wanted = our_trade(i) if work == "trades" else our_ticker(i)
                _same(wanted.model_validate_json(fields[b"data"]), wanted, f"frame {i}")

    @staticmethod
    def _check_book(fields: Mapping[bytes, bytes], last: int) -> None:
        found, truth = _data(fields), frames.top(last + 1, DEPTH)
        for name, short in (("bids", "b"), ("asks", "a")):
            levels = [(row["price"], row["quantity"]) for row in found[name]]
            _same(levels, truth[short], f"the final book's {name}")


@dataclass(frozen=True)
class Cryptofeed:
    """cryptofeed into its Redis streams, in the environment that *python* belongs to."""

    name: str
    python: Path
    options: Mapping[str, Any]

    def feed_of(self, work: str) -> str:
        """Its tickers come from `@bookTicker`."""
        return "book_tickers" if work == "tickers" else work

    def command(self, work: str, feeder: int, redis: int) -> tuple[list[str], dict[str, str]]:
        """`cryptofeed_peer.py`; it keeps its list of symbols below XDG_CACHE_HOME."""
        script = Path(__file__).with_name("cryptofeed_peer.py")
        ports = [str(feeder), str(redis)]
        command = [
            str(self.python),
            "-P",
            str(script),
            work,
            *ports,
            json.dumps(dict(self.options)),
        ]
        return command, {"XDG_CACHE_HOME": "."}

    def streams(self, work: str) -> list[str]:
        """One a symbol."""
        kind = {"trades": "trades", "tickers": "ticker", "books": "book"}[work]
        bases = frames.BASES[:1] if work == "books" else frames.BASES
        return [f"{kind}-BINANCE-{base}-{frames.QUOTE}" for base in bases]

    def frame_number(self, stream: int, entry: Mapping[bytes, bytes]) -> int:
        """By the trade's id."""
        return (int(entry[b"id"]) - frames.FIRST_ID) * len(frames.BASES) + stream

    def check(self, work: str, redis: Redis, feed: frames.Feed) -> None:
        """Every entry's numbers; the final book."""
        last = len(feed.frames) - 1
        if work == "books":
            book = json.loads(_last(redis, self.streams(work)[0])[b"book"])
            for name, short in (("bid", "b"), ("ask", "a")):
                levels = [(float(price), size) for price, size in book[name].items()]
                best = frames.top(last + 1, DEPTH)[short]
                _same(sorted(levels, reverse=name == "bid"), best, f"the final book's {name}")
            return
        names = {"trades": ("price", "amount"), "tickers": ("bid", "ask")}[work]
        payload_names = {"trades": ("p", "q"), "tickers": ("b", "a")}[work]
        for number, stream in enumerate(self.streams(work)):
            expected = range(last - (last - number) % 10, -1, -len(frames.BASES))
            found = _newest_first(redis, stream)
            for i, (_, fields) in zip(expected, found, strict=True):
                payload = frames.trade(i) if work == "trades" else frames.book_ticker(i)
                numbers = [float(fields[name.encode()]) for name in names]
                _same(numbers, [float(payload[name]) for name in payload_names], f"frame {i}")


def our_trade(i: int) -> Trade:
    """What we must publish of trade frame number *i*."""
    payload = frames.trade(i)
    return Trade(
        symbol=f"{frames.base_of(i)}/{frames.QUOTE}",
        timestamp=_moment(payload["T"]),
        price=float(payload["p"]),
        quantity=float(payload["q"]),
        side="sell" if payload["m"] else "buy",
        trade_id=str(payload["a"]),
        exchange="binance",
    )


def our_ticker(i: int) -> Ticker:
    """What we must publish of ticker frame number *i*."""
    payload = frames.ticker(i)
    return Ticker(
        symbol=f"{frames.base_of(i)}/{frames.QUOTE}",
        timestamp=_moment(payload["E"]),
        last_price=float(payload["c"]),
        bid_price=float(payload["b"]),
        ask_price=float(payload["a"]),
        volume_24h=float(payload["v"]),
        exchange="binance",
    )


def _moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def luno_book(updates: int) -> dict[str, Any]:
    """The book after that many updates, added up the plain way; all but its time."""
    orders: dict[str, tuple[str, float, float]] = {}
    start = frames.luno_snapshot()
    for side in ("asks", "bids"):
        for row in start[side]:
            orders[row["id"]] = (side, float(row["price"]), float(row["volume"]))
    if updates % 2:  # in pairs each order that comes goes again
        new = frames.luno_update(updates - 1)["create_update"]
        side = {"BID": "bids", "ASK": "asks"}[new["type"]]
        orders[new["order_id"]] = (side, float(new["price"]), float(new["volume"]))
    book: dict[str, Any] = {"symbol": "XBT/ZAR", "exchange": "luno"}
    for side in ("asks", "bids"):
        totals: dict[float, float] = {}
        for of, price, volume in orders.values():
            if of == side:
                totals[price] = round(totals.get(price, 0.0) + volume, 8)
        best = sorted(totals.items(), reverse=side == "bids")[:DEPTH]
        book[side] = [{"price": price, "quantity": quantity} for price, quantity in best]
    return book


def _newest_first(redis: Redis, stream: str) -> Sequence[Entry]:
    entries: Any = redis.xrevrange(stream)
    for (later, _), (earlier, _) in pairwise(entries):
        if later == earlier:
            raise WrongError(f"{stream}: {later!r} twice")
    return entries  # type: ignore[no-any-return]


def _last(redis: Redis, stream: str) -> dict[bytes, bytes]:
    entries: Any = redis.xrevrange(stream, count=1)
    return entries[0][1]  # type: ignore[no-any-return]


def _data(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    return json.loads(fields[b"data"])  # type: ignore[no-any-return]


def _same(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise WrongError(f"{what}: {found!r}; want {wanted!r}"[:2000])
