"""Tradable symbols: the hash `<connector>:state:instruments` holds one for each symbol."""

from pydantic import BaseModel, ConfigDict, Field

from common_models.fields import NotNegative, Positive, Timestamp, utc_now


class InstrumentInfo(BaseModel):
    """One symbol of an exchange, and the bounds of its orders; 0 means no bound.

    `lot` and the quantities are in the base asset, `tick` and the notionals in the quote asset.
    They hold for both limit and market orders: if the exchange has different bounds for each, the
    narrower. A fee is a share of the traded amount, null if the exchange doesn't publish it;
    `fee_prices` are the prices, in the quote asset, of third assets that may pay it.
    `post_only`: the symbol is `trading`, but the exchange accepts only orders that rest.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    exchange: str
    base: str
    quote: str
    trading: bool
    tick: NotNegative = 0.0
    lot: NotNegative = 0.0
    min_quantity: NotNegative = 0.0
    max_quantity: NotNegative = 0.0
    min_notional: NotNegative = 0.0
    max_notional: NotNegative = 0.0
    maker_fee: NotNegative | None = None
    taker_fee: NotNegative | None = None
    fee_prices: dict[str, Positive] = Field(default_factory=dict)
    post_only: bool = False
    timestamp: Timestamp = Field(default_factory=utc_now)
