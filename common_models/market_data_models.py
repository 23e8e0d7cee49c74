"""Market data: what connectors publish to `<exchange>:<PAIR>:ticker|orderbook|trades`.

Unknown fields are ignored when read, so a newer writer never breaks an older reader.
`symbol` is the slash form ("BTC/USDT"); `timestamp` is the exchange's own event time in UTC
if it gives one.
"""

from pydantic import BaseModel, ConfigDict, Field

from common_models.fields import NotNegative, Positive, Side, Timestamp, is_none


class Ticker(BaseModel):
    """Last price, best bid and best ask of one symbol.

    Prices are in the quote asset, `volume_24h` in the base asset.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    timestamp: Timestamp
    last_price: Positive
    bid_price: Positive
    ask_price: Positive
    volume_24h: NotNegative | None = None
    exchange: str


class OrderBookLevel(BaseModel):
    """The whole quantity (base asset) resting at one price (quote asset)."""

    model_config = ConfigDict(frozen=True)

    price: Positive
    quantity: Positive


class OrderBook(BaseModel):
    """The best levels of both sides, best first: bids fall, asks rise."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    timestamp: Timestamp
    bids: list[OrderBookLevel]
    asks: list[OrderBookLevel]
    exchange: str


class Trade(BaseModel):
    """One trade. `side` is the taker's; `trade_id` is the exchange's, null if it has no id.

    As a fill of an order, `side` is the order's; `fee` is what this fill cost, in `fee_asset`, and
    `is_maker` says whether the order had rested.

    On Binance's market streams it is an aggregate trade: what one order took at one price in one
    moment. `trade_id` is the aggregate's, `first_trade_id` and `last_trade_id` are those of the
    trades it is made of.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    timestamp: Timestamp
    price: Positive
    quantity: Positive
    side: Side
    trade_id: str | None = None
    exchange: str
    # Beyond the contract, all optional, and left out if the exchange doesn't give them:
    first_trade_id: str | None = Field(default=None, exclude_if=is_none)
    last_trade_id: str | None = Field(default=None, exclude_if=is_none)
    fee: NotNegative | None = Field(default=None, exclude_if=is_none)
    fee_asset: str | None = Field(default=None, exclude_if=is_none)
    is_maker: bool | None = Field(default=None, exclude_if=is_none)
