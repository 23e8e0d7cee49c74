"""The limits of risk that hold where the user names none."""

from decimal import Decimal
from pathlib import Path

import pytest

from services._runtime.risk_settings import RiskSettings
from services._runtime.settings import load
from services.exchange_simulator.account_order import BY_SYMBOL

# What they quote prices in: `quoteAsset` of GET /api/v3/exchangeInfo, `counter_currency` of
# GET /api/exchange/1/markets.
BINANCE = (
    "AEUR ARS BNB BRL BTC COP CZK DAI DOGE ETH EUR EURI FDUSD IDR JPY MXN PLN RON SOL TRX TRY TUSD "
    "UAH USD1 USDC USDT XRP ZAR"
)
LUNO = "AUD EUR GBP IDR KES MYR NGN SGD UGX USDC USDT XBT ZAR ZARU ZMW"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RiskSettings:
    """As they are without any variable."""
    monkeypatch.chdir(tmp_path)
    for name in RiskSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return load(RiskSettings)


def test_every_quote_asset_of_both_exchanges_has_its_limits(settings: RiskSettings) -> None:
    """About a thousand dollars an order, five held, and a tenth of it lost a day."""
    quotes = {*BINANCE.split(), *LUNO.split(), *(i.quote for i in BY_SYMBOL.values())}
    assert quotes <= settings.risk_max_notional.keys()
    for asset, notional in settings.risk_max_notional.items():
        assert settings.risk_max_position[asset] == 5 * notional
        assert settings.risk_max_daily_loss[asset] == notional / 10
    assert settings.risk_max_notional["USDT"] == Decimal(1000)


def test_limits_that_the_user_names_are_all_there_are(
    settings: RiskSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An asset that isn't named can't be traded."""
    monkeypatch.setenv("RISK_MAX_NOTIONAL", "EUR:50")
    assert load(RiskSettings).risk_max_notional == {"EUR": Decimal(50)}
    assert settings.risk_max_notional.keys() > {"EUR"}
