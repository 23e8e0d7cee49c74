"""Reading what Binance's signed REST answers, and naming an order in a request."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.orders.account.published_balances import PER_MILLISECOND
from services._runtime.redaction import excerpt

T = TypeVar("T")

# Binance has no such symbol (any more): https://github.com/binance/binance-spot-api-docs/issues/22
UNLISTED = "-1121"


def rows_of(answer: Any) -> list[Any]:
    """*answer*, which must be a list: the SDK makes {} of an empty body.

    Raises:
        TransientError: it isn't a list.
    """
    if not isinstance(answer, list):
        raise TransientError(
            f"an answer of Binance can't be read: no list but {type(answer).__name__}"
        )
    return answer


async def if_listed(answer: Awaitable[Any]) -> list[Any]:
    """The rows of one symbol: none where Binance doesn't list it any more."""
    try:
        return rows_of(await answer)
    except RejectedError as e:
        if e.code != UNLISTED:
            raise
        return []


def place_in_time(row: Mapping[str, Any]) -> tuple[int, int]:
    """An order's id, and when it was created."""
    return int(row["orderId"]), int(row["time"])


def version(update_time: object) -> int:
    """That of a snapshot: whatever was pushed in that millisecond may be in it. 0: none given."""
    if type(update_time) is not int or update_time <= 0:
        return 0  # an account that has not traded yet has no time of an update
    return update_time * PER_MILLISECOND + PER_MILLISECOND - 1


def yes_or_no(value: object) -> bool:
    """*value*; TypeError where it is neither true nor false."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def reference(order_id: str | None, client_order_id: str | None) -> dict[str, Any]:
    """How a request names an order; where it has both ids, Binance looks at both."""
    ids = {
        "orderId": None if order_id is None else int(order_id),
        "origClientOrderId": client_order_id,
    }
    return {name: value for name, value in ids.items() if value is not None}


def read(translate: Callable[[], T]) -> T:
    """The translated answer; TransientError if it can't be read."""
    try:
        return translate()
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as e:
        raise TransientError(excerpt(f"an answer of Binance can't be read: {e!r}")) from e
