"""What an answer of a venue means, or that there is none, and what helps: docs/troubleshooting.md.

A venue documents its own refusals. These are the others: what stands between it and us says them,
or nobody does.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from services._runtime.redaction import excerpt


class Meaning(NamedTuple):
    """What it means, and what helps."""

    means: str
    helps: str

    def __str__(self) -> str:
        return f"{self.means}: {self.helps}"


RESTRICTED = Meaning(
    "this country or network isn't served",
    "run the connector from where the exchange serves you, or use its site for your country",
)
FIREWALL = Meaning(
    "a firewall in front of the exchange refuses this address",
    "wait some minutes; if that doesn't end it, use another address or ask the exchange",
)
BANNED = Meaning(
    "this address is banned, because it asked on after a 429",
    "nothing is sent until the ban is over; stop what else uses this address",
)
LIMITED = Meaning(
    "too many requests came from this address",
    "nothing is sent for as long as the exchange says; see what else uses this address",
)
DOWN = Meaning(
    "the exchange is overloaded or in maintenance",
    "it is tried again by itself; look at the exchange's status page",
)
PAGE = Meaning(
    "a web page answered, not the exchange's API",
    "look for a login page of the network, a proxy in between, or a wrong URL",
)
WRONG_URL = Meaning(
    "the exchange's API isn't at this address",
    "check the exchange's URL in the settings; redirects aren't followed",
)
NO_NAME = Meaning(
    "the host's name can't be resolved",
    "check this machine's DNS and network, and the exchange's URL in the settings",
)
NO_TRUST = Meaning(
    "the TLS connection isn't trusted",
    "check this machine's clock; where a proxy opens TLS, name its authority in SSL_CERT_FILE",
)
PROXY = Meaning(
    "the proxy refuses, or can't be reached",
    "check HTTPS_PROXY, its user and password, and NO_PROXY",
)
UNREACHABLE = Meaning(
    "nobody answers there",
    "check this machine's network and firewall, and the exchange's URL in the settings",
)
TIME = Meaning(
    "the request came too late, or its time is of the future",
    "let this machine's clock follow NTP, and see how slow the network is",
)

_BY_STATUS = {
    **dict.fromkeys((301, 302, 303, 307, 308, 404), WRONG_URL),
    403: FIREWALL,
    407: PROXY,
    418: BANNED,
    429: LIMITED,
    451: RESTRICTED,
}
_NETWORK = frozenset(
    {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ENETDOWN}
)
_PAGE = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>([^<]+)</title>", re.IGNORECASE)
_USER = re.compile(r"//[^/@\s]*@")  # of a proxy's URL
# So much of a body is looked at for what it says.
_BEGINNING = 4096


def by_status(status: int) -> Meaning | None:
    """What a status means that comes without an error code of the venue's own."""
    return _BY_STATUS.get(status) or (DOWN if status >= 500 else None)


def with_meaning(said: str, meaning: Meaning | None) -> str:
    """What is *said*, cut short, and what it means, where that is known."""
    return excerpt(said) if meaning is None else f"{excerpt(said)}; {meaning}"


def is_page(body: bytes) -> bool:
    """True for the beginning of a web page."""
    return _PAGE.match(body) is not None


def words(body: bytes) -> str:
    """What a body tells a person: the message of JSON, the title of a page, or its beginning."""
    text = body[:_BEGINNING].decode("utf-8", "replace")
    if is_page(body):
        title = _TITLE.search(text)
        return excerpt(f"a page {' '.join(title[1].split())!r}" if title else "a page")
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return excerpt(" ".join(text.split()))
    if isinstance(said, dict):
        for name in ("msg", "error", "message"):
            if isinstance(said.get(name), str):
                return excerpt(said[name])
    return excerpt(text)


def no_answer(venue: str, error: BaseException, *, proxied: bool = False) -> str:
    """That *venue* gave no answer, why, and what helps; *proxied*: the first hop was a proxy."""
    root, meaning = _root(error)
    if proxied and meaning in (NO_NAME, UNREACHABLE):
        meaning = PROXY
    said = f"{error.__class__.__name__}: {root}" if str(root) else error.__class__.__name__
    return with_meaning(f"no answer from {venue}: {_USER.sub('//', said)}", meaning)


def _root(error: BaseException) -> tuple[BaseException, Meaning | None]:
    """Of all that led to *error* what tells most, and what it means."""
    found = {meaning: cause for cause in _causes(error) if (meaning := _meaning(cause))}
    for meaning in (PROXY, NO_TRUST, NO_NAME, UNREACHABLE):
        if meaning in found:
            return found[meaning], meaning
    return error, None


def _meaning(cause: BaseException) -> Meaning | None:
    """What one cause means by itself."""
    if "Proxy" in cause.__class__.__name__:  # each library has its own
        return PROXY
    if isinstance(cause, ssl.SSLError):
        return NO_TRUST
    if isinstance(cause, socket.gaierror):
        return NO_NAME
    if isinstance(cause, TimeoutError) or getattr(cause, "errno", None) in _NETWORK:
        return UNREACHABLE
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """*error* and all that it was made from: HTTP libraries wrap what the system said."""
    waiting: list[object] = [error]
    seen: list[object] = []
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or any(cause is each for each in seen):
            continue
        seen.append(cause)
        yield cause
        waiting += [cause.__cause__, cause.__context__, *cause.args]
        waiting += [getattr(cause, name, None) for name in ("reason", "os_error")]
