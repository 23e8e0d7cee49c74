"""Trading on Luno, put together."""

from collections.abc import Callable

from services._connector_kit.clock import VenueClock
from services._connector_kit.listing import Listing
from services._connector_kit.orders.ports import LiveBook
from services._connector_kit.orders.trading import Trading
from services._connector_kit.venue_stats import VenueStats
from services.luno_connector.account import LunoAccount
from services.luno_connector.accounts import Accounts
from services.luno_connector.orders import LunoOrders, order_rules
from services.luno_connector.rest_orders import LunoApi, OrderRest
from services.luno_connector.settings import LunoSettings


def assemble(
    luno: LunoApi,
    settings: LunoSettings,
    listing: Listing,
    book: Callable[[str], LiveBook | None],
    stats: VenueStats,
) -> Trading | None:
    """What is needed to trade; None without credentials."""
    if settings.luno_api_key_id is None:
        return None
    clock = VenueClock()
    rest = OrderRest(luno, listing, Accounts(settings.luno_accounts))
    validity = round(settings.order_validity * 1000)
    orders = LunoOrders(rest, luno.limits, clock, listing, validity)
    rules = order_rules(book, settings.luno_market_buy_slippage)
    account = LunoAccount(rest, clock, settings, listing, stats.account)
    return Trading(orders, rules, account, clock, luno.milliseconds, fees=rest.fees)
