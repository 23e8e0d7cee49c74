"""Trading on Luno, put together: what is listed now is what holds."""

from dataclasses import replace
from decimal import Decimal

from pydantic import SecretStr

from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.orders.ports import Rejection, RoundedOrder
from services._connector_kit.orders.risk.pre_trade_risk import PreTradeRisk
from services.luno_connector.client import open_luno
from services.luno_connector.settings import LunoSettings
from tests.support.listings import listing
from tests.support.orders import command, record, uncounted

LISTED = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)


async def test_rules_and_status_that_change_hold_for_the_next_order() -> None:
    """Nothing is kept of how it was listed at the start."""
    settings = LunoSettings.model_construct(
        luno_api_key_id=SecretStr("key"), luno_api_secret_key=SecretStr("secret")
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
    async with open_luno(settings) as luno:
        trading = luno.trading(listed, gate, lambda _: None)
        assert trading
        order = command(symbol="XBT/ZAR", price=100.7)
        assert trading.orders.size(order) == RoundedOrder("0.5", "100.7")
        rules = TradingRules(price=Range(Decimal(1), Decimal(1), Decimal(1_000_000)))
        instruments[LISTED.symbol] = replace(LISTED, trading=False, rules=rules)
        assert trading.orders.size(order) == RoundedOrder("0.5", "100")
        refusal = await trading.orders.check(record(order))
        assert isinstance(refusal, Rejection)
        assert refusal.reason_code == "symbol_not_trading"
