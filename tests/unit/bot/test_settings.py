"""What the bot is told."""

import pytest

from services._runtime.exchanges import EXCHANGES
from services._runtime.settings import load
from services.bot.settings import BotSettings


def test_by_default_it_watches_what_the_connectors_publish() -> None:
    """Two symbols of each exchange."""
    markets = BotSettings.model_construct().markets
    assert tuple(markets) == EXCHANGES
    assert markets["binance"] == ("BTC/USDT", "ETH/USDT")
    assert markets["luno"] == ("XBT/ZAR", "ETH/ZAR")


def test_it_has_the_same_settings_as_the_connectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same variables name the same symbols."""
    monkeypatch.setenv("LUNO_SYMBOLS", "xbt/eur")
    assert load(BotSettings).markets["luno"] == ("XBT/EUR",)
