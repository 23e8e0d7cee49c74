"""What can be traded: the hash `<connector>:state:instruments` holds one for each symbol."""

from pydantic import BaseModel, ConfigDict, Field

from common_models.fields import NotNegative, Positive, Timestamp, utc_now


class InstrumentInfo(BaseModel):
    """One symbol of an exchange, and what the exchange demands of its orders; 0 is no bound.

    `lot` and the quantities are in the base asset, `tick` and the notionals in the quote asset.
    They hold for a limit and a market order alike: where the exchange has bounds of its own for
    each, the narrower. A fee is a share of what is traded, null where the exchange doesn't tell;
    `fee_prices` is what one of each third asset that may pay it is worth in the quote asset.
    `post_only`: of what is `trading`, it takes only orders that rest.
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
