"""The last line: what this process knows to be secret stands in no text that leaves it.

Settings keep secrets out of messages in the first place. But an exchange may say back what it was
sent, and an exception may carry a request.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from itertools import permutations
from urllib.parse import quote, quote_plus

REDACTED = "[secret]"
# Of what an exchange says, this much is told.
EXCERPT_LENGTH = 200
# What is shorter may be a word that stands in every other line.
MIN_SECRET_LENGTH = 6
# No form of a secret is longer. Of a text of megabytes no more is looked at than can be shown.
MAX_SECRET_LENGTH = 4096

# A signed request can be sent again by whoever reads it, while its window is open.
_SIGNATURE = r"(?<=signature)(\W{1,6})[0-9A-Fa-f]{32,}"
_secret_pattern = re.compile(_SIGNATURE)


def register_secrets(secrets: Iterable[str]) -> None:
    """From now on hide *secrets*, and no others."""
    global _secret_pattern  # noqa: PLW0603 - what is secret is so for the whole process
    forms = _forms({secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH})
    longest_first = sorted(forms, key=len, reverse=True)
    _secret_pattern = re.compile("|".join([*map(re.escape, longest_first), _SIGNATURE]))


def redact(text: str) -> str:
    """*text* with each secret hidden, and the signature of each request."""
    return _secret_pattern.sub(lambda found: (found[1] or "") + REDACTED, text)


def excerpt(text: object, most: int = EXCERPT_LENGTH) -> str:
    """The beginning of what somebody else wrote. Hidden first: half a secret isn't recognised."""
    return redact(str(text)[: most + MAX_SECRET_LENGTH])[:most]


def _forms(secrets: set[str]) -> set[str]:
    """As they are; in URLs, JSON and Python's repr; and as HTTP's Basic authentication."""
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
