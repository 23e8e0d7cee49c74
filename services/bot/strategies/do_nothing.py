"""An example to begin with: it looks at every trade, counts them, and wants nothing."""

from common_models import Trade
from services.bot.strategy import Intent, Strategy


class DoNothing(Strategy):
    """Counts trades; the count outlives a restart."""

    def on_trade(self, trade: Trade) -> Intent | None:  # noqa: ARG002 - only that it came
        """Count it."""
        self.state["trades"] = self.state.get("trades", 0) + 1
        return None
