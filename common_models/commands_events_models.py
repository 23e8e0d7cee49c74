"""Commands a bot sends to a connector, and the events a connector answers with.

Commands refuse unknown fields: a mistyped field in an order must not be dropped in silence.
Events ignore them: a newer writer never breaks an older reader.
"""

from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationInfo, field_validator

from common_models.fields import (
    Finite,
    NotNegative,
    OrderType,
    Side,
    StrictPositive,
    TimeInForce,
    Timestamp,
    is_none,
    utc_now,
)
from common_models.market_data_models import Trade


def _new_id() -> str:
    return str(uuid4())


class PlaceOrderCommand(BaseModel):
    """Place one order. `quantity` is in the base asset, `price` in the quote asset.

    `client_order_id` is never reused: the same id again is the same order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_order_id: str = Field(default_factory=_new_id)
    symbol: str
    type: OrderType
    side: Side
    quantity: StrictPositive
    price: StrictPositive | None = Field(default=None, validate_default=True)
    # Beyond the contract, both optional; the exchange's default is GTC.
    time_in_force: TimeInForce | None = None
    post_only: StrictBool = False

    @field_validator("price")
    @classmethod
    def price_required_for_limit(cls, price: float | None, info: ValidationInfo) -> float | None:
        """A limit order needs a price."""
        if price is None and info.data.get("type") == "limit":
            raise ValueError("Price is required for limit orders")
        return price


class RequestBalanceCommand(BaseModel):
    """Ask for balances: of `assets`, or of all that are not zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_request_id: str = Field(default_factory=_new_id)
    exchange: str
    assets: list[str] | None = None


class _OrderReference(BaseModel):
    """References one order by its client order id, or by the exchange's order id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_request_id: str = Field(default_factory=_new_id)
    symbol: str
    client_order_id: str | None = None
    order_id: str | None = Field(default=None, validate_default=True)

    @field_validator("order_id")
    @classmethod
    def some_id(cls, order_id: str | None, info: ValidationInfo) -> str | None:
        """An order without any id can't be found."""
        if order_id is None and info.data.get("client_order_id") is None:
            raise ValueError("client_order_id or order_id is required")
        return order_id


class CancelOrderCommand(_OrderReference):
    """Cancel one order."""


class QueryOrderCommand(_OrderReference):
    """Query the status of one order: an `order_status` is published, then the answer."""


class CancelAllOrdersCommand(BaseModel):
    """Cancel all open orders: of one symbol, or of all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_request_id: str = Field(default_factory=_new_id)
    symbol: str | None = None


class CommandResponseEvent(BaseModel):
    """The answer to any command except `place_order`, after the events that it caused.

    `status` is `done`, `rejected` or `unknown`; `reason_code` says why, for programs.
    """

    model_config = ConfigDict(frozen=True)

    client_request_id: str
    command: str
    status: str
    reason_code: str | None = None
    error_message: str | None = None
    timestamp: Timestamp = Field(default_factory=utc_now)
    exchange: str


class OrderResponseEvent(BaseModel):
    """The answer to one `place_order`.

    The request is echoed unchanged, any finite number and any text (unreadable: 0 or ""), because
    an invalid command is answered too. `status` is `accepted`, `rejected` or `unknown`;
    `reason_code` says why, for programs. `command_id` is the command's stream entry.
    `sent_quantity` and `sent_price` are what was sent, on the venue's lot and tick. `replay` marks
    the stored answer to a repeated command; `provisional` a "not found" that is
    checked for a day: an order that appears late gets an `order_status`, not a second answer.
    """

    model_config = ConfigDict(frozen=True)

    client_order_id: str
    order_id: str | None = None
    symbol: str
    requested_quantity: Finite
    requested_price: Finite | None = None
    side: str
    type: str
    status: str
    timestamp: Timestamp = Field(default_factory=utc_now)
    error_message: str | None = None
    filled_quantity: NotNegative | None = 0.0
    # Beyond the contract, all optional:
    reason_code: str | None = None
    command_id: str | None = None
    sent_quantity: NotNegative | None = None
    sent_price: NotNegative | None = None
    replay: bool = False
    provisional: bool = False


class OrderStatusUpdateEvent(BaseModel):
    """A status of an order.

    `filled_quantity` is cumulative and never falls. `trades` are the fills of this update, each
    with its own fee; `fee` is `{asset: amount}`, cumulative for the order. `status` is `open`,
    `partially_filled`, `filled`, `canceled`, `rejected`, `expired` or `unknown`; `venue_status` is
    the exchange's own word if it is not a known one; with `expired`, `LOST` says that the exchange
    no longer has the order and gives no reason, `ARCHIVED` that it ended long ago without a fill.
    `external` marks an order that was not placed through us; `side`, `type` and `price` are
    those of the order. `fills_complete` is false if the fills published so far are less than
    `filled_quantity`, because the exchange doesn't show the others yet: they follow in a further
    event of the same status.
    """

    model_config = ConfigDict(frozen=True)

    order_id: str
    client_order_id: str | None = None
    symbol: str
    status: str
    filled_quantity: NotNegative
    remaining_quantity: NotNegative
    average_price: NotNegative | None = None
    trades: list[Trade] | None = None
    fee: dict[str, Any] | None = None
    timestamp: Timestamp = Field(default_factory=utc_now)
    exchange: str
    # Beyond the contract, all optional:
    venue_status: str | None = None
    external: bool = False
    fills_complete: bool | None = None
    side: str | None = Field(default=None, exclude_if=is_none)
    type: str | None = Field(default=None, exclude_if=is_none)
    price: NotNegative | None = Field(default=None, exclude_if=is_none)


class AccountBalanceEvent(BaseModel):
    """One asset's balance: `total` is `free` plus `locked`."""

    model_config = ConfigDict(frozen=True)

    exchange: str
    asset: str
    free: NotNegative
    locked: NotNegative
    total: NotNegative
    timestamp: Timestamp = Field(default_factory=utc_now)


class RetryStatus(BaseModel):
    """A part failed `attempt` times in a row; its next try is `next_try_in` s after the message."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    next_try_in: NotNegative


class SymbolStatus(BaseModel):
    """The state of one symbol's market data.

    `state` is `syncing` (the book isn't the exchange's yet, nothing of it is published), `live`
    (what was published last is what the exchange has, however quiet it is), `polled` (the exchange
    is polled; what was published last is as old as `last_message_age` says, and `reason` says how
    old it becomes) or `stale` (no data arrives; `reason` says why). On one that is
    live or polled the `reason` has `venue_ids_restarted` if trade ids restarted. `sequence` is
    the exchange's number of the last update in the book, `last_message_age` how many seconds ago
    the exchange sent anything about this symbol.
    `trades_lost` counts trades that couldn't be fetched, since the connector started; if the
    exchange's numbers may have gaps, it is an upper bound. `market_status` is
    `trading`, `post_only` (the exchange takes only orders that rest) or `halted` (none). `retry`
    is present while the exchange can't be reached.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    state: str
    since: Timestamp
    sequence: int | None = None
    last_message_age: NotNegative | None = None
    reason: str | None = None
    trades_lost: int = 0
    market_status: str = "trading"
    retry: RetryStatus | None = None

    @property
    def works(self) -> bool:
        """True while the exchange's data is published, from a socket or by polling."""
        return self.state in ("live", "polled")


class CancelAllProgress(BaseModel):
    """How far `cancel_all_orders` has come: `left` of `left + done` orders are still to do.

    `seconds_left` is an estimate that respects the exchange's request limit.
    """

    model_config = ConfigDict(frozen=True)

    left: int
    done: int
    seconds_left: NotNegative


class ConnectorStatusEvent(BaseModel):
    """The status of a connector: published at each change, and every 10 seconds.

    `world` is `live`, `testnet` or `simulator`. If `trading` is false, new orders are rejected with
    `reason_code`; `reason` is a message with details, if there are any.
    `not_ready` names the parts, except for the feeds, that don't work now, as `/ready` does, and
    why; `retries` names those of them that are retried, and when. `stopped` is always empty: each
    part is retried without end. `entries_dropped` counts entries that Redis never got because it
    was down for too long, since the connector started. `cancel_all` is present while a
    `cancel_all_orders` is executed.
    """

    model_config = ConfigDict(frozen=True)

    exchange: str
    world: str
    trading: bool
    symbols: list[SymbolStatus]
    reason_code: str | None = None
    reason: str | None = None
    stopped: dict[str, str] = Field(default_factory=dict)
    not_ready: dict[str, str] = Field(default_factory=dict)
    retries: dict[str, RetryStatus] = Field(default_factory=dict)
    entries_dropped: int = 0
    cancel_all: CancelAllProgress | None = None
    timestamp: Timestamp = Field(default_factory=utc_now)
