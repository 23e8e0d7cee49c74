"""The hand-written bytes against the contract's models: same content, same refusals."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from common_models import OrderBook, Ticker, Trade
from common_models.fields import Side
from services._connector_kit.market_data.encode import MarketDataEncoder
from services._connector_kit.market_data.order_book import LevelBook

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS = -62_135_596_800_000  # year 1
LAST_MS = 253_402_300_799_999  # year 9999

symbols = st.sampled_from(["BTC/USDT", "XBT/ZAR", "币安人生/USDT", 'A"\\/Б😀', "1000SATS/TRY"])
any_float = st.one_of(
    st.floats(),
    st.sampled_from([5e-324, 1.7976931348623157e308, 1e16, 1e-7, 0.1 + 0.2, 0.0, -0.0]),
)
moments = st.one_of(
    st.integers(FIRST_MS, LAST_MS),
    st.integers(),
    st.sampled_from([0, -1, FIRST_MS, FIRST_MS - 1, LAST_MS, LAST_MS + 1]),
)
sides: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])


def model_says(model: type[BaseModel], milliseconds: int, **fields: Any) -> dict[str, Any] | None:
    """What the validated model dumps, its timestamp as an instant; None where it refuses."""
    try:
        timestamp = EPOCH + timedelta(milliseconds=milliseconds)
        message = model(timestamp=timestamp, **fields)
    except (OverflowError, ValidationError):
        return None
    return as_instant(json.loads(message.model_dump_json()))


def as_instant(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its timestamp parsed."""
    return {**message, "timestamp": datetime.fromisoformat(message["timestamp"])}


def read(data: bytes | None) -> dict[str, Any] | None:
    """The encoder's bytes, parsed."""
    return None if data is None else as_instant(json.loads(data))


ids = st.integers(0, 2**64)


@given(symbols, moments, any_float, any_float, sides, ids, st.none() | st.tuples(ids, ids))
@example("BTC/USDT", 1_790_127_197_639, 5e-324, 1.7976931348623157e308, "buy", 0, (0, 1))
def test_a_trade_is_what_its_model_would_write(
    symbol: str,
    milliseconds: int,
    price: float,
    quantity: float,
    side: Side,
    trade_id: int,
    made_of: tuple[int, int] | None,
) -> None:
    """For any numbers and any moment, refused ones included; an aggregate with what it is of."""
    first, last = made_of or (None, None)
    encoder = MarketDataEncoder("binance", symbol)
    data = encoder.trade(milliseconds, price, quantity, side, trade_id, first, last)
    assert read(data) == model_says(
        Trade,
        milliseconds,
        symbol=symbol,
        price=price,
        quantity=quantity,
        side=side,
        trade_id=str(trade_id),
        exchange="binance",
        first_trade_id=None if first is None else str(first),
        last_trade_id=None if last is None else str(last),
    )


@given(symbols, moments, any_float, any_float, any_float, st.none() | any_float)
def test_a_ticker_is_what_its_model_would_write(
    symbol: str, milliseconds: int, last: float, bid: float, ask: float, volume: float | None
) -> None:
    """For any numbers and any moment, refused ones included."""
    data = MarketDataEncoder("luno", symbol).ticker(milliseconds, last, bid, ask, volume)
    assert read(data) == model_says(
        Ticker,
        milliseconds,
        symbol=symbol,
        last_price=last,
        bid_price=bid,
        ask_price=ask,
        volume_24h=volume,
        exchange="luno",
    )


level_lists = st.dictionaries(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.floats(min_value=0, allow_infinity=False),
    max_size=8,
)


@given(symbols, moments, level_lists, level_lists, st.integers(1, 10))
def test_a_book_is_what_its_model_would_write(
    symbol: str,
    milliseconds: int,
    bids: dict[float, float],
    asks: dict[float, float],
    depth: int,
) -> None:
    """The best levels first, no more than asked for, and none that is empty."""

    def rows(levels: dict[float, float], *, reverse: bool) -> list[dict[str, float]]:
        alive = sorted(((p, q) for p, q in levels.items() if q), reverse=reverse)
        return [{"price": price, "quantity": quantity} for price, quantity in alive[:depth]]

    book = LevelBook(1, list(bids.items()), list(asks.items()), limit=1000)
    data = MarketDataEncoder("binance", symbol).book(milliseconds, book, depth)
    assert read(data) == model_says(
        OrderBook,
        milliseconds,
        symbol=symbol,
        bids=rows(bids, reverse=True),
        asks=rows(asks, reverse=False),
        exchange="binance",
    )


@pytest.mark.parametrize("milliseconds", [FIRST_MS - 1, LAST_MS + 1, 10**18, 10**30, -(10**30)])
def test_a_moment_that_no_calendar_has_gives_no_message(milliseconds: int) -> None:
    """A venue's nonsense time is refused, not raised: it must not end a feed."""
    encoder = MarketDataEncoder("binance", "BTC/USDT")
    book = LevelBook(1, [(1.0, 1.0)], [], limit=1000)
    assert encoder.trade(milliseconds, 1.0, 1.0, "buy", 1) is None
    assert encoder.ticker(milliseconds, 1.0, 1.0, 1.0, None) is None
    assert encoder.book(milliseconds, book, 20) is None
