"""Keys, signatures and timing windows are checked as documented."""

from decimal import Decimal

import pytest
from pydantic import SecretStr

from services.exchange_simulator.binance.errors import BinanceError
from services.exchange_simulator.binance.signing import BinanceKey, SigningWindow, without_signature

# The example of the venue's documentation, "SIGNED Endpoint Examples for POST /api/v3/order".
DOCUMENTED_KEY = BinanceKey(
    "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    SecretStr("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"),
)
DOCUMENTED_PAYLOAD = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    "&timestamp=1499827319559"
)
DOCUMENTED_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
NOW = 1_790_000_000_000


def test_the_documented_example_is_signed_as_documented() -> None:
    """Key, secret, payload and signature of the documentation's example."""
    assert DOCUMENTED_KEY.sign(DOCUMENTED_PAYLOAD) == DOCUMENTED_SIGNATURE
    DOCUMENTED_KEY.check_signature(DOCUMENTED_PAYLOAD, DOCUMENTED_SIGNATURE)
    DOCUMENTED_KEY.check_signature(DOCUMENTED_PAYLOAD, DOCUMENTED_SIGNATURE.upper())


@pytest.mark.parametrize("signature", ["", "0" * 64, DOCUMENTED_SIGNATURE[:-1] + "2", "ä"])
def test_any_other_signature_is_refused(signature: str) -> None:
    """-1022."""
    with pytest.raises(BinanceError) as refused:
        DOCUMENTED_KEY.check_signature(DOCUMENTED_PAYLOAD, signature)
    assert (refused.value.status, refused.value.code) == (400, -1022)


@pytest.mark.parametrize(
    ("given", "code"),
    [(None, -2014), ("", -2014), ("no key", -2014), ("schlüssel", -2014), ("another", -2015)],
)
def test_a_malformed_key_and_a_wrong_key_have_different_errors(
    given: str | None, code: int
) -> None:
    """-2014 for a malformed key, -2015 for an unknown key; both with 401."""
    with pytest.raises(BinanceError) as refused:
        DOCUMENTED_KEY.check(given)
    assert (refused.value.status, refused.value.code) == (401, code)


def test_a_window_is_open_from_a_second_before_its_timestamp_until_its_end() -> None:
    """The documented inequality, at its edges; a fraction of a millisecond counts."""
    window = SigningWindow(NOW, Decimal("5000.5"))
    for open_at in (NOW - 999, NOW, NOW + 5000):
        window.check(open_at)
    for shut_at in (NOW - 1000, NOW + 5001):
        with pytest.raises(BinanceError) as refused:
            window.check(shut_at)
        assert refused.value.code == -1021
    assert SigningWindow.from_params({"timestamp": str(NOW)}).width == 5000


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, -1102),
        ({"timestamp": "soon"}, -1102),
        ({"timestamp": "1", "recvWindow": "-1"}, -1100),
        ({"timestamp": "1", "recvWindow": "1.2345"}, -1100),
        ({"timestamp": "1", "recvWindow": "60001"}, -1131),
    ],
)
def test_an_invalid_window_is_refused(params: dict[str, str], code: int) -> None:
    """A missing or malformed timestamp, a window above a minute."""
    with pytest.raises(BinanceError) as refused:
        SigningWindow.from_params(params)
    assert refused.value.code == code


def test_the_signature_is_removed_from_any_position() -> None:
    """The rest of the text is unchanged."""
    assert without_signature("b=%20&signature=ff&a=1") == ("b=%20&a=1", "ff")
    assert without_signature("a=1") == ("a=1", None)
    assert without_signature("") == ("", None)
