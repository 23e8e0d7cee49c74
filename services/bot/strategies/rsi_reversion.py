"""Buys what has fallen fast, and sells it when it has risen fast."""

from typing import ClassVar

from common_models import IndicatorValue
from services.bot.strategy import Intent, Strategy

OVERSOLD = 30.0
OVERBOUGHT = 70.0


class RsiReversion(Strategy):
    """Mean reversion on the 14-period RSI: buys below 30, sells what it bought above 70.

    It acts once each time the RSI enters such a zone, and holds one buy at most. Less than half of
    its quantity, which fees and lots may leave over, counts as nothing.
    """

    indicators: ClassVar[tuple[str, ...]] = ("rsi_14",)

    def on_indicator(self, value: IndicatorValue) -> Intent | None:
        """Act where the RSI has just entered a zone."""
        zone = _zone(value.value)
        before = self.state.get("zone")
        self.state["zone"] = zone
        if zone == before:
            return None
        held = self.market.position
        if zone == "oversold" and held < self.market.quantity / 2:
            return Intent("buy", f"rsi_14 is {value.value:.2f}, below {OVERSOLD:g}")
        if zone == "overbought" and held >= self.market.quantity / 2:
            return Intent("sell", f"rsi_14 is {value.value:.2f}, above {OVERBOUGHT:g}", held)
        return None


def _zone(rsi: float) -> str:
    if rsi < OVERSOLD:
        return "oversold"
    return "overbought" if rsi > OVERBOUGHT else "middle"
