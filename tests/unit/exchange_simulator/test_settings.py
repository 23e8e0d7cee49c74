"""The simulator's settings: complete by default, refused by name if invalid."""

import pytest

from services._runtime.settings import SettingsError, load
from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.settings import SimulatorSettings


def test_it_needs_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default all symbols are open on port 8900."""
    settings = load(SimulatorSettings)
    assert settings.simulator_port == 8900
    assert settings.instruments == INSTRUMENTS


def test_symbols_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the symbols of the comma-separated list are open."""
    monkeypatch.setenv("SIMULATOR_SYMBOLS", "XBT/ZAR, btc/usdt")
    assert {i.symbol for i in load(SimulatorSettings).instruments} == {"XBT/ZAR", "BTC/USDT"}


def test_funds_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The named assets change; the others keep their defaults."""
    monkeypatch.setenv("SIMULATOR_FUNDS", "USDT:1000.5, BTC:0")
    funds = load(SimulatorSettings).funds
    assert (funds["USDT"], funds["BTC"]) == (100_050_000_000, 0)
    assert funds["ZAR"] == load(SimulatorSettings).funds["ZAR"] > 0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SIMULATOR_SYMBOLS", "DOGE/USDT", "DOGE/USDT.*expected some of BTC/USDT"),
        ("SIMULATOR_RATE", "-1", "SIMULATOR_RATE='-1'.*greater than or equal to 0"),
        ("SIMULATOR_BOOK_ORDERS", "3", "SIMULATOR_BOOK_ORDERS='3'.*greater than or equal to 50"),
        ("SIMULATOR_FUNDS", "USDT:1,DOGE:5", "SIMULATOR_FUNDS=USDT:1,DOGE:5: 'DOGE:5'"),
        ("SIMULATOR_FUNDS", "BTC:0.123456789", "'BTC:0.123456789' is invalid.*8 decimals"),
        ("SIMULATOR_FUNDS", "BTC", "'BTC' is invalid; expected a list like USDT:1000"),
        ("SIMULATOR_PORT", "seventy", "SIMULATOR_PORT='seventy'.*integer"),
    ],
)
def test_an_invalid_setting_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable, its value and the expected form."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=says):
        load(SimulatorSettings)


def test_the_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by repr nor by str."""
    monkeypatch.setenv("SIMULATOR_LUNO_API_SECRET_KEY", "hush-hush")
    monkeypatch.setenv("SIMULATOR_BINANCE_API_SECRET", "hush-hush")
    settings = load(SimulatorSettings)
    assert "hush-hush" not in f"{settings!r} {settings!s}"
