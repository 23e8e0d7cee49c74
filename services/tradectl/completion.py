"""What the shell offers for exchanges and symbols: those of the connectors on this Redis."""

import asyncio

import typer
from redis.exceptions import RedisError

from services._runtime.redis_client import open_redis
from services.tradectl.exit_codes import CommandError
from services.tradectl.status import latest_statuses
from services.tradectl.target import redis_url

# Who waits for a completion waits at a prompt.
TIMEOUT = 1.0
SIDES = ("buy", "sell")


def exchanges(incomplete: str) -> list[str]:
    """The exchanges whose connectors ever said something here; none where Redis doesn't answer."""
    return [name for name in _markets() if name.startswith(incomplete)]


def symbols(context: typer.Context, incomplete: str) -> list[str]:
    """The symbols of the exchange that was named before, or of all."""
    exchange, start = context.params.get("exchange"), incomplete.upper()
    found = {
        symbol
        for name, listed in _markets().items()
        if exchange in (None, name)
        for symbol in listed
    }
    # In the spelling that was begun: a shell offers only what begins with what stands there.
    return [
        incomplete + symbol[len(incomplete) :]
        for symbol in sorted(found)
        if symbol.startswith(start)
    ]


def sides(incomplete: str) -> list[str]:
    """Buy or sell."""
    return [side for side in SIDES if side.startswith(incomplete)]


def _markets() -> dict[str, list[str]]:
    """The symbols of each exchange, as its connector said last."""
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
