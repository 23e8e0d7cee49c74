"""Messages of the streams: read, or refused in a line."""

import pytest

from common_models import OrderStatusUpdateEvent, Trade
from services.bot.validation import MOST_BYTES, MessageError, read
from tests.support.market_data.messages import trade, wire


def test_a_good_message_is_read() -> None:
    """As it was written."""
    assert read(Trade, wire(trade())) == trade()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"{}", "symbol: Field required"),
        (b"x" * (MOST_BYTES + 1), f"{MOST_BYTES + 1} bytes; expected at most {MOST_BYTES}"),
    ],
)
def test_an_invalid_message_is_refused(data: bytes, words: str) -> None:
    """With the first of its faults."""
    with pytest.raises(MessageError) as caught:
        read(Trade, data)
    assert str(caught.value).startswith(words)


def test_a_long_name_makes_no_long_fault() -> None:
    """Names come from anybody."""
    data = b'{"order_id": "1", "trades": [{"' + b"k" * 100_000 + b'": 1}], "fee": 1}'
    with pytest.raises(MessageError) as caught:
        read(OrderStatusUpdateEvent, data)
    assert len(str(caught.value)) < 200
