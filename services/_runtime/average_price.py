"""At which price a position was entered. Pure."""

from decimal import Decimal


def average_price(
    quantity: Decimal, average: Decimal | None, traded: Decimal, price: Decimal
) -> Decimal | None:
    """The average price of a position once *traded* more of it (sells are negative) is booked.

    It changes where the position grows: what makes it smaller is profit or loss instead. One that
    goes through zero is entered anew. None: nothing is held, or *average* isn't known (None) of
    what was *held* before, and still is.
    """
    after = quantity + traded
    if not after:
        return None
    if not quantity or (quantity > 0) != (after > 0):
        return price
    if average is None or (traded > 0) != (quantity > 0):
        return average
    return (quantity * average + traded * price) / after
