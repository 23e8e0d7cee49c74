"""What an answer of a venue means, or that there is none, and what helps: docs/troubleshooting.md.

A venue documents its own refusals. These are the others: a proxy or firewall on the way sends them,
or there is no answer.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from services._runtime.fault_explanations import (
    BANNED,
    DOWN,
    FIREWALL,
    LIMITED,
    NO_NAME,
    NO_TRUST,
    PROXY,
    RESTRICTED,
    UNREACHABLE,
    WRONG_URL,
    FaultExplanation,
)
from services._runtime.redaction import excerpt

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


def by_status(status: int) -> FaultExplanation | None:
    """What a status means that comes without an error code of the venue's own."""
    return _BY_STATUS.get(status) or (DOWN if status >= 500 else None)


def with_meaning(said: str, meaning: FaultExplanation | None) -> str:
    """What is *said*, cut short, and what it means, where that is known."""
    return excerpt(said) if meaning is None else f"{excerpt(said)}; {meaning}"


def is_page(body: bytes) -> bool:
    """True for the beginning of a web page."""
    return _PAGE.match(body) is not None


def words(body: bytes) -> str:
    """The readable part of a body: the message of JSON, the title of a page, or its beginning."""
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


def no_answer(venue: str, error: BaseException, *, url: str = "", proxied: bool = False) -> str:
    """That *venue* gave no answer, why, and what helps.

    *url* was asked for, where the error doesn't know it; *proxied*: the first hop was a proxy.
    """
    root, meaning = _root(error)
    if proxied and meaning in (NO_NAME, UNREACHABLE):
        meaning = PROXY
    words = f"{error.__class__.__name__}: {root}" if str(root) else error.__class__.__name__
    cause = None if meaning is None else _cause(root, meaning, _host(error) or _host_of(url))
    said = words if cause is None else cause + (f" ({root})" if str(root) else "")
    return with_meaning(f"no answer from {venue}: {_USER.sub('//', said)}", meaning)


def _cause(root: BaseException, meaning: FaultExplanation, host: str) -> str | None:
    """What happened to the connection, in a few words; None if the error's own text says more."""
    if meaning == NO_NAME:
        return f"can't resolve {host} (DNS)"
    if meaning == NO_TRUST:
        return f"no trusted TLS with {host}"
    if meaning != UNREACHABLE:
        return None
    if isinstance(root, ConnectionRefusedError) or _errno(root) == errno.ECONNREFUSED:
        return f"{host} refuses the connection"
    if isinstance(root, TimeoutError) or _errno(root) == errno.ETIMEDOUT:
        return f"{host} doesn't answer in time"
    return f"there is no way to {host}"


def _errno(error: BaseException) -> object:
    return getattr(error, "errno", None)


def _host(error: BaseException) -> str:
    """The host that the error names, with its port where that isn't the usual one; or empty."""
    for cause in _causes(error):
        host, port = getattr(cause, "host", None), getattr(cause, "port", None)
        if isinstance(host, str) and host:  # aiohttp's
            return host if port in (None, 80, 443) else f"{host}:{port}"
        if url := getattr(getattr(cause, "request", None), "url", None):  # requests'
            return _host_of(str(url))
    return ""


def _host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "the exchange"


def _root(error: BaseException) -> tuple[BaseException, FaultExplanation | None]:
    """The most specific cause of *error*, and its explanation."""
    found = {meaning: cause for cause in _causes(error) if (meaning := _meaning(cause))}
    for meaning in (PROXY, NO_TRUST, NO_NAME, UNREACHABLE):
        if meaning in found:
            return found[meaning], meaning
    return error, None


def _meaning(cause: BaseException) -> FaultExplanation | None:
    """What one cause means by itself."""
    if "Proxy" in cause.__class__.__name__:  # each library has its own
        return PROXY
    if isinstance(cause, ssl.SSLError):
        return NO_TRUST
    if isinstance(cause, socket.gaierror):
        return NO_NAME
    if isinstance(cause, TimeoutError) or _errno(cause) in _NETWORK:
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
