"""URLs of exchanges: one form, which every parser reads in the same way, or none."""

from itertools import product
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from picows.url import parse_url
from yarl import URL

from services._runtime.urls import (
    LOOPBACK,
    SECURE,
    hidden,
    host_of,
    origin_of,
    proxy_for,
    proxy_url,
    venue_url,
)
from tests.support.attempts import Attempts


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("https://api.binance.com/api", "https://api.binance.com/api"),
        (" https://api.binance.com/api// ", "https://api.binance.com/api"),
        ("HTTPS://API.Binance.com:443/Api", "https://api.binance.com:443/Api"),
        ("wss://ws-api.binance.com/ws-api/v3", "wss://ws-api.binance.com/ws-api/v3"),
        ("https://localhost", "https://localhost"),
        ("http://LOCALHOST:08900/", "http://localhost:8900"),
        ("ws://[0:0:0:0:0:0:0:1]:8900", "ws://[::1]:8900"),
        ("http://exchange_simulator:8900/api", "http://exchange_simulator:8900/api"),
        ("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x"),
    ],
)
def test_a_url_has_one_form(given_url: str, url: str) -> None:
    """In lower case, without a slash at its end."""
    assert venue_url(given_url) == url
    assert venue_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "https://",
        "https:///api",
        "https:/example.com",
        "ftp://example.com",
        "//example.com",
        "https://user@example.com",
        "https://user:secret@example.com",
        "https://127.0.0.1@example.com",
        "https://127.0.0.1:1@example.com",
        "http://127.0.0.1\\@example.com",
        "https:\\\\example.com",
        "https://example.com\\.127.0.0.1",
        "https://example.com/a\\b",
        "https://example.com/a b",
        "https://exam\tple.com",
        "https://example.com\n",
        "https://exam\nple.com",
        "https://example.com\x00",
        "https://example.com/\x7f",
        "https://example.com?a=b",
        "https://example.com/api?x",
        "https://example.com#a",
        "https://example.com/%2e%2e",
        "https://example%2ecom",
        "https://example.com/../x",
        "https://example.com/./x",
        "https://example.com/a//b",
        "https://example.com/a;b",
        "https://example.com.",
        "https://.example.com",
        "https://ex\u00e4mple.com",
        "https://\u212aelvin.com",
        "https://example\u3002com",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:-1",
        "https://example.com:\u0661",
        "https://[::1",
        "https://[::1%25lo]",
        "https://[127.0.0.1]",
        "https://::1",
    ],
)
def test_what_parsers_may_read_in_different_ways_is_refused(url: str) -> None:
    """No word of the message is a piece of it that may be a password."""
    with pytest.raises(ValueError, match=r"; expected https://host|brackets|65535") as caught:
        venue_url(url)
    assert "secret" not in str(caught.value)


ELSEWHERE = (
    *("example.com", "127.0.0.1.example.com", "localhost.example.com", "redis", "10.0.0.1"),
    *("127.0.0.2", "127.1", "0.0.0.0", "[::2]", "2130706433", "0x7f.0.0.1"),
)


def test_nothing_goes_over_a_network_in_the_clear(attempt: Attempts) -> None:
    """Only to this machine, by its usual names, and the simulator in compose."""
    for scheme, host in product(("http", "ws"), ELSEWHERE):
        with pytest.raises(ValueError, match="unencrypted; expected https://host or wss://host"):
            venue_url(f"{scheme}://{host}:8900/api")
        attempt("setting", "send a key in the clear", succeeded=False)
        assert venue_url(f"{scheme}s://{host}:8900/api")


def test_only_the_schemes_asked_for_are_taken() -> None:
    """A socket's URL is no REST URL."""
    with pytest.raises(ValueError, match=r"invalid scheme 'wss'; expected https://host$"):
        venue_url("wss://example.com", ("https", "http"))


PARTS = st.text(alphabet="aZ09.-_:/\\@?#%[] \t\n\u017f", max_size=12)


@given(
    st.builds(
        "{}://{}{}".format,
        st.sampled_from(["https", "wss", "http", "ws"]),
        st.sampled_from(["", "api.luno.com", "127.0.0.1", "[::1]", "localhost"]),
        PARTS,
    )
)
def test_all_parsers_agree_on_the_host_of_a_url_that_is_taken(text: str) -> None:
    """The one that judges the world, and those of each client."""
    try:
        url = venue_url(text)
    except ValueError:
        return
    host = host_of(url)
    assert host == urlsplit(url).hostname == URL(url).host
    assert url.startswith(origin_of(url))
    assert str(URL(url).origin()).rstrip("/") == str(URL(origin_of(url))).rstrip("/")
    assert url.split(":")[0] in SECURE or host in LOOPBACK
    if url.startswith("http"):
        prepared = requests.Request("GET", url).prepare().url
        assert prepared is not None
        assert urlsplit(prepared).hostname == host
    else:
        assert parse_url(url).host == host


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:p@ss@host/x", "[hidden]@host/x"),
        ("https:\\\\user:pass@host", "[hidden]@host"),
        ("https://host", "https://host"),
    ],
)
def test_a_message_shows_no_password_of_a_url(text: str, shown: str) -> None:
    """Nothing of what comes before the last @."""
    assert hidden(text) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://proxy",
        "http://proxy.example.com:3128",
        "http://10.0.0.1:3128/",
        "http://ann:p%40ss@[fd00::1]:3128",
    ],
)
def test_a_proxy_is_named_by_an_http_url(url: str) -> None:
    """Or by nothing."""
    assert proxy_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "https://proxy:3128",
        "socks5://proxy:1080",
        "http://",
        "http://ann:s3cret@",
        "http://ann:s3/cret@proxy:3128",
        "http://ann:s3cret@proxy:99999",
        "http://ann:s3cret@proxy:3128/path",
        "http://ann:s3cret@proxy:3128?x",
        "http://pro xy:3128",
        "http://ann:s3cret@proxy:3128\n",
    ],
)
def test_anything_else_is_refused_without_a_word_of_it(url: str) -> None:
    """A part of it may be a password."""
    with pytest.raises(ValueError, match="port") as caught:
        proxy_url(url)
    assert "s3" not in str(caught.value)


PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        ("https://api.binance.com/api", "", True),
        ("wss://stream.binance.com:9443", "", True),
        ("https://api.binance.com/api", "binance.com", False),
        ("https://api.binance.com/api", ".binance.com", False),
        ("https://api.binance.com/api", "*.binance.com", False),
        ("https://api.binance.com/api", "luno.com, API.Binance.COM", False),
        ("https://api.binance.com/api", "*", False),
        ("https://api.binance.com/api", "nance.com,binance.co,,", True),
        ("https://127.0.0.1:8900/api", "", False),
        ("http://127.0.0.1:8900/api", "", False),
        ("ws://exchange_simulator:8900", "", False),
    ],
)
def test_what_goes_through_a_proxy(url: str, no_proxy: str, *, proxied: bool) -> None:
    """Only what is in TLS, and neither for this machine nor excepted."""
    assert proxy_for(url, PROXY, no_proxy) == (PROXY if proxied else None)
    assert proxy_for(url, "", no_proxy) is None
