"""Parameters of Binance's signed REST endpoints are read as the venue reads them."""

import pytest

from services.exchange_simulator.binance.errors import BinanceError
from services.exchange_simulator.binance.trading_rest import parameters


def test_parameters_come_from_query_and_body_and_the_query_wins() -> None:
    """They are decoded, although the signature covers the encoded text."""
    assert parameters("a=1&b=%2B%20x", "b=2&c=3") == {"a": "1", "b": "+ x", "c": "3"}
    assert parameters("", "a=") == {"a": ""}
    assert parameters("", "") == {}


@pytest.mark.parametrize(("query", "body"), [("a=1&a=2", ""), ("", "a=1&a=1")])
def test_a_duplicate_parameter_is_refused(query: str, body: str) -> None:
    """-1101 for a duplicate within the query or within the body."""
    with pytest.raises(BinanceError) as refused:
        parameters(query, body)
    assert refused.value.code == -1101
