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


class IndicatorProgress(BaseModel):
    """How far an indicator is from its first value, in `indicator_host:state:progress`.

    It has been given `have` of `of` (`candles of 1m`, `trades`, `tickers`) since the market's last
    hole, and says something from `want` on; null where that isn't known. `stopped` says why it
    failed.
    """

    model_config = ConfigDict(frozen=True)

    have: int
    want: int | None
    of: str
    stopped: str | None = None

    @property
    def missing(self) -> str | None:
        """What is missing, in words; None where it has all that it wants."""
        if self.stopped is not None:
            return f"it was stopped: {self.stopped}"
        if self.want is None:
            return f"it has {self.have} {self.of}, which is too few"
        if self.have >= self.want:
            return None
        return f"{self.want - self.have} {self.of} are missing, it has {self.have} of {self.want}"
