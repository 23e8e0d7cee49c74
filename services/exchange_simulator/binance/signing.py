"""Authentication as Binance does it: API key, HMAC signature and timing window.

Rules: developers.binance.com, "REST API: Request Security" and "Timing security".
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import SecretStr

from services.exchange_simulator.binance import errors

DEFAULT_WINDOW = Decimal(5000)
MAX_WINDOW = Decimal(60_000)
AHEAD_MS = 1000

KEY = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# Up to three decimals: microseconds.
WINDOW = re.compile(r"[0-9]{1,20}(\.[0-9]{1,3})?")
TIMESTAMP = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class BinanceKey:
    """The one accepted key; it may read and trade, and withdraw if `withdraws`."""

    key: str
    secret: SecretStr
    withdraws: bool = False

    def check(self, given: str | None) -> None:
        """Check that *given* is the key.

        Raises:
            BinanceError: -2014 for a malformed key, -2015 for a wrong one.
        """
        if given is None or not KEY.fullmatch(given):
            raise errors.BinanceError(401, -2014, "API-key format invalid.")
        if not secrets.compare_digest(given, self.key):
            raise errors.BinanceError(401, -2015, "Invalid API-key, IP, or permissions for action.")

    def sign(self, payload: str) -> str:
        """The HMAC-SHA256 of *payload*, in hex."""
        secret = self.secret.get_secret_value().encode()
        return hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()

    def check_signature(self, payload: str, signature: str) -> None:
        """Check that *signature* is that of *payload*.

        Raises:
            BinanceError: -1022, it isn't.
        """
        if not secrets.compare_digest(self.sign(payload).encode(), signature.lower().encode()):
            raise errors.BinanceError(400, -1022, "Signature for this request is not valid.")


@dataclass(frozen=True, slots=True)
class SigningWindow:
    """The validity of a request: from 1 s before `timestamp` until `recvWindow` (ms) after it.

    The venue checks it twice: when the request arrives, and again just before it forwards the
    request to the matching engine (since 2025-06-06; "Timing security" in the REST API docs). A
    request that was delayed for too long can't execute any more.
    """

    timestamp: int
    width: Decimal

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> "SigningWindow":
        """Read `timestamp` and `recvWindow`.

        Raises:
            BinanceError: -1102, -1100 or -1131 for a missing or invalid one.
        """
        timestamp = params.get("timestamp", "")
        width = params.get("recvWindow")
        if not TIMESTAMP.fullmatch(timestamp):
            raise errors.missing("timestamp")
        if width is not None and not WINDOW.fullmatch(width):
            raise errors.illegal("recvWindow", WINDOW.pattern)
        window = cls(int(timestamp), DEFAULT_WINDOW if width is None else Decimal(width))
        if window.width > MAX_WINDOW:
            raise errors.BinanceError(400, -1131, "recvWindow must be less than 60000.")
        return window

    def check(self, now_ms: int) -> None:
        """Check that the window contains *now_ms*, the venue's time.

        Raises:
            BinanceError: -1021, it doesn't.
        """
        if self.timestamp >= now_ms + AHEAD_MS:
            raise errors.BinanceError(
                400, -1021, "Timestamp for this request was 1000ms ahead of the server's time."
            )
        if now_ms - self.timestamp > self.width:
            raise errors.BinanceError(
                400, -1021, "Timestamp for this request is outside of the recvWindow."
            )


def without_signature(encoded: str) -> tuple[str, str | None]:
    """Split a query string or form body into the text without `signature`, and the signature."""
    parts = encoded.split("&") if encoded else []
    rest = [part for part in parts if not part.startswith("signature=")]
    signed = [part.removeprefix("signature=") for part in parts if part.startswith("signature=")]
    return "&".join(rest), signed[-1] if signed else None
