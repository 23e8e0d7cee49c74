"""Hypothesis strategies for the messages and the streams' names."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from common_models import (
    AccountBalanceEvent,
    IndicatorValue,
    OrderBook,
    OrderBookLevel,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    PlaceOrderCommand,
    RequestBalanceCommand,
    Ticker,
    Trade,
)
from common_models.stream_names import (
    MARKET_DATA_TYPES,
    CommandStream,
    DeadLetterStream,
    EventStream,
    IndicatorStream,
    MarketStream,
    OperatorStream,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False)
not_negative = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
text = st.text(max_size=20)
zones = st.one_of(
    st.just(UTC),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
timestamps = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001 - Hypothesis adds the zones
sides = st.sampled_from(["buy", "sell"])
types = st.sampled_from(["limit", "market"])
fees = st.dictionaries(st.text(max_size=5), st.none() | finite | text, max_size=3)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Null, or a value of *strategy*."""
    return st.none() | strategy


tickers = st.builds(
    Ticker,
    symbol=text,
    timestamp=timestamps,
    last_price=positive,
    bid_price=positive,
    ask_price=positive,
    volume_24h=maybe(not_negative),
    exchange=text,
)
levels = st.builds(OrderBookLevel, price=positive, quantity=positive)
order_books = st.builds(
    OrderBook,
    symbol=text,
    timestamp=timestamps,
    bids=st.lists(levels, max_size=3),
    asks=st.lists(levels, max_size=3),
    exchange=text,
)
trades = st.builds(
    Trade,
    symbol=text,
    timestamp=timestamps,
    price=positive,
    quantity=positive,
    side=sides,
    trade_id=maybe(text),
    exchange=text,
)
limit_orders = st.builds(
    PlaceOrderCommand,
    client_order_id=text,
    symbol=text,
    type=st.just("limit"),
    side=sides,
    quantity=positive,
    price=positive,
    time_in_force=maybe(st.sampled_from(["GTC", "IOC", "FOK"])),
    post_only=st.booleans(),
)
market_orders = st.builds(
    PlaceOrderCommand,
    client_order_id=text,
    symbol=text,
    type=st.just("market"),
    side=sides,
    quantity=positive,
    price=maybe(positive),
)
balance_requests = st.builds(
    RequestBalanceCommand,
    client_request_id=text,
    exchange=text,
    assets=maybe(st.lists(text, max_size=3)),
)
order_responses = st.builds(
    OrderResponseEvent,
    client_order_id=text,
    order_id=maybe(text),
    symbol=text,
    requested_quantity=finite,
    requested_price=maybe(finite),
    side=text,
    type=text,
    status=text,
    timestamp=timestamps,
    error_message=maybe(text),
    filled_quantity=maybe(not_negative),
)
order_statuses = st.builds(
    OrderStatusUpdateEvent,
    order_id=text,
    client_order_id=maybe(text),
    symbol=text,
    status=text,
    filled_quantity=not_negative,
    remaining_quantity=not_negative,
    average_price=maybe(not_negative),
    trades=maybe(st.lists(trades, max_size=2)),
    fee=maybe(fees),
    timestamp=timestamps,
    exchange=text,
)
balances = st.builds(
    AccountBalanceEvent,
    exchange=text,
    asset=text,
    free=not_negative,
    locked=not_negative,
    total=not_negative,
    timestamp=timestamps,
)
indicator_values = st.builds(
    IndicatorValue,
    timestamp=timestamps,
    value=finite,
    indicator_name=text,
    symbol=text,
    exchange=text,
)

models: dict[type[BaseModel], st.SearchStrategy[Any]] = {
    Ticker: tickers,
    OrderBookLevel: levels,
    OrderBook: order_books,
    Trade: trades,
    PlaceOrderCommand: limit_orders | market_orders,
    RequestBalanceCommand: balance_requests,
    OrderResponseEvent: order_responses,
    OrderStatusUpdateEvent: order_statuses,
    AccountBalanceEvent: balances,
    IndicatorValue: indicator_values,
}

_OWN_WORDS = {"indicators", "commands", "events", "dead_letter", "state", "control"}
words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda word: word not in _OWN_WORDS
)
# Letters and digits of any script that have no small form left: exchanges list such symbols.
pairs = st.text(st.characters(categories=["Lu", "Nd", "Lo"]), min_size=1, max_size=10).filter(
    lambda pair: pair == pair.upper() and pair.isalnum()
)
indicator_names = st.from_regex(r"[A-Za-z0-9_.-]{1,10}", fullmatch=True)
market_streams = st.builds(MarketStream, words, pairs, st.sampled_from(MARKET_DATA_TYPES))
stream_names = st.one_of(
    market_streams,
    st.builds(CommandStream, words, words),
    st.builds(OperatorStream, words, words),
    st.builds(EventStream, words, words),
    st.builds(DeadLetterStream, words, words),
    st.builds(IndicatorStream, indicator_names, words, pairs),
)
