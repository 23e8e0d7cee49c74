"""Shell completion of exchanges and symbols: those of the connectors on this Redis."""

import asyncio

import typer
from redis.exceptions import RedisError

from services._runtime.redis_client import open_redis
from services.tradectl.exit_codes import CommandError
from services.tradectl.status import latest_statuses
from services.tradectl.target import redis_url

# In seconds: the user waits at a prompt meanwhile.
TIMEOUT = 1.0
SIDES = ("buy", "sell")


def exchanges(incomplete: str) -> list[str]:
    """The exchanges whose connectors published a status here; empty if Redis does not answer."""
    return [name for name in _markets() if name.startswith(incomplete)]


def symbols(context: typer.Context, incomplete: str) -> list[str]:
    """The symbols of the exchange named earlier on the line, or of all exchanges."""
    exchange, start = context.params.get("exchange"), incomplete.upper()
    found = {
        symbol
        for name, listed in _markets().items()
        if exchange in (None, name)
        for symbol in listed
    }
    # Keep the case that the user typed: a shell offers only words with that exact prefix.
    return [
        incomplete + symbol[len(incomplete) :]
        for symbol in sorted(found)
        if symbol.startswith(start)
    ]


def sides(incomplete: str) -> list[str]:
    """Buy or sell."""
    return [side for side in SIDES if side.startswith(incomplete)]


def _markets() -> dict[str, list[str]]:
    """The symbols by exchange, from each connector's latest status."""
    try:
        return asyncio.run(_read_markets(redis_url()))
    except (CommandError, RedisError, OSError):  # a TimeoutError is an OSError
        return {}


async def _read_markets(url: str) -> dict[str, list[str]]:
    async with asyncio.timeout(TIMEOUT), open_redis(url, "tradectl") as redis:
        return {
            each.event.exchange: [symbol.symbol for symbol in each.event.symbols]
            for each in await latest_statuses(redis)
            if each.event
        }
