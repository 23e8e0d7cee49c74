"""Known secrets are hidden, in whatever form a text holds them."""

import json
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._runtime import redaction
from services._runtime.redaction import REDACTED, excerpt, redact, register_secrets

SECRET = 'pa/ss "w\u00f6rd"+1'


@pytest.fixture(autouse=True)
def _nothing_is_secret_afterwards() -> Iterator[None]:
    yield
    register_secrets(())


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        b64encode(f"the-key-id:{SECRET}".encode()).decode(),
        "the-key-id",
    ],
)
def test_a_secret_is_hidden_in_every_form(form: str) -> None:
    """Plain, in a URL, in JSON, and as Basic authentication."""
    register_secrets([SECRET, "the-key-id"])
    assert redact(f"before {form} after") == f"before {REDACTED} after"


def test_a_secret_that_holds_another_leaves_nothing_of_itself() -> None:
    """The longest is looked for first."""
    register_secrets(["password", "password-of-the-master"])
    assert redact("password-of-the-master, password") == f"{REDACTED}, {REDACTED}"


def test_short_secrets_are_not_hidden() -> None:
    """It would stand in every other line."""
    register_secrets(["redis", ""])
    assert redact("redis can't be reached") == "redis can't be reached"


def test_what_is_kept_is_what_was_said_last() -> None:
    """Nothing known, nothing hidden."""
    register_secrets([SECRET])
    register_secrets([])
    assert redact(SECRET) == SECRET
    assert redaction.redact("") == ""


@given(st.text(min_size=6), st.text(), st.text())
def test_no_text_keeps_a_secret(secret: str, before: str, after: str) -> None:
    """Whatever the secret and whatever stands around it."""
    register_secrets([secret])
    shown = redact(before + secret + after)
    assert secret not in shown.replace(REDACTED, "\n") or secret in REDACTED


@pytest.mark.parametrize("known", [[], [SECRET]])
def test_a_signature_is_hidden(known: list[str]) -> None:
    """In a URL, and in JSON; the request before it stays readable."""
    register_secrets(known)
    signature = "0123456789abcdefABCDEF" * 3
    url = f"GET /api/v3/order?symbol=BTCUSDT&signature={signature}"
    assert redact(url) == f"GET /api/v3/order?symbol=BTCUSDT&signature={REDACTED}"
    assert redact(json.dumps({"signature": signature})) == json.dumps({"signature": REDACTED})


def test_an_excerpt_holds_no_half_of_a_secret() -> None:
    """It is hidden first, and cut then."""
    register_secrets([SECRET])
    assert excerpt("x" * 195 + SECRET) == "x" * 195 + REDACTED[:5]
    assert excerpt(ValueError(SECRET), 20) == REDACTED
