"""What an entry means, whatever bytes it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models import DecisionEvent, IndicatorValue, OrderBook, PlaceOrderCommand
from services.tradectl.reading import StreamEntry, model_of


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_are_a_crash(data: bytes) -> None:
    """An entry that can't be read has no fields, and a fault where something was promised."""
    entry = StreamEntry("binance:BTCUSDT:ticker", "1-0", data)
    assert isinstance(entry.fields, dict)
    assert entry.validation_error()


def test_json_nested_beyond_reason_has_no_fields() -> None:
    """No recursion error comes out."""
    entry = StreamEntry("binance:BTCUSDT:ticker", "1-0", b"[" * 100_000)
    assert entry.fields == {}
    assert entry.validation_error()


@pytest.mark.parametrize(
    ("stream", "model"),
    [
        ("luno:XBTZAR:orderbook", OrderBook),
        ("indicators:rsi_14:binance:BTCUSDT", IndicatorValue),
        ("luno_connector:commands:place_order", PlaceOrderCommand),
        ("bot:events:decision", DecisionEvent),
        ("bot:events:something_new", None),
        ("binance_connector:dead_letter:place_order", None),
        ("not ours", None),
    ],
)
def test_a_streams_name_says_what_its_entries_are(stream: str, model: type | None) -> None:
    """Nothing is promised of streams that aren't the contract's."""
    assert model_of(stream) is model
