"""What indicator plugins publish to `indicators:<name>:<exchange>:<PAIR>`."""

from pydantic import BaseModel, ConfigDict, Field

from common_models.fields import Finite, Timestamp, utc_now


class IndicatorValue(BaseModel):
    """One value of one indicator, e.g. `rsi_14` of BTC/USDT on binance."""

    model_config = ConfigDict(frozen=True)

    timestamp: Timestamp = Field(default_factory=utc_now)
    value: Finite
    indicator_name: str
    symbol: str
    exchange: str
