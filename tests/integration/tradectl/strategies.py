"""A strategy that only tests would run: a bot's order whose story can be told."""

from common_models import IndicatorValue
from services.bot.strategy import Intent, Strategy


class OneBuy(Strategy):
    """Wants to buy at every value of its indicator, until it holds something."""

    indicators = ("rsi_14",)

    def on_indicator(self, value: IndicatorValue) -> Intent | None:
        """Whatever the value is; a refusal isn't the end."""
        if self.market.pending or self.market.position > 0:
            return None
        return Intent("buy", f"rsi_14 is {value.value:.2f}")
