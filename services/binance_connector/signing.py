"""Signed requests, https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode


def signed(params: Mapping[str, str | int], secret: str) -> str:
    """*params* percent-encoded, with their HMAC-SHA256 `signature` at the end."""
    payload = urlencode(params)
    return f"{payload}&signature={signature(payload, secret)}"


def signature(payload: str, secret: str) -> str:
    """The hex HMAC-SHA256 of *payload*."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
