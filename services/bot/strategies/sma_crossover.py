"""Follows a trend: in at the golden cross, out at the death cross."""

from typing import ClassVar

from common_models import IndicatorValue
from services.bot.strategy import Intent, Strategy


class SmaCrossover(Strategy):
    """Buys where the average of 20 rises above that of 50, and sells what it bought below.

    It acts once a cross. Two averages are compared only where both were made of the same candle or
    trade; the first comparison says which is above, and is no cross.
    """

    indicators: ClassVar[tuple[str, ...]] = ("sma_20", "sma_50")

    def on_indicator(self, value: IndicatorValue) -> Intent | None:  # noqa: ARG002 - it takes two
        """Act where the averages have just crossed."""
        fast, slow = (self.market.indicator(name) for name in self.indicators)
        if not _of_the_same(fast, slow) or fast.value == slow.value:
            return None
        above = fast.value > slow.value
        before = self.state.get("above")
        self.state["above"] = above
        if before is None or above == before:
            return None
        averages = f"sma_20 {fast.value:.8g}, sma_50 {slow.value:.8g}"
        held = self.market.position
        if above and held < self.market.quantity / 2:
            return Intent("buy", f"golden cross: {averages}")
        if not above and held >= self.market.quantity / 2:
            return Intent("sell", f"death cross: {averages}", held)
        return None


def _of_the_same(one: IndicatorValue, other: IndicatorValue) -> bool:
    if one.caused_by and other.caused_by:
        return one.caused_by == other.caused_by
    return one.timestamp == other.timestamp
