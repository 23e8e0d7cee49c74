"""`tradectl halt` and `resume`: the switch that stops all new orders."""

import getpass
from typing import Any, cast

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

from common_models import CancelAllOrdersCommand
from common_models.stream_names import HALT, TRADING
from services._runtime.halt import halt_reason, permission
from services._runtime.redis_client import explain
from services.tradectl import show
from services.tradectl.ending import Ending, StopError, tell
from services.tradectl.reading import connectors
from services.tradectl.requests import REDIS_FULL, Answer, all_at_once, ending_of, tell_answers

# A connector without a key has no orders to cancel.
NOTHING_OPEN = "no_credentials"


async def halted(redis: Redis) -> str | None:
    """Why trading is halted; None where it isn't."""
    found = cast(
        "tuple[bytes | None, bytes | None]", (await redis.get(TRADING), await redis.get(HALT))
    )
    return halt_reason(*found)


async def halt(
    redis: Redis, reason: str, *, keep_orders: bool, seconds: float, as_json: bool
) -> Ending:
    """Set the switch, then have every connector cancel all open orders."""
    if not reason.strip():
        raise StopError(Ending.USAGE, "REASON is empty; want a few words for those who find it")
    before = await _set(redis, reason)
    tell("Halted: no connector sends new orders." + (f" It was: {before}" if before else ""))
    answers: list[Answer] = []
    if not keep_orders:
        contents: dict[str, BaseModel] = {
            name: CancelAllOrdersCommand() for name in await connectors(redis)
        }
        answers = await all_at_once(redis, contents, seconds)
    if as_json:
        show.as_json({"halted": reason, "before": before, "canceled": answers})
    else:
        tell_answers(answers, as_json=False)
    if any(answer["status"] != "done" and not _had_none(answer) for answer in answers):
        tell("Not all open orders are known to be cancelled: look at `tradectl orders`.")
    if any(answer.get("reason_code") == REDIS_FULL for answer in answers):
        tell(
            "Redis is full and takes no command: a connector that finds it full for 5 s cancels "
            "all that is open by itself. Its log says so; look at the exchange's own page too."
        )
    return ending_of([answer for answer in answers if not _had_none(answer)])


async def resume(redis: Redis, by: str, *, as_json: bool) -> Ending:
    """Let orders go again, in the name of *by*."""
    before = await halted(redis)
    async with redis.pipeline(transaction=True) as both:
        both.set(TRADING, permission(by))
        both.delete(HALT)
        await both.execute()
    if as_json:
        show.as_json({"halted": None, "before": before, "by": by})
    else:
        show.line("Trading was not halted." if before is None else f"Resumed. It was: {before}")
    return Ending.DONE


def whoever_runs_this() -> str:
    """The name of the user at this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have none
        return "operator"


async def _set(redis: Redis, reason: str) -> str | None:
    """Set the switch before anything else is done; the reason that it had before.

    Deleting `control:trading` halts, and needs no memory. The reason comes after it.
    """
    async with redis.pipeline(transaction=False) as both:
        both.delete(TRADING)
        both.set(HALT, reason, get=True)
        try:
            found: list[Any] = await both.execute(raise_on_error=False)
        except (RedisError, OSError) as e:
            raise StopError(Ending.REDIS, f"NOT halted, as far as is known: {explain(e)}") from None
    deleted, before = found
    if isinstance(deleted, Exception):
        hint = "; halt at its primary" if isinstance(deleted, ReadOnlyError) else ""
        raise StopError(Ending.REDIS, f"NOT halted, as far as is known: {explain(deleted)}{hint}")
    if isinstance(before, Exception):
        tell(f"The reason can't be kept, trading is halted all the same: {explain(before)}")
        return None
    return None if before is None else before.decode("utf-8", "replace")


def _had_none(answer: Answer) -> bool:
    return bool(answer.get("reason_code") == NOTHING_OPEN)
