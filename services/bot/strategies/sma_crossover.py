"""Follows a trend: in at the golden cross, out at the death cross."""

from pydantic import Field

from common_models import IndicatorValue
from services.bot.parameters import ParameterError
from services.bot.strategy import Intent, Market, Refused, Strategy


class SmaCrossover(Strategy):
    """Buys when the fast average rises above the slow one, and sells what it bought below.

    It buys once at each golden cross, and sells while the fast average is below. The two are
    compared only if both were made of the same candle or trade. The first comparison only sets
    which is above; it does not count as a cross.
    """

    fast: int = Field(20, ge=1, le=1000, description="candles or trades of the fast average")
    slow: int = Field(50, ge=1, le=1000, description="candles or trades of the slow average")
    suffix: str = Field(
        "",
        pattern=r"^(_[A-Za-z0-9_.-]+)?$",
        description="the suffix of the indicators' names in INDICATORS, if they have one, e.g. _5m",
    )

    indicators = ("sma_{fast}{suffix}", "sma_{slow}{suffix}")

    def __init__(self, market: Market, **given: object) -> None:
        super().__init__(market, **given)
        if self.fast >= self.slow:
            raise ParameterError(f"fast={self.fast}: expected less than slow={self.slow}")

    def on_indicator(self, value: IndicatorValue) -> Intent | None:  # noqa: ARG002 - it takes two
        """Buy at a golden cross, sell at a death cross."""
        if self.market.pending:
            return None
        fast, slow = (self.market.indicator(name) for name in self.indicators)
        if not _of_the_same(fast, slow) or fast.value == slow.value:
            return None
        above = fast.value > slow.value
        crossed = above != self.state.get("above", above)
        self.state["above"] = above
        averages = ", ".join(
            f"{name} {each.value:.8g}"
            for name, each in zip(self.indicators, (fast, slow), strict=True)
        )
        held = self.market.position
        if above and crossed and held < self.market.quantity / 2:
            return Intent("buy", f"golden cross: {averages}")
        if not above and held >= self.market.quantity / 2:
            return Intent("sell", f"death cross: {averages}", held)
        return None

    def on_refused(self, refused: Refused) -> None:
        """Reset the signal after a refused buy: the next value above counts as the cross."""
        if refused.side == "buy":
            self.state["above"] = False


def _of_the_same(one: IndicatorValue, other: IndicatorValue) -> bool:
    if one.caused_by and other.caused_by:
        return one.caused_by == other.caused_by
    return one.timestamp == other.timestamp
