"""Parses the URLs of exchanges in one place, so that all code agrees on the host of a URL."""

import ipaddress
import re
from collections.abc import Collection

# Hosts to which a key may be sent unencrypted: this machine, and the simulator in compose.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "exchange_simulator"})
SECURE = frozenset({"https", "wss"})
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://"
    r"(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/*",
    re.ASCII | re.IGNORECASE,
)

# The form of HTTPS_PROXY. It may contain a user and a password, so messages never show it.
_PROXY_URL = re.compile(
    r"http://(?:[^\s/?#@]+@)?(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)


def venue_url(url: str, schemes: Collection[str] = ("https", "http", "wss", "ws")) -> str:
    """*url* in canonical form: lower case scheme and host, without a trailing slash.

    Only URLs that every parser reads in the same way are accepted: no user, query, fragment,
    percent sign, backslash, blank, control character or `..` in the path.

    Raises:
        ValueError: *url* has another form, or would send a key unencrypted over a network.
    """
    secure = " or ".join(f"{scheme}://host" for scheme in schemes if scheme in SECURE)
    found = _URL.fullmatch(url.strip(" "))
    if found is None:
        raise ValueError(f"invalid URL; expected {secure}, optionally with a port and a path")
    scheme, name = found["scheme"].lower(), found["host"].lower()
    if scheme not in schemes:
        raise ValueError(f"invalid scheme {scheme!r}; expected {secure}")
    host = name.strip("[]")
    if name != host:
        host = _ipv6(host)
        name = f"[{host}]"
    if scheme not in SECURE and host not in LOOPBACK:
        raise ValueError(f"would send a key unencrypted; expected {secure}")
    port = "" if found["port"] is None else f":{_port(found['port'])}"
    return f"{scheme}://{name}{port}{found['path']}"


def host_of(url: str) -> str:
    """The host of a URL from `venue_url`."""
    found = _URL.fullmatch(url)
    return found["host"].strip("[]") if found else ""


def origin_of(url: str) -> str:
    """A URL from `venue_url` without its path."""
    return "/".join(url.split("/", 3)[:3])


def proxy_url(url: str) -> str:
    """*url* unchanged, if it is empty or the URL of an HTTP proxy.

    Raises:
        ValueError: *url* has another form; the message omits it, because it may hold a password.
    """
    if url and ((found := _PROXY_URL.fullmatch(url)) is None):
        raise ValueError(
            "invalid proxy URL; expected http://host:port or http://user:password@host:port, "
            "with special characters as %XX"
        )
    if url and found and found["port"]:
        _port(found["port"])
    return url


def proxy_for(url: str, proxy: str, no_proxy: str) -> str | None:
    """The proxy for a URL from `venue_url`; None: connect directly.

    *no_proxy* lists hosts and domains, separated by commas, that are reached directly. Unencrypted
    connections, and those to this machine, never use a proxy.
    """
    found = _URL.fullmatch(url)
    if not proxy or found is None or found["scheme"] not in SECURE:
        return None
    host = found["host"].strip("[]")
    names = [name.strip().lower().removeprefix("*.").strip(".") for name in no_proxy.split(",")]
    bypassed = any(name == "*" or f".{host}".endswith(f".{name}") for name in names if name)
    return None if host in LOOPBACK or bypassed else proxy


def hidden(text: str) -> str:
    """*text* without a possible user and password, for a message."""
    return "[hidden]@" + text.rpartition("@")[2] if "@" in text else text


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError("invalid IPv6 address in brackets") from None


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError("invalid port; expected 1 to 65535")
    return port
