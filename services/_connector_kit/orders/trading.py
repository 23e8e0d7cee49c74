"""What an exchange provides for trading."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services._connector_kit.clock import VenueClock
from services._connector_kit.fees import FetchFees
from services._connector_kit.orders.commands.request_ports import RequestVenue
from services._connector_kit.orders.execution.validation import OrderRules
from services._connector_kit.orders.ports import ExecutionVenue


@dataclass(frozen=True, slots=True)
class Trading:
    """What a venue with credentials provides: orders, their rules, the account, and its clock.

    `check_key`, if the venue can say what a key may do, raises FatalError for a key that may do
    more than it should; it is called until it has an answer. `fees` fetches the account's own fees,
    if the venue publishes them.
    """

    orders: ExecutionVenue
    rules: OrderRules
    account: RequestVenue
    clock: VenueClock
    fetch_time: Callable[[], Awaitable[int]]
    check_key: Callable[[], Awaitable[None]] | None = None
    fees: FetchFees | None = None
