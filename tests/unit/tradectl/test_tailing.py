"""Which entries a filter lets through."""

import json

import pytest

from services.tradectl.reading import StreamEntry
from services.tradectl.tailing import Filter


def entry(stream: str, **fields: str) -> StreamEntry:
    """An entry of a stream."""
    return StreamEntry(stream, "5-0", json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (Filter(), True),
        (Filter(symbol="BTC/USDT"), True),
        (Filter(symbol="btcusdt"), True),
        (Filter(symbol="ETH/USDT"), False),
        (Filter(id="mine"), True),
        (Filter(id="4711"), True),
        (Filter(id="5-0"), True),
        (Filter(id="open"), False),
        (Filter(symbol="ETH/USDT", id="mine"), False),
    ],
)
def test_a_filter_looks_at_symbols_and_ids(found: Filter, wanted: bool) -> None:
    """Of any kind; not at other fields that happen to hold the same word."""
    event = entry(
        "binance_connector:events:order_status",
        symbol="BTC/USDT",
        client_order_id="mine",
        order_id="4711",
        status="open",
    )
    assert found.matches(event) is wanted


def test_market_data_is_matched_by_its_stream_even_if_it_is_invalid() -> None:
    """A broken message of the symbol is what one looks for."""
    broken = StreamEntry("binance:BTCUSDT:trades", "5-0", b"\xff")
    assert Filter(symbol="BTC/USDT").matches(broken)
    assert not Filter(symbol="ETH/USDT").matches(broken)
    assert not Filter(id="7").matches(broken)
