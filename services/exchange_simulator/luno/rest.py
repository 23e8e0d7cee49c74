"""Luno's REST API under /api/1 and /api/exchange: market data, with its limit and errors.

Calls and answers: luno.com/en/developers/api.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_simulator.budget import MinuteBudget
from services.exchange_simulator.instruments import fixed, trimmed
from services.exchange_simulator.luno.feed import LunoFeed
from services.exchange_simulator.luno.stream import ApiKey
from services.exchange_simulator.luno.wire import LunoError
from services.exchange_simulator.market import MarketStatus
from services.exchange_simulator.matching import BookSide

CALLS_PER_MINUTE = 300
TOP_LEVELS = 100
MAX_TRADES = 100
DAY_MS = 24 * 3600 * 1000
# The status in `markets`; the stream and the ticker spell it otherwise.
TRADING_STATUS: Mapping[MarketStatus, str] = {
    "active": "ACTIVE",
    "post_only": "POST_ONLY",
    "halted": "SUSPENDED",
}


@dataclass(frozen=True, slots=True)
class LunoVenue:
    """The open pairs by Luno's name, the venue's clock, the request budget, and the API key."""

    feeds: Mapping[str, LunoFeed]
    clock: Callable[[], int]
    budget: MinuteBudget
    key: ApiKey


def routes(venue: LunoVenue) -> list[web.AbstractRouteDef]:
    """The routes of the REST API. Any other path is answered 404 with an empty body."""

    def call(answer: Callable[[LunoVenue, web.Request], Any]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            return respond(venue, request, lambda: answer(venue, request))

        return handle

    return [
        web.get("/api/1/ticker", call(ticker)),
        web.get("/api/1/tickers", call(tickers)),
        web.get("/api/1/orderbook_top", call(orderbook_top)),
        web.get("/api/1/orderbook", call(orderbook)),
        web.get("/api/1/trades", call(trades)),
        web.get("/api/exchange/1/markets", call(markets)),
    ]


def respond(venue: LunoVenue, request: web.Request, answer: Callable[[], Any]) -> web.Response:
    """The HTTP response with the result or refusal of *answer*; charges one call."""
    status = 200
    try:
        if venue.budget.charge(request.remote or "", 1) > CALLS_PER_MINUTE:
            raise LunoError(429, "ErrTooManyRequests", "too many requests")
        body = answer()
    except LunoError as error:
        status, body = error.status, error.body()
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )


def _feed(venue: LunoVenue, request: web.Request) -> LunoFeed:
    feed = venue.feeds.get(request.query.get("pair", ""))
    if feed is None:
        raise LunoError(400, "ErrMarketUnavailable", "Market not available")
    return feed


def _chosen(venue: LunoVenue, request: web.Request) -> list[LunoFeed]:
    """The requested pairs (the parameter repeats), or all; unknown names are ignored."""
    names = request.query.getall("pair", list(venue.feeds))
    return [venue.feeds[name] for name in names if name in venue.feeds]


def ticker(venue: LunoVenue, request: web.Request) -> Any:
    """Best prices, last trade and 24 h volume of one pair."""
    return _ticker(_feed(venue, request))


def tickers(venue: LunoVenue, request: web.Request) -> Any:
    """The tickers of several pairs."""
    return {"tickers": [_ticker(feed) for feed in _chosen(venue, request)]}


def _ticker(feed: LunoFeed) -> dict[str, Any]:
    instrument = feed.instrument
    engine = feed.market.engine
    day = feed.market.day.window(feed.market.now())
    return {
        "pair": instrument.pair,
        "timestamp": feed.market.changed_at,
        "bid": trimmed(engine.bids.best() or 0, instrument.price_scale),
        "ask": trimmed(engine.asks.best() or 0, instrument.price_scale),
        "last_trade": trimmed(day.close if day else 0, instrument.price_scale),
        "rolling_24_hour_volume": trimmed(day.volume if day else 0, instrument.quantity_scale),
        "status": feed.status,
    }


def orderbook_top(venue: LunoVenue, request: web.Request) -> Any:
    """The best 100 levels a side, summed by price, written with 18 decimals."""
    feed = _feed(venue, request)
    instrument = feed.instrument

    def side(book: BookSide) -> list[dict[str, str]]:
        return [
            {
                "price": fixed(price, instrument.price_scale, 18),
                "volume": fixed(lots, instrument.quantity_scale, 18),
            }
            for price, lots in book.top(TOP_LEVELS)
        ]

    engine = feed.market.engine
    return {
        "timestamp": feed.market.changed_at,
        "bids": side(engine.bids),
        "asks": side(engine.asks),
    }


def orderbook(venue: LunoVenue, request: web.Request) -> Any:
    """Every order, without its id."""
    feed = _feed(venue, request)
    instrument = feed.instrument

    def side(book: BookSide) -> list[dict[str, str]]:
        return [
            {
                "price": trimmed(order.terms.price or 0, instrument.price_scale),
                "volume": trimmed(order.remaining, instrument.quantity_scale),
            }
            for order in book.orders()
        ]

    engine = feed.market.engine
    return {
        "timestamp": feed.market.changed_at,
        "bids": side(engine.bids),
        "asks": side(engine.asks),
    }


def trades(venue: LunoVenue, request: web.Request) -> Any:
    """The latest trades, newest first, at most 100; *since* (ms) at most 24 h back."""
    feed = _feed(venue, request)
    since = _since(request, venue.clock())
    instrument, history = feed.instrument, feed.market.trades
    first = max(
        history.next_id - MAX_TRADES, history.first_id if since is None else history.first_at(since)
    )
    return {
        "trades": [
            {
                "sequence": trade_id,
                "timestamp": time_ms,
                "price": fixed(price, instrument.price_scale),
                "volume": fixed(lots, instrument.quantity_scale),
                "is_buy": bool(bought),
            }
            for trade_id, (time_ms, price, lots, bought) in reversed(
                list(history.rows(first, history.next_id))
            )
        ]
    }


def _since(request: web.Request, now_ms: int) -> int | None:
    text = request.query.get("since")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise LunoError(400, "ErrInvalidArguments", f"since={text!r}: expected Unix milliseconds")
    if int(text) < now_ms - DAY_MS:
        raise LunoError(400, "ErrInvalidArguments", f"since={text}: more than 24 hours ago")
    return int(text)


def markets(venue: LunoVenue, request: web.Request) -> Any:
    """The rules of each pair."""
    return {"markets": [_market(feed) for feed in _chosen(venue, request)]}


def _market(feed: LunoFeed) -> dict[str, Any]:
    instrument = feed.instrument
    return {
        "market_id": instrument.pair,
        "trading_status": TRADING_STATUS[feed.market.status],
        "base_currency": instrument.base,
        "counter_currency": instrument.quote,
        "min_volume": trimmed(instrument.min_quantity, instrument.quantity_scale),
        "max_volume": trimmed(instrument.max_quantity, instrument.quantity_scale),
        "volume_scale": instrument.quantity_scale,
        "min_price": trimmed(instrument.min_price, instrument.price_scale),
        "max_price": trimmed(instrument.max_price, instrument.price_scale),
        "price_scale": instrument.price_scale,
        "fee_scale": 8,
    }
