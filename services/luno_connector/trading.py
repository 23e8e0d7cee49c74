"""Trading on Luno, put together."""

from collections.abc import Callable

from services._connector_kit.clock import VenueClock
from services._connector_kit.listing import Listing
from services._connector_kit.orders.risk.pre_trade_risk import LiveBook, PreTradeRisk
from services._connector_kit.orders.service import Trading
from services._connector_kit.venue_stats import VenueStats
from services.luno_connector.account import LunoAccount
from services.luno_connector.accounts import Accounts
from services.luno_connector.orders import LunoOrders
from services.luno_connector.rest_orders import Caller, OrderRest
from services.luno_connector.settings import LunoSettings


def assemble(
    luno: Caller,
    settings: LunoSettings,
    listing: Listing,
    gate: PreTradeRisk,
    book: Callable[[str], LiveBook | None],
    traffic: VenueStats,
) -> Trading | None:
    """What is needed to trade; None without credentials."""
    if settings.luno_api_key_id is None:
        return None
    clock = VenueClock()
    rest = OrderRest(luno, listing, Accounts(settings.luno_accounts))
    validity = round(settings.order_validity * 1000)
    slippage = settings.luno_market_buy_slippage
    orders = LunoOrders(rest, luno.limits, clock, gate, listing, book, validity, slippage)
    account = LunoAccount(rest, clock, settings, listing, traffic.account)
    return Trading(orders, account, clock, luno.milliseconds, fees=rest.fees)
