"""What was sent to Binance's signed REST endpoints, read as the venue reads it."""

import pytest

from services.exchange_simulator.binance.errors import BinanceError
from services.exchange_simulator.binance.trading_rest import parameters


def test_parameters_come_from_query_and_body_and_the_query_wins() -> None:
    """Decoded, though they were signed as sent."""
    assert parameters("a=1&b=%2B%20x", "b=2&c=3") == {"a": "1", "b": "+ x", "c": "3"}
    assert parameters("", "a=") == {"a": ""}
    assert parameters("", "") == {}


@pytest.mark.parametrize(("query", "body"), [("a=1&a=2", ""), ("", "a=1&a=1")])
def test_a_parameter_that_is_there_twice_is_refused(query: str, body: str) -> None:
    """In one place: -1101."""
    with pytest.raises(BinanceError) as refused:
        parameters(query, body)
    assert refused.value.code == -1101
