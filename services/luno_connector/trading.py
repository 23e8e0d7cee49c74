"""Trading on Luno, put together."""

from collections.abc import Callable, Mapping

from services._connector_kit.clock import VenueClock
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.gate import LiveBook, OrderGate
from services._connector_kit.orders.wing import Trading
from services._connector_kit.traffic import Traffic
from services.luno_connector.account import LunoAccount
from services.luno_connector.orders import LunoOrders
from services.luno_connector.rest_orders import Caller, OrderRest
from services.luno_connector.settings import LunoSettings


def assemble(
    luno: Caller,
    settings: LunoSettings,
    instruments: Mapping[str, Instrument],
    gate: OrderGate,
    book: Callable[[str], LiveBook | None],
    traffic: Traffic,
) -> Trading | None:
    """What is needed to trade; None without credentials."""
    if settings.luno_api_key_id is None:
        return None
    clock = VenueClock()
    fixed = tuple(instruments.values())  # their names never change
    rest = OrderRest(luno, fixed)
    orders = LunoOrders(
        rest, luno.limits, clock, gate, instruments, book, round(settings.order_validity * 1000)
    )
    account = LunoAccount(rest, clock, settings, fixed, traffic.account)
    return Trading(orders, account, clock, luno.milliseconds)
