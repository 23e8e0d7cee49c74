"""Hides known secrets in every text that leaves the process.

Settings keep secrets out of messages. But an exchange may repeat what it received, and an exception
may contain a request.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from itertools import permutations
from urllib.parse import quote, quote_plus

REDACTED = "[secret]"
# In characters: how much of an exchange's text is shown.
EXCERPT_LENGTH = 200
# Shorter secrets are not hidden: they may be ordinary words.
MIN_SECRET_LENGTH = 6
# No encoded form of a secret is longer. Only this much more than the excerpt is searched.
MAX_SECRET_LENGTH = 4096

# A reader of a signed request could send it again while its time window is open.
_SIGNATURE = r"(?<=signature)(\W{1,6})[0-9A-Fa-f]{32,}"
_secret_pattern = re.compile(_SIGNATURE)


def register_secrets(secrets: Iterable[str]) -> None:
    """Hide *secrets* from now on, and no others."""
    global _secret_pattern  # noqa: PLW0603 - secrets are secret in the whole process
    forms = _forms({secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH})
    longest_first = sorted(forms, key=len, reverse=True)
    _secret_pattern = re.compile("|".join([*map(re.escape, longest_first), _SIGNATURE]))


def redact(text: str) -> str:
    """*text* with each secret hidden, and the signature of each request."""
    return _secret_pattern.sub(lambda found: (found[1] or "") + REDACTED, text)


def excerpt(text: object, most: int = EXCERPT_LENGTH) -> str:
    """The first *most* characters of foreign text. Redact first: part of a secret is not found."""
    return redact(str(text)[: most + MAX_SECRET_LENGTH])[:most]


def _forms(secrets: set[str]) -> set[str]:
    """The secrets as plain text, in URLs, JSON, Python's repr, and HTTP Basic authentication."""
    plain = {
        form
        for secret in secrets
        for form in (
            *(secret, quote(secret), quote(secret, safe=""), quote_plus(secret)),
            *(json.dumps(secret)[1:-1], repr(secret)[1:-1]),
        )
    }
    pairs = (f"{user}:{password}" for user, password in permutations(secrets, 2))
    return plain | {b64encode(pair.encode()).decode() for pair in pairs}
