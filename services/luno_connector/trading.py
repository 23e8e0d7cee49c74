"""Trading on Luno, put together."""

from collections.abc import Callable, Sequence

from services._connector_kit.clock import VenueClock
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.gate import LiveBook, OrderGate
from services._connector_kit.orders.wing import Trading
from services.luno_connector.account import LunoAccount
from services.luno_connector.orders import LunoOrders
from services.luno_connector.rest_orders import Caller, OrderRest
from services.luno_connector.settings import LunoSettings


def assemble(
    luno: Caller,
    settings: LunoSettings,
    instruments: Sequence[Instrument],
    gate: OrderGate,
    book: Callable[[str], LiveBook | None],
) -> Trading | None:
    """What is needed to trade; None without credentials."""
    if settings.luno_api_key_id is None:
        return None
    clock = VenueClock()
    rest = OrderRest(luno, instruments)
    by_symbol = {instrument.symbol: instrument for instrument in instruments}
    orders = LunoOrders(
        rest, luno.budget, clock, gate, by_symbol, book, round(settings.order_validity * 1000)
    )
    return Trading(
        orders, LunoAccount(rest, clock, settings, instruments), clock, luno.milliseconds
    )
