"""Buys what has fallen fast, and sells it when it has risen fast."""

from typing import ClassVar

from common_models import IndicatorValue
from services.bot.strategy import Intent, Refused, Strategy

OVERSOLD = 30.0
OVERBOUGHT = 70.0


class RsiReversion(Strategy):
    """Mean reversion on the 14-period RSI: buys below 30, sells what it bought above 70.

    It buys once each time the RSI falls below 30, and holds one buy at most; it sells as long as
    the RSI is above 70. Less than half of its quantity, which may be left over, counts as nothing.
    """

    indicators: ClassVar[tuple[str, ...]] = ("rsi_14",)

    def on_indicator(self, value: IndicatorValue) -> Intent | None:
        """Act where the RSI is in a zone."""
        if self.market.pending:
            return None
        rsi, held = value.value, self.market.position
        entered = rsi < OVERSOLD and not self.state.get("oversold")
        self.state["oversold"] = rsi < OVERSOLD
        if entered and held < self.market.quantity / 2:
            return Intent("buy", f"rsi_14 is {rsi:.2f}, below {OVERSOLD:g}")
        if rsi > OVERBOUGHT and held >= self.market.quantity / 2:
            return Intent("sell", f"rsi_14 is {rsi:.2f}, above {OVERBOUGHT:g}", held)
        return None

    def on_refused(self, refused: Refused) -> None:
        """It hasn't bought: the next value below 30 counts as the first."""
        if refused.side == "buy":
            self.state["oversold"] = False
