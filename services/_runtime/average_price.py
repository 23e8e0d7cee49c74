"""The average entry price of a position. Pure."""

from decimal import Decimal


def average_price(
    quantity: Decimal, average: Decimal | None, traded: Decimal, price: Decimal
) -> Decimal | None:
    """The average entry price after a fill of *traded* (sells are negative) at *price*.

    The average changes only if the position grows: reducing it realises profit or loss instead. A
    position that crosses zero has the fill's price. None: the position is flat, or its average
    before was unknown (None) and it did not cross zero.
    """
    after = quantity + traded
    if not after:
        return None
    if not quantity or (quantity > 0) != (after > 0):
        return price
    if average is None or (traded > 0) != (quantity > 0):
        return average
    return (quantity * average + traded * price) / after
