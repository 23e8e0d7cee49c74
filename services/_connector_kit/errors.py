"""What can go wrong with an exchange, sorted by what we do about it.

* TransientError          wait and try again
    * RateLimitedError    wait at least `retry_after` seconds
* RejectedError           the exchange said no: asking again won't help
    * ArchivedError       an order that ended long ago without a fill
* FeedStoppedError        the key was refused: say so, and ask again after `RETRY_REFUSED`
* FatalError              the service can't go on: stop it

They carry the exchange's words into logs, pages and streams: without our secrets, which it may have
said back.
"""

from services._runtime.lifecycle import FatalError
from services._runtime.redaction import redact
from services._runtime.supervise import TransientError

__all__ = [
    "RETRY_REFUSED",
    "ArchivedError",
    "FatalError",
    "FeedStoppedError",
    "RateLimitedError",
    "RejectedError",
    "TransientError",
    "patience",
]

# A request that the exchange refused is sent again after so many seconds: it may pass then.
RETRY_REFUSED = 30.0


class RateLimitedError(TransientError):
    """The exchange limits requests: nothing may be sent for `retry_after` seconds."""


class RejectedError(Exception):
    """The exchange answered no. `code` is its own code for why."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(redact(message))
        self.code = code


class ArchivedError(RejectedError):
    """The exchange says that an order ended long ago without a fill, and has no details of it."""


class FeedStoppedError(Exception):
    """One part of a connector can't go on; the rest may."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


def patience(error: Exception) -> float:
    """The minimum number of seconds before the next request to the exchange."""
    return error.retry_after if isinstance(error, TransientError) else RETRY_REFUSED
