"""The order sizes that an exchange accepts for one symbol. Pure."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from common_models import InstrumentInfo
from services._runtime.fees import full_fee


@dataclass(frozen=True, slots=True)
class Lots:
    """The smallest order sizes; 0 means no bound. `fee` is the fee as a share of a fill.

    `lot` and `min_quantity` are in the base asset, `min_notional` in the quote asset.
    """

    lot: Decimal = Decimal(0)
    min_quantity: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)

    @classmethod
    def of(cls, instrument: InstrumentInfo) -> "Lots":
        """The lots of an instrument that a connector published."""
        fees = [fee for fee in (instrument.maker_fee, instrument.taker_fee) if fee is not None]
        return cls(
            _decimal(instrument.lot),
            _decimal(instrument.min_quantity),
            _decimal(instrument.min_notional),
            _decimal(max(fees)) if fees else full_fee(instrument.exchange),
        )

    def whole(self, quantity: Decimal) -> Decimal:
        """*quantity* rounded down to the lot."""
        if not self.lot:
            return quantity
        return (quantity / self.lot).to_integral_value(ROUND_FLOOR) * self.lot

    def tradable(self, quantity: Decimal, price: Decimal | None) -> Decimal:
        """The part of *quantity* that the exchange accepts as one order; 0 for dust.

        Without a price only the quantity is checked.
        """
        whole = self.whole(quantity)
        least = self.min_notional if price is not None else Decimal(0)
        if whole < self.min_quantity or whole * (price or Decimal(0)) < least:
            return Decimal(0)
        return whole

    def __str__(self) -> str:
        return (
            f"lots of {self.lot:f}, at least {self.min_quantity:f}, "
            f"worth at least {self.min_notional:f}"
        )


def _decimal(number: float) -> Decimal:
    return Decimal(str(number))
