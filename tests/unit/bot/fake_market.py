"""A market for strategies that are tried without a bot."""

from dataclasses import dataclass, field
from decimal import Decimal

from common_models import IndicatorValue


@dataclass
class FakeMarket:
    """A market of which a test says what is held, and what the indicators are."""

    position: Decimal = Decimal(0)
    pending: bool = False
    quantity: Decimal = Decimal("0.001")
    values: dict[str, IndicatorValue] = field(default_factory=dict)

    def indicator(self, name: str) -> IndicatorValue:
        """What was set."""
        return self.values[name]
