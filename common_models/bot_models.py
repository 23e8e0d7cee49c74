"""The bot's events: `bot:events:decision` and `bot:events:portfolio`."""

from pydantic import BaseModel, ConfigDict, Field

from common_models.fields import Finite, NotNegative, OrderType, Side, Timestamp, utc_now


class DecisionEvent(BaseModel):
    """One step of a decision: the strategy's intent, and its outcome.

    `outcome` is `sent` (the command is in its stream, written together with this event), `observed`
    (it would have been sent, but BOT_MODE is observe), `refused` (`reason_code` and `refusal` say
    why), `answered` (an order response arrived: `order_status` is its status), `updated` (an order
    status arrived), `lost` (no connector knows the order, and it can't appear later: the bot closes
    it; `reason_code` is `command_lost`, or `order_lost` if the exchange once had it),
    `cancel_sent` (the command that cancels it is in its stream) or `cancel_dropped`
    (the order ended before that, or BOT_MODE is observe).
    `caused_by` are the stream entries that led to it, the latest first: "<stream> <entry id>". The
    decision's id is its order's client order id: the command, its response and every status have
    it. `command_id` is the command's entry, `told_by` the response's or the status's. `reason` is
    the strategy's own.
    """

    model_config = ConfigDict(frozen=True)

    decision_id: str
    strategy: str
    exchange: str
    symbol: str
    outcome: str
    mode: str
    side: Side
    type: OrderType
    quantity: NotNegative
    price: NotNegative | None = None
    reason: str
    reason_code: str | None = None
    refusal: str | None = None
    caused_by: list[str] = Field(default_factory=list)
    command_stream: str | None = None
    command_id: str | None = None
    told_by: str | None = None
    order_id: str | None = None
    order_status: str | None = None
    filled_quantity: NotNegative | None = None
    average_price: NotNegative | None = None
    timestamp: Timestamp = Field(default_factory=utc_now)


class RunningStrategy(BaseModel):
    """One instance of a strategy: its name, its market, and its parameters.

    `quantity` is the default quantity of its orders, in the base asset. `stopped` says why it was
    stopped, `waits_for` which of its indicators is missing or too old, and how many candles are
    missing.
    """

    model_config = ConfigDict(frozen=True)

    strategy: str
    exchange: str
    symbol: str
    quantity: NotNegative
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)
    stopped: str | None = None
    waits_for: str | None = None


class StrategyPosition(BaseModel):
    """What one strategy holds on one market, at the market's price.

    `quantity` is in the base asset: bought less sold, less the fees taken in it; less than zero
    if it sold more than it bought. `dust` is the part of it that is too small for an order on the
    exchange. All money is in the quote asset. `profit` is the profit at the market's price, after
    fees; `profit_today` since midnight UTC. Without a price yet, both are null. It is
    `realised` (what was closed, less all fees) and `unrealised` (what is held, at `price` less
    `average_price`, at which it was entered): null if that price is unknown, as for a position
    that an earlier release opened. `fees` are all that were paid, `fees_today` since midnight UTC.
    `fees_unvalued` are fees, by asset, that have no price in the quote asset yet: until they have
    one, they count as fees of the exchange's full rate.
    """

    model_config = ConfigDict(frozen=True)

    strategy: str
    exchange: str
    symbol: str
    quantity: Finite
    dust: Finite = 0.0
    price: NotNegative | None = None
    profit: Finite | None = None
    profit_today: Finite | None = None
    average_price: Finite | None = None
    realised: Finite | None = None
    unrealised: Finite | None = None
    fees: Finite = 0.0
    fees_today: Finite = 0.0
    fees_unvalued: dict[str, NotNegative] = Field(default_factory=dict)
    stopped: str | None = None


class OpenOrder(BaseModel):
    """An order of the bot that may still trade; `state` is `sent`, `unknown`, or the order's."""

    model_config = ConfigDict(frozen=True)

    client_order_id: str
    order_id: str | None = None
    strategy: str
    exchange: str
    symbol: str
    side: Side
    type: OrderType
    quantity: NotNegative
    price: NotNegative | None = None
    filled_quantity: NotNegative
    state: str


class PortfolioEvent(BaseModel):
    """The positions, open orders and strategies: at each change, and every few seconds.

    `halted` is the reason of the halt, null if trading is allowed.
    """

    model_config = ConfigDict(frozen=True)

    mode: str
    halted: str | None = None
    positions: list[StrategyPosition]
    open_orders: list[OpenOrder]
    strategies: list[RunningStrategy] = Field(default_factory=list)
    timestamp: Timestamp = Field(default_factory=utc_now)
