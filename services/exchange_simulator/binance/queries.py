"""Binance's market data queries, shared by REST and the WebSocket API.

Each answer is `(request weight, JSON value)`. Parameters, weights and limits:
developers.binance.com, "Public Rest API for Binance", market data endpoints.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from services.exchange_simulator.binance import errors, exchange_info, tickers
from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.binance.wire import money, price, quantity
from services.exchange_simulator.budget import MinuteBudget

Answer = tuple[int, Any]

SYMBOL = re.compile(r"[\w\-.]{1,20}")
NUMBER = re.compile(r"[0-9]{1,20}")
MAX_DEPTH = 5000
MAX_TRADES = 1000


@dataclass(frozen=True, slots=True)
class BinanceVenue:
    """The open symbols by Binance's name, the venue's clock, and the request budget."""

    feeds: Mapping[str, BinanceFeed]
    clock: Callable[[], int]
    budget: MinuteBudget

    def check_budget(self, client: str) -> None:
        """Check the budget before a request is executed, so that no executed request is refused.

        Raises:
            BinanceError: -1003, the client has used its minute's weight.
        """
        if self.budget.charge(client, 0) >= exchange_info.WEIGHT_LIMIT:
            left = self.budget.seconds_left()
            raise errors.too_much_weight(exchange_info.WEIGHT_LIMIT, left)


class Query:
    """A request's parameters. A parameter that the endpoint didn't read is an error."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """A parameter, None if it wasn't sent.

        Raises:
            BinanceError: it is empty.
        """
        value = self._params.get(name)
        if value is None:
            return None
        self._read.add(name)
        if value == "":
            raise errors.missing(name)
        return str(value)

    def number(self, name: str) -> int | None:
        """A whole number >= 0, None if it wasn't sent.

        Raises:
            BinanceError: it isn't such a number.
        """
        value = self.text(name)
        if value is None:
            return None
        if not NUMBER.fullmatch(value):
            raise errors.illegal(name, "^[0-9]{1,20}$")
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """`limit`, reduced to *most* if larger.

        Raises:
            BinanceError: it isn't a whole number >= 1.
        """
        value = self.number("limit")
        if value is None:
            return default
        if value < 1:
            raise errors.invalid_data("limit")
        return min(value, most)

    def names(self, name: str) -> list[str] | None:
        """A JSON list of texts (a list on the WebSocket API), None if it wasn't sent.

        Raises:
            BinanceError: it isn't such a list.
        """
        value = self._params.get(name)
        if value is None:
            return None
        self._read.add(name)
        try:
            if isinstance(value, str):
                return msgspec.json.decode(value, type=list[str])
            return msgspec.convert(value, list[str])
        except msgspec.MsgspecError:
            raise errors.illegal(name, r'^\["[^"]{1,20}"(,"[^"]{1,20}"){0,}\]$') from None

    def flag(self, name: str, *, default: bool) -> bool:
        """`true` or `false` (a boolean on the WebSocket API).

        Raises:
            BinanceError: it is neither.
        """
        value = self._params.get(name)
        if value is None:
            return default
        self._read.add(name)
        text = str(value).lower()
        if text not in {"true", "false"}:
            raise errors.illegal(name, "^(true|false)$")
        return text == "true"

    def done(self) -> None:
        """Check that all parameters sent were read; call it last.

        Raises:
            BinanceError: parameters that the endpoint didn't read.
        """
        if len(self._read) < len(self._params):
            raise errors.unread(len(self._params), len(self._read))


def _feed(venue: BinanceVenue, name: str) -> BinanceFeed:
    if not SYMBOL.fullmatch(name):
        raise errors.illegal("symbol", r"^[\w\-._&&[^a-z]]{1,20}$")
    feed = venue.feeds.get(name)
    if feed is None:
        raise errors.invalid_symbol()
    return feed


def _one(venue: BinanceVenue, query: Query) -> BinanceFeed:
    name = query.text("symbol")
    if name is None:
        raise errors.missing("symbol")
    return _feed(venue, name)


def _some(venue: BinanceVenue, query: Query) -> tuple[list[BinanceFeed], bool]:
    """The requested feeds (all if none is named), and whether `symbol` named a single one."""
    single, several = query.text("symbol"), query.names("symbols")
    if single is not None and several is not None:
        raise errors.bad_combination()
    if single is not None:
        return [_feed(venue, single)], True
    if several is not None:
        if not several:
            raise errors.missing("symbols")
        return [_feed(venue, name) for name in several], False
    return list(venue.feeds.values()), False


def ping(_: BinanceVenue, query: Query) -> Answer:
    """An empty object."""
    query.done()
    return 1, {}


def time(venue: BinanceVenue, query: Query) -> Answer:
    """The venue's clock."""
    query.done()
    return 1, {"serverTime": venue.clock()}


def exchange_information(venue: BinanceVenue, query: Query) -> Answer:
    """The rules of the requested symbols."""
    feeds, _ = _some(venue, query)
    left_out: dict[str, Any] = (
        {} if query.flag("showPermissionSets", default=True) else {"permissionSets": []}
    )
    query.done()
    return 20, {
        "timezone": "UTC",
        "serverTime": venue.clock(),
        "rateLimits": exchange_info.RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [
            exchange_info.symbol(feed.instrument, feed.market.status) | left_out for feed in feeds
        ],
    }


def depth(venue: BinanceVenue, query: Query) -> Answer:
    """A snapshot of the book."""
    feed, limit = _one(venue, query), query.limit(100, MAX_DEPTH)
    query.done()
    weight = next(w for most, w in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= most)
    return weight, feed.book(limit)


def trades(venue: BinanceVenue, query: Query) -> Answer:
    """The latest trades, oldest first."""
    feed, limit = _one(venue, query), query.limit(500, MAX_TRADES)
    query.done()
    history = feed.market.trades
    return 25, [
        {
            "id": trade_id,
            "price": price(feed.instrument, ticks),
            "qty": quantity(feed.instrument, lots),
            "quoteQty": money(feed.instrument, ticks * lots),
            "time": time_ms,
            "isBuyerMaker": not bought,
            "isBestMatch": True,
        }
        for trade_id, (time_ms, ticks, lots, bought) in history.rows(
            history.next_id - limit, history.next_id
        )
    ]


def aggregate_trades(venue: BinanceVenue, query: Query) -> Answer:
    """Aggregate trades: from an id, between two times, or the latest; oldest first."""
    feed, limit = _one(venue, query), query.limit(500, MAX_TRADES)
    from_id, start, end = (query.number(name) for name in ("fromId", "startTime", "endTime"))
    query.done()
    history = feed.aggregates
    if from_id is not None:
        if start is not None or end is not None:
            raise errors.bad_combination()
        first = max(from_id, history.first_id)
        last = first + limit
    elif start is None and end is None:
        first, last = history.next_id - limit, history.next_id
    else:
        last = history.next_id if end is None else history.first_at(end + 1)
        # With an end but no start, the latest trades before the end.
        first = last - limit if start is None else history.first_at(start)
        last = min(last, first + limit)
    return 4, [
        {
            "a": aggregate_id,
            "p": price(feed.instrument, ticks),
            "q": quantity(feed.instrument, lots),
            "f": first_trade,
            "l": last_trade,
            "T": time_ms,
            "m": not bought,
            "M": True,
        }
        for aggregate_id, (time_ms, ticks, lots, first_trade, last_trade, bought) in history.rows(
            first, last
        )
    ]


def average_price(venue: BinanceVenue, query: Query) -> Answer:
    """The average price of the last five minutes."""
    feed = _one(venue, query)
    query.done()
    return 2, tickers.average_price(feed.market)


def day_ticker(venue: BinanceVenue, query: Query) -> Answer:
    """24 h statistics of one symbol, some, or all."""
    feeds, single = _some(venue, query)
    kind = query.text("type") or "FULL"
    query.done()
    if kind not in ("FULL", "MINI"):
        raise errors.invalid_data("type")
    build = tickers.full_day if kind == "FULL" else tickers.mini_day
    weight = 2 if len(feeds) <= 20 else 40
    if single:
        return weight, build(feeds[0].market)
    return weight, [build(feed.market) for feed in feeds]


def price_ticker(venue: BinanceVenue, query: Query) -> Answer:
    """The last price of one symbol, some, or all."""
    feeds, single = _some(venue, query)
    query.done()
    if single:
        return 2, tickers.last_price(feeds[0].market)
    return 4, [tickers.last_price(feed.market) for feed in feeds]


def book_ticker(venue: BinanceVenue, query: Query) -> Answer:
    """The best bid and ask of one symbol, some, or all."""
    feeds, single = _some(venue, query)
    query.done()
    if single:
        return 2, tickers.book_ticker(feeds[0].market)
    return 4, [tickers.book_ticker(feed.market) for feed in feeds]
