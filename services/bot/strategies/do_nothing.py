"""An example: it counts trades and never trades."""

from common_models import Trade
from services.bot.strategy import Intent, Strategy


class DoNothing(Strategy):
    """Counts trades; the count survives a restart."""

    def on_trade(self, trade: Trade) -> Intent | None:  # noqa: ARG002 - only that it came
        """Count the trade."""
        self.state["trades"] = self.state.get("trades", 0) + 1
        return None
