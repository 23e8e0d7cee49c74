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
    """What an exchange with credentials provides: orders, their rules, the account and a clock.

    * `fetch_time` returns the venue's time in epoch milliseconds.
    * `check_key` raises FatalError for an API key with too many permissions; it is retried until
      the venue answers. None if the venue does not publish a key's permissions.
    * `fees` fetches the account's own fees; None if the venue does not publish them.
    """

    orders: ExecutionVenue
    rules: OrderRules
    account: RequestVenue
    clock: VenueClock
    fetch_time: Callable[[], Awaitable[int]]
    check_key: Callable[[], Awaitable[None]] | None = None
    fees: FetchFees | None = None
