"""Whose money: a Redis belongs to one world only. See docs/adr/0017."""

from typing import Literal

import aiohttp
import msgspec

from services._connector_kit.errors import TransientError
from services._connector_kit.venue_answers import no_answer
from services._runtime.urls import LOOPBACK, host_of, origin_of

World = Literal["live", "testnet", "simulator"]

ASK_TIMEOUT = 3.0
HELLO = "/simulator/hello"
MOST_BYTES = 1024


class Hello(msgspec.Struct):
    """What the exchange simulator says of itself."""

    service: str


async def world_of(rest_url: str, testnets: frozenset[str] = frozenset()) -> World:
    """Whose money a REST URL leads to.

    A simulator is what says so of itself: a URL of this machine may lead to a proxy before a live
    venue. It is asked without a key, past any proxy, and no redirect is followed.

    Raises:
        TransientError: it can't be asked now.
    """
    host = host_of(rest_url)
    if host in LOOPBACK:
        return "simulator" if await _is_simulator(origin_of(rest_url)) else "live"
    return "testnet" if host in testnets else "live"


async def _is_simulator(origin: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(f"{origin}{HELLO}", allow_redirects=False) as response,
        ):
            if response.status != 200:
                return False
            hello = await response.content.read(MOST_BYTES)
    except (aiohttp.ClientError, OSError) as e:  # a TimeoutError is an OSError
        said = no_answer("what may be the simulator", e, url=origin)
        raise TransientError(said) from e
    try:
        return msgspec.json.decode(hello, type=Hello).service == "exchange_simulator"
    except (ValueError, RecursionError):
        return False
