"""`tradectl halt` and `resume`: the switch that stops all new orders."""

from typing import cast

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models import CancelAllOrdersCommand
from common_models.stream_names import HALT
from services._runtime.redis_client import explain
from services.tradectl import show
from services.tradectl.ending import Ending, StopError, tell
from services.tradectl.reading import connectors
from services.tradectl.requests import Answer, all_at_once, ending_of, tell_answers

# A connector without a key has no orders to cancel.
NOTHING_OPEN = "no_credentials"


async def halted(redis: Redis) -> str | None:
    """Why trading is halted; None where it isn't."""
    found = cast("bytes | None", await redis.get(HALT))
    return None if found is None else found.decode("utf-8", "replace") or "no reason given"


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
    return ending_of([answer for answer in answers if not _had_none(answer)])


async def resume(redis: Redis, *, as_json: bool) -> Ending:
    """Take the switch away."""
    before = await halted(redis)
    await redis.delete(HALT)
    if as_json:
        show.as_json({"halted": None, "before": before})
    else:
        show.line("Trading was not halted." if before is None else f"Resumed. It was: {before}")
    return Ending.DONE


async def _set(redis: Redis, reason: str) -> str | None:
    """Set the switch before anything else is done; what it said before."""
    try:
        before = cast("bytes | None", await redis.set(HALT, reason, get=True))
    except (RedisError, OSError) as e:
        raise StopError(Ending.REDIS, f"NOT halted, as far as is known: {explain(e)}") from None
    return None if before is None else before.decode("utf-8", "replace")


def _had_none(answer: Answer) -> bool:
    return bool(answer.get("reason_code") == NOTHING_OPEN)
