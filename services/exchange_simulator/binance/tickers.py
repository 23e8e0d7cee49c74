"""24 h statistics in the format of Binance's streams and REST."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from services.exchange_simulator.binance.wire import EMPTY, money, price, quantity
from services.exchange_simulator.day_stats import DAY_MINUTES, MINUTE_MS, Minute
from services.exchange_simulator.instruments import fixed
from services.exchange_simulator.market import SimulatedMarket

AVERAGE_MINUTES = 5


def _window(market: SimulatedMarket, minutes: int = DAY_MINUTES) -> Minute:
    """The window of the last *minutes*; all zeros, with trade ids -1, if it has no trade."""
    now = market.now()
    found = market.day.window(now, minutes)
    return found or Minute(now - minutes * MINUTE_MS, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0)


def _average(market: SimulatedMarket, day: Minute) -> str:
    """The price weighted by volume, 8 decimals."""
    if not day.volume:
        return fixed(0, 0)
    ticks = Decimal(day.money) / Decimal(day.volume)
    average = ticks.scaleb(-market.instrument.price_scale)
    return str(average.quantize(Decimal("1E-8"), ROUND_HALF_EVEN))


def _percent(day: Minute) -> str:
    if not day.open:
        return "0.000"
    change = Decimal(100 * (day.close - day.open)) / Decimal(day.open)
    return str(change.quantize(Decimal("1E-3"), ROUND_HALF_EVEN))


def ticker(market: SimulatedMarket) -> dict[str, Any]:
    """`<symbol>@ticker`."""
    day = _window(market)
    now = market.now()
    bid, ask = (level or EMPTY for level in market.engine.best())
    return {
        "e": "24hrTicker",
        "E": now,
        "s": market.instrument.pair,
        "p": price(market.instrument, day.close - day.open),
        "P": _percent(day),
        "w": _average(market, day),
        "x": price(market.instrument, market.day.price_before() or 0),
        "c": price(market.instrument, day.close),
        "Q": quantity(market.instrument, day.last_quantity),
        "b": price(market.instrument, bid[0]),
        "B": quantity(market.instrument, bid[1]),
        "a": price(market.instrument, ask[0]),
        "A": quantity(market.instrument, ask[1]),
        "o": price(market.instrument, day.open),
        "h": price(market.instrument, day.high),
        "l": price(market.instrument, day.low),
        "v": quantity(market.instrument, day.volume),
        "q": money(market.instrument, day.money),
        "O": day.start_ms,
        "C": now,
        "F": day.first_id,
        "L": day.last_id,
        "n": day.count,
    }


def mini_ticker(market: SimulatedMarket) -> dict[str, Any]:
    """`<symbol>@miniTicker`."""
    day = _window(market)
    return {
        "e": "24hrMiniTicker",
        "E": market.now(),
        "s": market.instrument.pair,
        "c": price(market.instrument, day.close),
        "o": price(market.instrument, day.open),
        "h": price(market.instrument, day.high),
        "l": price(market.instrument, day.low),
        "v": quantity(market.instrument, day.volume),
        "q": money(market.instrument, day.money),
    }


def mini_day(market: SimulatedMarket) -> dict[str, Any]:
    """`GET /api/v3/ticker/24hr?type=MINI`."""
    day = _window(market)
    return {
        "symbol": market.instrument.pair,
        "openPrice": price(market.instrument, day.open),
        "highPrice": price(market.instrument, day.high),
        "lowPrice": price(market.instrument, day.low),
        "lastPrice": price(market.instrument, day.close),
        "volume": quantity(market.instrument, day.volume),
        "quoteVolume": money(market.instrument, day.money),
        "openTime": day.start_ms,
        "closeTime": market.now(),
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": day.count,
    }


def full_day(market: SimulatedMarket) -> dict[str, Any]:
    """`GET /api/v3/ticker/24hr`."""
    day = _window(market)
    book = book_ticker(market)
    book.pop("symbol")
    return {
        **mini_day(market),
        "priceChange": price(market.instrument, day.close - day.open),
        "priceChangePercent": _percent(day),
        "weightedAvgPrice": _average(market, day),
        "prevClosePrice": price(market.instrument, market.day.price_before() or 0),
        "lastQty": quantity(market.instrument, day.last_quantity),
        **book,
    }


def last_price(market: SimulatedMarket) -> dict[str, str]:
    """`GET /api/v3/ticker/price`."""
    return {
        "symbol": market.instrument.pair,
        "price": price(market.instrument, _window(market).close),
    }


def book_ticker(market: SimulatedMarket) -> dict[str, str]:
    """`GET /api/v3/ticker/bookTicker`."""
    bid, ask = (level or EMPTY for level in market.engine.best())
    return {
        "symbol": market.instrument.pair,
        "bidPrice": price(market.instrument, bid[0]),
        "bidQty": quantity(market.instrument, bid[1]),
        "askPrice": price(market.instrument, ask[0]),
        "askQty": quantity(market.instrument, ask[1]),
    }


def average_price(market: SimulatedMarket) -> dict[str, Any]:
    """`GET /api/v3/avgPrice`: over five minutes, or the last price if nothing traded."""
    recent = _window(market, AVERAGE_MINUTES)
    return {
        "mins": AVERAGE_MINUTES,
        "price": _average(market, recent) if recent.volume else last_price(market)["price"],
        "closeTime": market.now(),
    }
