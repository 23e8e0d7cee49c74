"""The trading settings, as they come from the environment."""

from decimal import Decimal

import pytest

from services._connector_kit.orders.settings import TradingSettings
from services._runtime.settings import SettingsError, load


def of(monkeypatch: pytest.MonkeyPatch, **variables: str) -> TradingSettings:
    """The settings where these variables are set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load(TradingSettings)


def test_the_defaults_are_the_documented_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to a live exchange, and little is risked."""
    settings = of(monkeypatch)
    assert settings.live_trading == ""
    assert settings.risk_max_notional["USDT"] == Decimal(1000)
    assert settings.risk_max_notional["ZAR"] == Decimal(20000)
    assert settings.risk_price_collar == Decimal("0.05")
    assert settings.risk_orders_per_minute == 60
    assert (settings.order_command_max_age, settings.order_validity) == (10.0, 5.0)
    assert (settings.order_resolve_margin, settings.order_missed_for) == (15.0, 10.0)
    assert (settings.order_settle, settings.order_lease) == (3.0, 10.0)
    assert settings.order_take_over_after == 60.0
    assert settings.reconcile_interval == 30.0
    assert settings.instance_id


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("USDT:1000,ZAR:20000", {"USDT": 1000, "ZAR": 20000}),
        (" usdt : 0.5 , ", {"USDT": Decimal("0.5")}),
        ("BTC:1e-3", {"BTC": Decimal("0.001")}),
    ],
)
def test_largest_amounts_are_listed_by_asset(
    monkeypatch: pytest.MonkeyPatch, text: str, limits: dict[str, Decimal]
) -> None:
    """ASSET:AMOUNT, any number of them."""
    assert of(monkeypatch, RISK_MAX_NOTIONAL=text).risk_max_notional == limits


@pytest.mark.parametrize(
    "text",
    [
        "USDT",
        "USDT:",
        ":5",
        "USDT=5",
        "USDT:-5",
        "USDT:0",
        "USDT:NaN",
        "USDT:inf",
        "U$:1",
        "A:1,A:2",
    ],
)
def test_an_unreadable_limit_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It names the variable and what would be right; a limit is never dropped in silence."""
    with pytest.raises(SettingsError, match=r"RISK_MAX_NOTIONAL.*expected ") as caught:
        of(monkeypatch, RISK_MAX_NOTIONAL=text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RISK_PRICE_COLLAR", "0"),
        ("RISK_PRICE_COLLAR", "1.5"),
        ("RISK_ORDERS_PER_MINUTE", "0"),
        ("ORDER_VALIDITY", "inf"),
        ("ORDER_VALIDITY", "0"),
        ("ORDER_COMMAND_MAX_AGE", "-1"),
        ("ORDER_RESOLVE_MARGIN", "inf"),
        ("ORDER_LEASE", "2"),
        ("RECONCILE_INTERVAL", "0"),
    ],
)
def test_a_number_out_of_bounds_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """By its variable's name."""
    with pytest.raises(SettingsError, match=name):
        of(monkeypatch, **{name: value})


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({"ORDER_VALIDITY": "7"}, "ORDER_COMMAND_MAX_AGE"),
        ({"ORDER_VALIDITY": "6.9"}, None),
        ({"ORDER_VALIDITY": "10", "ORDER_COMMAND_MAX_AGE": "14"}, None),
        ({"ORDER_SETTLE": "5"}, "ORDER_COMMAND_MAX_AGE"),
        ({"ORDER_COMMAND_MAX_AGE": "8"}, "ORDER_COMMAND_MAX_AGE"),
        ({"ORDER_TAKE_OVER_AFTER": "30"}, "ORDER_TAKE_OVER_AFTER"),
        ({"ORDER_TAKE_OVER_AFTER": "31"}, None),
        ({"ORDER_RESOLVE_MARGIN": "45"}, "ORDER_TAKE_OVER_AFTER"),
    ],
)
def test_waits_that_do_not_fit_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], refused: str | None
) -> None:
    """With them the first orders on a new Redis would all expire, or two instances share one."""
    if refused is None:
        of(monkeypatch, **variables)
        return
    with pytest.raises(SettingsError, match=rf"{refused}: .* expected more than ORDER_VALIDITY"):
        of(monkeypatch, **variables)
