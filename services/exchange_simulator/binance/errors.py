"""Binance's error answers: `{"code": .., "msg": ..}` and an HTTP status.

Codes and texts: developers.binance.com, "Error codes for Binance".
"""


class BinanceError(Exception):
    """One of the venue's own errors."""

    def __init__(
        self, status: int, code: int, message: str, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after  # seconds

    def body(self) -> dict[str, int | str]:
        """The JSON body."""
        return {"code": self.code, "msg": self.message}


def too_much_weight(limit: int, retry_after: int) -> BinanceError:
    """The minute's request weight is used up."""
    return BinanceError(
        429,
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        retry_after,
    )


def illegal(name: str, legal: str) -> BinanceError:
    """A parameter with illegal characters."""
    return BinanceError(
        400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def unread(sent: int, read: int) -> BinanceError:
    """More parameters than the endpoint knows."""
    if not read:
        return BinanceError(400, -1101, f"Too many parameters; expected '0' and received '{sent}'.")
    return BinanceError(
        400,
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def missing(name: str) -> BinanceError:
    """A mandatory parameter is missing."""
    return BinanceError(
        400,
        -1102,
        f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    )


def bad_combination() -> BinanceError:
    """Parameters that can't be sent together."""
    return BinanceError(400, -1128, "Combination of optional parameters invalid.")


def invalid_data(name: str) -> BinanceError:
    """A number out of its range."""
    return BinanceError(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def invalid_symbol() -> BinanceError:
    """A symbol that isn't listed."""
    return BinanceError(400, -1121, "Invalid symbol.")


def not_supported(what: str) -> BinanceError:
    """A feature that the simulator lacks: refused, never answered with an invented success."""
    return BinanceError(
        400, -1020, f"This operation is not supported. (The simulator doesn't speak {what}.)"
    )


def missing_both(first: str, second: str) -> BinanceError:
    """Neither of two parameters was sent, and one is required."""
    return BinanceError(
        400, -1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!"
    )


def not_required(name: str) -> BinanceError:
    """A parameter that this type of order must not have."""
    return BinanceError(400, -1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> BinanceError:
    """More decimals than the asset has."""
    return BinanceError(400, -1111, f"Parameter '{name}' has too much precision.")


def filter_failure(name: str) -> BinanceError:
    """The order fails a symbol's filter; it did not reach the matching engine."""
    return BinanceError(400, -1013, f"Filter failure: {name}")


def rejected(message: str) -> BinanceError:
    """The matching engine refuses a new order."""
    return BinanceError(400, -2010, message)


def cancel_rejected(message: str = "Unknown order sent.") -> BinanceError:
    """The matching engine refuses a cancel."""
    return BinanceError(400, -2011, message)


def amend_rejected(message: str) -> BinanceError:
    """The matching engine refuses an amendment."""
    return BinanceError(400, -2038, message)


def no_such_order() -> BinanceError:
    """A query found nothing."""
    return BinanceError(400, -2013, "Order does not exist.")


def too_many_orders(limit: int, interval: str) -> BinanceError:
    """The account exceeded its order limit: a 429 without a `Retry-After`."""
    text = f"Too many new orders; current limit is {limit} orders per {interval}."
    return BinanceError(429, -1015, text)
