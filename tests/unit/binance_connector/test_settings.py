"""What the Binance connector takes from its environment."""

from pathlib import Path

import pytest

from services._runtime.settings import SettingsError, load
from services.binance_connector.settings import BinanceSettings


@pytest.fixture(autouse=True)
def empty_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env` and no variable of the machine that runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in BinanceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_any_variable_it_is_the_live_venue_without_a_key() -> None:
    """The documented defaults."""
    settings = load(BinanceSettings)
    assert settings.binance_rest_url == "https://api.binance.com/api"
    assert settings.binance_symbols == ("BTC/USDT", "ETH/USDT")
    assert settings.binance_api_key is None


@pytest.mark.parametrize("name", ["BINANCE_REST_URL", "BINANCE_STREAM_URL", "BINANCE_WS_API_URL"])
def test_a_url_that_would_send_the_key_in_the_clear_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """But for this machine and the simulator in compose."""
    scheme = "http" if name == "BINANCE_REST_URL" else "ws"
    for host in ("127.0.0.1:8900", "exchange_simulator:8900"):
        monkeypatch.setenv(name, f"{scheme}://{host}/api")
        load(BinanceSettings)
    monkeypatch.setenv(name, f"{scheme}://api.binance.com/api")
    with pytest.raises(SettingsError, match=f"^{name}=.*unencrypted; expected {scheme}s://"):
        load(BinanceSettings)
    other = {"http": "wss", "ws": "https"}[scheme]
    monkeypatch.setenv(name, f"{other}://api.binance.com/api")
    with pytest.raises(SettingsError, match=f"^{name}=.*invalid scheme '{other}'"):
        load(BinanceSettings)


@pytest.mark.parametrize("name", ["BINANCE_API_KEY", "BINANCE_API_SECRET"])
def test_half_a_key_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It names both variables, and shows neither."""
    monkeypatch.setenv(name, "hidden")
    with pytest.raises(SettingsError) as caught:
        load(BinanceSettings)
    assert str(caught.value) == (
        "BINANCE_API_KEY and BINANCE_API_SECRET: only one is set; expected both or neither"
    )


@pytest.mark.parametrize("name", ["BINANCE_API_KEY", "BINANCE_API_SECRET"])
def test_a_key_that_no_header_could_carry_ends_the_start_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A line end behind it does no harm; one within it would keep market data waiting."""
    for each in ("BINANCE_API_KEY", "BINANCE_API_SECRET"):
        monkeypatch.setenv(each, "hidden\r\n")
    key = load(BinanceSettings).binance_api_key
    assert key is not None
    assert key.get_secret_value() == "hidden"
    monkeypatch.setenv(name, "hid\rden")
    with pytest.raises(SettingsError, match=rf"^{name}: has an invalid character .*U\+000D"):
        load(BinanceSettings)


def test_a_whole_key_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by repr."""
    monkeypatch.setenv("BINANCE_API_KEY", "hidden")
    monkeypatch.setenv("BINANCE_API_SECRET", "hidden")
    assert "hidden" not in repr(load(BinanceSettings))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (",", "names no symbol; expected at least one"),
        ("BTCUSDT", "expected the slash form, e.g. BTC/USDT"),
        ("BTC/USDT/X", "expected the slash form, e.g. BTC/USDT"),
    ],
)
def test_invalid_symbols_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    """With the variable's name and what would be right."""
    monkeypatch.setenv("BINANCE_SYMBOLS", value)
    with pytest.raises(SettingsError, match=message) as caught:
        load(BinanceSettings)
    assert str(caught.value).startswith("BINANCE_SYMBOLS=")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDER_BOOK_DEPTH", "0"),
        ("ORDER_BOOK_DEPTH", "5000"),
        ("ORDER_BOOK_INTERVAL", "-1"),
        ("ORDER_BOOK_INTERVAL", "nan"),
        ("MARKET_DATA_MAXLEN", "0"),
        ("BOOK_AUDIT_INTERVAL", "0"),
        ("BINANCE_REST_URL", "api.binance.com"),
    ],
)
def test_a_number_or_url_out_of_bounds_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """One line that a person can act on."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}="):
        load(BinanceSettings)


def test_an_order_may_be_valid_for_as_long_as_binance_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`recvWindow` is at most a minute."""
    monkeypatch.setenv("ORDER_COMMAND_MAX_AGE", "70")
    monkeypatch.setenv("ORDER_TAKE_OVER_AFTER", "120")
    monkeypatch.setenv("ORDER_VALIDITY", "60")
    assert load(BinanceSettings).order_validity == 60
    monkeypatch.setenv("ORDER_VALIDITY", "61")
    with pytest.raises(SettingsError, match=r"ORDER_VALIDITY='61': .*less than or equal to 60"):
        load(BinanceSettings)
