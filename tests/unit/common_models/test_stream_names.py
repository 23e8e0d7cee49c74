"""Streams' names: built from parts, parsed back to them, never two things under one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models.stream_names import (
    HALT,
    MARKET_DATA_TYPES,
    CommandStream,
    DeadLetterStream,
    EventStream,
    IndicatorStream,
    MarketStream,
    OperatorStream,
    StreamName,
    StreamNameError,
    connector,
    joined,
    parse,
    state_key,
)
from tests.unit.common_models.strategies import stream_names, words

# Every example of the contract, and the streams beyond it.
EXAMPLES = {
    "binance:BTCUSDT:ticker": MarketStream("binance", "BTCUSDT", "ticker"),
    "binance:ETHUSDT:orderbook": MarketStream("binance", "ETHUSDT", "orderbook"),
    "luno:XBTZAR:ticker": MarketStream("luno", "XBTZAR", "ticker"),
    "luno:ETHZAR:orderbook": MarketStream("luno", "ETHZAR", "orderbook"),
    "luno:XBTZAR:trades": MarketStream("luno", "XBTZAR", "trades"),
    "binance_connector:commands:place_order": CommandStream("binance_connector", "place_order"),
    "binance_connector:commands:request_balance": CommandStream(
        "binance_connector", "request_balance"
    ),
    "luno_connector:commands:place_order": CommandStream("luno_connector", "place_order"),
    "luno_connector:commands:request_balance": CommandStream("luno_connector", "request_balance"),
    "binance_connector:events:order_response": EventStream("binance_connector", "order_response"),
    "binance_connector:events:order_status": EventStream("binance_connector", "order_status"),
    "binance_connector:events:account_balance": EventStream("binance_connector", "account_balance"),
    "luno_connector:events:order_response": EventStream("luno_connector", "order_response"),
    "luno_connector:events:order_status": EventStream("luno_connector", "order_status"),
    "luno_connector:events:account_balance": EventStream("luno_connector", "account_balance"),
    "indicators:rsi_14:binance:BTCUSDT": IndicatorStream("rsi_14", "binance", "BTCUSDT"),
    "indicators:sma_50:luno:XBTZAR": IndicatorStream("sma_50", "luno", "XBTZAR"),
    "indicators:ema_20_close:luno:XBTZAR": IndicatorStream("ema_20_close", "luno", "XBTZAR"),
    "binance_connector:commands:cancel_order": CommandStream("binance_connector", "cancel_order"),
    "luno_connector:operator:cancel_all_orders": OperatorStream(
        "luno_connector", "cancel_all_orders"
    ),
    "luno_connector:events:connector_status": EventStream("luno_connector", "connector_status"),
    "bot:events:decision": EventStream("bot", "decision"),
    "luno_connector:dead_letter:place_order": DeadLetterStream("luno_connector", "place_order"),
}


@pytest.mark.parametrize(("name", "parts"), EXAMPLES.items())
def test_the_examples_are_spelled_and_read_as_written(name: str, parts: StreamName) -> None:
    """In both directions."""
    assert str(parts) == name
    assert parse(name) == parts


@given(stream_names)
def test_a_name_parses_back_to_what_made_it(parts: StreamName) -> None:
    """Of all kinds, with any parts."""
    assert parse(str(parts)) == parts


SHORT_WORDS = st.sampled_from(["a", "b", "ticker"])
SHORT_PAIRS = st.sampled_from(["A", "B", "TICKER"])
# Few parts for many names: a name that could be two things would be found.
ALIKE = st.one_of(
    st.builds(MarketStream, SHORT_WORDS, SHORT_PAIRS, st.sampled_from(MARKET_DATA_TYPES)),
    st.builds(CommandStream, SHORT_WORDS, SHORT_WORDS),
    st.builds(EventStream, SHORT_WORDS, SHORT_WORDS),
    st.builds(DeadLetterStream, SHORT_WORDS, SHORT_WORDS),
    st.builds(IndicatorStream, SHORT_WORDS | SHORT_PAIRS, SHORT_WORDS, SHORT_PAIRS),
)


@given(ALIKE, ALIKE)
def test_two_different_things_never_have_one_name(one: StreamName, other: StreamName) -> None:
    """Equal names mean equal parts."""
    assert (str(one) == str(other)) == (one == other)


@given(words, words)
def test_state_keys_and_switches_are_not_streams(service: str, what: str) -> None:
    """No stream can overwrite them."""
    for key in (state_key(service, what), HALT):
        with pytest.raises(StreamNameError):
            parse(key)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "binance",
        "binance:BTCUSDT",
        "binance:BTCUSDT:candles",
        "binance:btcusdt:ticker",
        "binance:BTC/USDT:ticker",
        "binance:BTC-USDT:ticker",
        "Binance:BTCUSDT:ticker",
        "binance:BTCUSDT:ticker:more",
        "binance::ticker",
        ":BTCUSDT:ticker",
        "binance:BTCUSDT:ticker\n",
        "binance :BTCUSDT:ticker",
        "binance_connector:commands:",
        "binance_connector:commands:Place",
        "binance_connector:orders:place_order",
        "events:commands:place_order",
        "commands:BTCUSDT:ticker",
        "indicators:BTCUSDT:ticker",
        "indicators:rsi 14:binance:BTCUSDT",
        "indicators::binance:BTCUSDT",
        "indicators:rsi_14:binance:btcusdt",
        "indicators:rsi_14:binance",
        "binance_connector:state:journal",
        "control:halt",
    ],
)
def test_bad_names_are_refused(name: str) -> None:
    """Whatever isn't of the contract's form."""
    with pytest.raises(StreamNameError):
        parse(name)


def test_the_error_shows_the_part_and_what_would_be_right() -> None:
    """One sentence to act on."""
    with pytest.raises(StreamNameError, match=r"'btcusdt' in a stream name: expected .* 'BTCUSDT'"):
        MarketStream("binance", "btcusdt", "ticker")
    with pytest.raises(
        StreamNameError, match=r"'candles' .* expected one of ticker, orderbook, trades"
    ):
        MarketStream("binance", "BTCUSDT", "candles")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("symbol", "pair"), [("BTC/USDT", "BTCUSDT"), ("xbt/zar", "XBTZAR"), ("ETHZAR", "ETHZAR")]
)
def test_a_symbol_joins_to_its_pair(symbol: str, pair: str) -> None:
    """Capitals, no separator."""
    assert joined(symbol) == pair


def test_a_stream_may_be_named_by_the_slash_symbol() -> None:
    """As it stands in messages."""
    assert str(MarketStream.of("luno", "XBT/ZAR", "trades")) == "luno:XBTZAR:trades"


def test_a_connector_is_named_after_its_exchange() -> None:
    """As the contract's command and event streams have it."""
    assert connector("binance") == "binance_connector"
    with pytest.raises(StreamNameError):
        connector("Binance")
