"""Trading on Binance, put together."""

from collections.abc import Sequence

from services._connector_kit.clock import VenueClock
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.gate import OrderGate
from services._connector_kit.orders.wing import Trading
from services.binance_connector.account import BinanceAccount
from services.binance_connector.orders import BinanceOrders
from services.binance_connector.rest import Caller, SignedRest
from services.binance_connector.settings import BinanceSettings


def assemble(
    binance: Caller, settings: BinanceSettings, instruments: Sequence[Instrument], gate: OrderGate
) -> Trading | None:
    """What is needed to trade; None without credentials."""
    if settings.binance_api_key is None or settings.binance_api_secret is None:
        return None
    clock = VenueClock()
    rest = SignedRest(binance, settings, instruments, clock)
    by_symbol = {instrument.symbol: instrument for instrument in instruments}
    orders = BinanceOrders(
        rest, binance.budget, clock, gate, by_symbol, round(settings.order_validity * 1000)
    )
    account = BinanceAccount(rest, clock, settings, instruments)
    return Trading(orders, account, clock, rest.milliseconds)
