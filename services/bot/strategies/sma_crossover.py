"""Follows a trend: in at the golden cross, out at the death cross."""

from typing import ClassVar

from common_models import IndicatorValue
from services.bot.strategy import Intent, Refused, Strategy


class SmaCrossover(Strategy):
    """Buys where the average of 20 rises above that of 50, and sells what it bought below.

    It buys once a golden cross, and sells as long as the average of 20 is below. The two are
    compared only where both were made of the same candle or trade; the first comparison says which
    is above, and is no cross.
    """

    indicators: ClassVar[tuple[str, ...]] = ("sma_20", "sma_50")

    def on_indicator(self, value: IndicatorValue) -> Intent | None:  # noqa: ARG002 - it takes two
        """Act where the averages have crossed."""
        if self.market.pending:
            return None
        fast, slow = (self.market.indicator(name) for name in self.indicators)
        if not _of_the_same(fast, slow) or fast.value == slow.value:
            return None
        above = fast.value > slow.value
        crossed = above != self.state.get("above", above)
        self.state["above"] = above
        averages = f"sma_20 {fast.value:.8g}, sma_50 {slow.value:.8g}"
        held = self.market.position
        if above and crossed and held < self.market.quantity / 2:
            return Intent("buy", f"golden cross: {averages}")
        if not above and held >= self.market.quantity / 2:
            return Intent("sell", f"death cross: {averages}", held)
        return None

    def on_refused(self, refused: Refused) -> None:
        """It hasn't bought: the next value above counts as the cross."""
        if refused.side == "buy":
            self.state["above"] = False


def _of_the_same(one: IndicatorValue, other: IndicatorValue) -> bool:
    if one.caused_by and other.caused_by:
        return one.caused_by == other.caused_by
    return one.timestamp == other.timestamp
