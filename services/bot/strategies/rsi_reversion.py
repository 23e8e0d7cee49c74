"""Buys after a fast fall, and sells after a fast rise."""

from pydantic import Field

from common_models import IndicatorValue
from services.bot.parameters import ParameterError
from services.bot.strategy import Intent, Market, Refused, Strategy


class RsiReversion(Strategy):
    """Mean reversion on the RSI: buys below 30, sells what it bought above 70.

    It buys once each time the RSI falls below, and holds one buy at most; it sells as long as the
    RSI is above. Less than half of its quantity, which may be left over, counts as nothing.
    """

    period: int = Field(14, ge=2, le=1000, description="candles or trades of the RSI")
    oversold: float = Field(30.0, gt=0, lt=100, description="it buys below this RSI")
    overbought: float = Field(70.0, gt=0, lt=100, description="it sells above this RSI")
    suffix: str = Field(
        "",
        pattern=r"^(_[A-Za-z0-9_.-]+)?$",
        description="the suffix of the indicator's name in INDICATORS, if it has one, e.g. _5m",
    )

    indicators = ("rsi_{period}{suffix}",)

    def __init__(self, market: Market, **given: object) -> None:
        super().__init__(market, **given)
        if self.oversold >= self.overbought:
            raise ParameterError(
                f"oversold={self.oversold:g}: expected less than overbought={self.overbought:g}"
            )

    def on_indicator(self, value: IndicatorValue) -> Intent | None:
        """Buy if the RSI is oversold, sell if it is overbought."""
        if self.market.pending:
            return None
        rsi, held = value.value, self.market.position
        entered = rsi < self.oversold and not self.state.get("oversold")
        self.state["oversold"] = rsi < self.oversold
        said = f"{self.indicators[0]} is {rsi:.2f}"
        if entered and held < self.market.quantity / 2:
            return Intent("buy", f"{said}, below {self.oversold:g}")
        if rsi > self.overbought and held >= self.market.quantity / 2:
            return Intent("sell", f"{said}, above {self.overbought:g}", held)
        return None

    def on_refused(self, refused: Refused) -> None:
        """Reset the signal after a refused buy: the next value below counts as the first."""
        if refused.side == "buy":
            self.state["oversold"] = False
