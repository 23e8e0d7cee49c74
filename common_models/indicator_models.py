"""The messages of indicators, published to `indicators:<name>:<exchange>:<PAIR>`."""

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
    # Beyond the contract. The length of its candles, e.g. "1m"; None if it is not made of candles.
    timeframe: str | None = None
    # The stream and the entry that led to it: "binance:BTCUSDT:trades 1700000000000-0".
    caused_by: str | None = None


class IndicatorProgress(BaseModel):
    """How far an indicator is from its first value, in `indicator_host:state:progress`.

    It has `have` inputs of the kind `of` (`candles of 1m`, `trades`, `tickers`) since the market's
    last gap, and needs `want` for its first value, null if that is unknown. `stopped` says why it
    failed.
    """

    model_config = ConfigDict(frozen=True)

    have: int
    want: int | None
    of: str
    stopped: str | None = None

    @property
    def missing(self) -> str | None:
        """The missing inputs as a text; None if it has enough."""
        if self.stopped is not None:
            return f"it was stopped: {self.stopped}"
        if self.want is None:
            return f"it has {self.have} {self.of}, which is too few"
        if self.have >= self.want:
            return None
        return f"{self.want - self.have} {self.of} are missing, it has {self.have} of {self.want}"
