"""Trading on Binance, put together: what is listed now is what holds."""

from dataclasses import replace
from decimal import Decimal

from pydantic import SecretStr

from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.orders.ports import Rejection, RoundedOrder
from services._connector_kit.orders.risk.pre_trade_risk import PreTradeRisk
from services.binance_connector.client import open_binance
from services.binance_connector.settings import BinanceSettings
from tests.support.listings import listing
from tests.support.orders import command, record, uncounted

LISTED = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True)


async def test_rules_and_status_that_change_hold_for_the_next_order() -> None:
    """Nothing is kept of how it was listed at the start."""
    settings = BinanceSettings.model_construct(
        binance_api_key=SecretStr("key"), binance_api_secret=SecretStr("secret")
    )
    listed = listing(LISTED)
    instruments = listed.configured

    gate = PreTradeRisk(
        "simulator",
        settings,
        instruments,
        lambda _: None,
        uncounted,
        lambda: None,
        lambda: None,
    )
    async with open_binance(settings) as binance:
        trading = binance.trading(listed, gate, lambda _: None)
        assert trading
        order = command(symbol="BTC/USDT", price=100.7)
        assert trading.orders.size(order) == RoundedOrder("0.5", "100.7")
        rules = TradingRules(price=Range(Decimal(1), Decimal(1), Decimal(1_000_000)))
        instruments[LISTED.symbol] = replace(LISTED, trading=False, rules=rules)
        assert trading.orders.size(order) == RoundedOrder("0.5", "100")
        refusal = await trading.orders.check(record(order))
        assert isinstance(refusal, Rejection)
        assert refusal.reason_code == "symbol_not_trading"
