"""URLs of exchanges: read once, by one set of rules, so that all who use one agree on its host."""

import ipaddress
import re
from collections.abc import Collection

# Hosts that a key may be sent to in the clear: this machine, and the simulator's name in compose.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "exchange_simulator"})
SECURE = frozenset({"https", "wss"})
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://"
    r"(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/*",
    re.ASCII | re.IGNORECASE,
)

# What HTTPS_PROXY may be: its user and password are nobody's to see.
_PROXY_URL = re.compile(
    r"http://(?:[^\s/?#@]+@)?(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)


def venue_url(url: str, schemes: Collection[str] = ("https", "http", "wss", "ws")) -> str:
    """*url* in its one form: lower case, without a trailing slash.

    Only what every parser reads in the same way is taken: no user, query, fragment, percent sign,
    backslash, blank, control character or path that goes upwards.

    Raises:
        ValueError: it is none, or would carry a key over a network in the clear.
    """
    secure = " or ".join(f"{scheme}://host" for scheme in schemes if scheme in SECURE)
    found = _URL.fullmatch(url.strip(" "))
    if found is None:
        raise ValueError(f"is no plain URL; want {secure}, perhaps with a port and a path")
    scheme, name = found["scheme"].lower(), found["host"].lower()
    if scheme not in schemes:
        raise ValueError(f"has the scheme {scheme!r}; want {secure}")
    host = name.strip("[]")
    if name != host:
        host = _ipv6(host)
        name = f"[{host}]"
    if scheme not in SECURE and host not in LOOPBACK:
        raise ValueError(f"would send a key in the clear; want {secure}")
    port = "" if found["port"] is None else f":{_port(found['port'])}"
    return f"{scheme}://{name}{port}{found['path']}"


def host_of(url: str) -> str:
    """The host of what `venue_url` returned."""
    found = _URL.fullmatch(url)
    return found["host"].strip("[]") if found else ""


def origin_of(url: str) -> str:
    """What `venue_url` returned, without its path."""
    return "/".join(url.split("/", 3)[:3])


def proxy_url(url: str) -> str:
    """*url*, which names a proxy, or nothing.

    Raises:
        ValueError: it is none; the message doesn't repeat it, since it may hold a password.
    """
    if url and ((found := _PROXY_URL.fullmatch(url)) is None):
        raise ValueError(
            "is no proxy's URL; want http://host:port, perhaps http://user:password@host:port "
            "with special characters as %XX"
        )
    if url and found and found["port"]:
        _port(found["port"])
    return url


def proxy_for(url: str, proxy: str, no_proxy: str) -> str | None:
    """The proxy by which what `venue_url` returned is reached; None where by none.

    *no_proxy* lists hosts and domains that are reached without it. Nothing in the clear goes
    through a proxy, nor what is for this machine.
    """
    found = _URL.fullmatch(url)
    if not proxy or found is None or found["scheme"] not in SECURE:
        return None
    host = found["host"].strip("[]")
    names = [name.strip().lower().removeprefix("*.").strip(".") for name in no_proxy.split(",")]
    bypassed = any(name == "*" or f".{host}".endswith(f".{name}") for name in names if name)
    return None if host in LOOPBACK or bypassed else proxy


def hidden(text: str) -> str:
    """*text* without what may be a user and a password, for a message."""
    return "[hidden]@" + text.rpartition("@")[2] if "@" in text else text


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError("has no IPv6 address between its brackets") from None


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError("has a port that is none; want 1 to 65535")
    return port
