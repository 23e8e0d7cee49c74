"""Secrets that a test would know anywhere: whole, in part, or encoded."""

import secrets
import string
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

# So many letters of a secret in a row are no accident.
TELLING = 12


def _alphanumeric(length: int) -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(length))


@dataclass(frozen=True)
class Canaries:
    """All that nobody may ever see; new for each run."""

    binance_key: str = field(default_factory=lambda: _alphanumeric(64))
    binance_secret: str = field(default_factory=lambda: _alphanumeric(64))
    luno_key_id: str = field(default_factory=lambda: _alphanumeric(16))
    luno_secret: str = field(default_factory=lambda: _alphanumeric(43))
    # With what has to be written otherwise in URLs, in JSON and in HTML.
    redis_password: str = field(default_factory=lambda: f'{_alphanumeric(20)}/&"+ <{{')

    @property
    def redis_auth(self) -> str:
        """The password as it stands in a URL."""
        return quote(self.redis_password, safe="")

    def found_in(self, text: str) -> list[str]:
        """The names of the secrets of which *text* has a telling part, in whatever form."""
        return [name for name, parts in self._parts().items() if any(p in text for p in parts)]

    def _parts(self) -> dict[str, set[str]]:
        basic = f"{self.luno_key_id}:{self.luno_secret}".encode()
        forms = {"luno_basic": {b64encode(basic).decode(), urlsafe_b64encode(basic).decode()}}
        for name in self.__dataclass_fields__:
            secret: str = getattr(self, name)
            raw = secret.encode()
            forms[name] = {
                *(secret, secret[::-1], quote(secret), quote(secret, safe=""), quote_plus(secret)),
                *(raw.hex(), b64encode(raw).decode(), urlsafe_b64encode(raw).decode()),
            }
        return {
            name: {
                form[start : start + TELLING]
                for form in own
                for start in range(len(form) - TELLING + 1)
            }
            for name, own in forms.items()
        }
