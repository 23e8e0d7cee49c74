"""Choosing instruments by symbol."""

import pytest

from services._connector_kit.errors import FatalError
from services._connector_kit.instruments import Instrument, choose


def listed(*symbols: str) -> list[Instrument]:
    """Instruments of these symbols."""
    made = []
    for symbol in symbols:
        base, quote = symbol.split("/")
        made.append(Instrument(symbol, base + quote, base, quote, trading=True))
    return made


def test_the_wanted_ones_come_in_the_order_they_were_wanted() -> None:
    """And no others."""
    found = choose(listed("A/X", "B/X", "C/X"), ["C/X", "A/X"], setting="S")
    assert [instrument.symbol for instrument in found] == ["C/X", "A/X"]


def test_an_unknown_symbol_is_named_with_the_nearest_real_ones() -> None:
    """Also under which setting it stands; the best guess first."""
    names = ("BTC/USDT", "BTC/USDC", "ETH/USDT", "SOL/EUR")
    with pytest.raises(FatalError, match="BINANCE_SYMBOLS: 'BTC/USTD' isn't listed") as caught:
        choose(listed(*names), ["BTC/USTD"], setting="BINANCE_SYMBOLS")
    assert "did you mean BTC/USDT" in str(caught.value)
    assert "SOL/EUR" not in str(caught.value)


def test_every_unknown_symbol_is_named_at_once() -> None:
    """One restart mends them all."""
    with pytest.raises(FatalError, match=r"'QQ/QQ' isn't listed; .*none like it; .*'BTC/EUX'"):
        choose(listed("BTC/EUR"), ["QQ/QQ", "BTC/EUX"], setting="S")
