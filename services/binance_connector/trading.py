"""Trading on Binance, put together."""

from services._connector_kit.clock import VenueClock
from services._connector_kit.listing import Listing
from services._connector_kit.orders.trading import Trading
from services._connector_kit.rate_limit import RateBudget
from services._connector_kit.venue_stats import VenueStats
from services._connector_kit.world import World
from services.binance_connector.account import TRADES_WEIGHT_A_MINUTE, BinanceAccount
from services.binance_connector.key_check import KeyCheck
from services.binance_connector.orders import BinanceOrders
from services.binance_connector.rest import BinanceApi, SignedRest
from services.binance_connector.settings import BinanceSettings
from services.binance_connector.translate_orders import RULES


def assemble(
    binance: BinanceApi,
    settings: BinanceSettings,
    listing: Listing,
    stats: VenueStats,
    world: World,
) -> Trading | None:
    """What is needed to trade; None without credentials."""
    if settings.binance_api_key is None or settings.binance_api_secret is None:
        return None
    clock = VenueClock()
    rest = SignedRest(binance, settings, listing, clock)
    key = KeyCheck(rest, clock, world)
    validity = round(settings.order_validity * 1000)
    orders = BinanceOrders(rest, binance.limits, clock, listing, validity, key.known)
    trades_budget = RateBudget(TRADES_WEIGHT_A_MINUTE)
    account = BinanceAccount(rest, clock, settings, listing, trades_budget, stats.account)
    return Trading(orders, RULES, account, clock, rest.milliseconds, key.check, rest.fees)
