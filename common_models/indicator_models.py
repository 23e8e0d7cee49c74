"""What indicator plugins publish to `indicators:<name>:<exchange>:<PAIR>`."""

from pydantic import BaseModel, ConfigDict, Field

from common_models.fields import Finite, Timestamp, utc_now


class IndicatorValue(BaseModel):
    """One value of one indicator, e.g. `rsi_14` of BTC/USDT on binance.

    `timestamp` is the end of the candle, or the trade's or ticker's own time.
    """

    model_config = ConfigDict(frozen=True)

    timestamp: Timestamp = Field(default_factory=utc_now)
    value: Finite
    indicator_name: str
    symbol: str
    exchange: str
    # Beyond the contract. The length of its candles, e.g. "1m"; None where it isn't made of any.
    timeframe: str | None = None
    # The stream and the entry that brought it: "binance:BTCUSDT:trades 1700000000000-0".
    caused_by: str | None = None
