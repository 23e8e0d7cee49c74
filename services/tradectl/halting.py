"""`tradectl halt` and `resume`: the switch that stops all new orders."""

import asyncio
import getpass
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from common_models import CancelAllOrdersCommand
from common_models.stream_names import HALT, TRADING
from services._runtime.halt import NO_REASON, read_halt_reason, trading_permission
from services._runtime.redis_client import explain
from services._runtime.text_sanitizing import escape_invalid_bytes
from services.tradectl import show
from services.tradectl.exit_codes import CommandError, ExitCode, print_message
from services.tradectl.reading import connectors
from services.tradectl.requests import REDIS_FULL, Answer, exit_code_of, print_answers, request_all
from services.tradectl.sending import any_has_status
from services.tradectl.target import no_connector_message

# A connector without a key has no orders to cancel.
NO_CREDENTIALS = "no_credentials"
# How often a command is sent to a full Redis, and how many seconds apart: together longer than a
# connector takes to find Redis full.
FULL_TRIES, FULL_RETRY_INTERVAL = 20, 0.5
CANCELS_BY_ITSELF = (
    "Redis is full and takes no command: once it has been full for 5 s the connector cancels all "
    "that is open by itself, which isn't confirmed here"
)


async def halt(
    redis: Redis, words: Sequence[str], *, keep_orders: bool, seconds: float, as_json: bool
) -> ExitCode:
    """Set the switch, then have every connector cancel all open orders."""
    reason = halt_reason_from(words)
    before = await _set_switch(redis, reason)
    names: list[str] = []
    trouble: Exception | None = None
    try:
        names = await _active_connectors(redis)
    except (RedisError, OSError) as e:
        trouble = e
    if not names and trouble is None:
        return _halted_without_connectors(redis, reason, before, as_json=as_json)
    print_message(
        "Halted: no connector sends new orders." + (f" It was: {before}" if before else "")
    )
    answers: list[Answer] = []
    if not keep_orders:
        if trouble is not None:
            message = f"what is open may not be cancelled: {explain(trouble)}"
            raise CommandError(ExitCode.UNKNOWN, message)
        answers = await _cancel_all(redis, names, seconds)
    if as_json:
        show.as_json({"halted": reason, "before": before, "canceled": answers})
    else:
        print_answers(answers, as_json=False)
    if any(answer["status"] != "done" and not _has_no_credentials(answer) for answer in answers):
        print_message("Not all open orders are known to be cancelled: look at `tradectl orders`.")
    if any(_is_redis_full(answer) for answer in answers):
        print_message(
            "The connectors' logs say what they cancelled; look at the exchange's own page too."
        )
    return exit_code_of(
        [each for each in answers if not _has_no_credentials(each) and not _is_redis_full(each)]
    )


async def _cancel_all(redis: Redis, names: Sequence[str], seconds: float) -> list[Answer]:
    """Have connectors cancel what is open, each by a command of its own.

    A Redis that is almost full refuses some writes and takes others, so the connectors may not find
    it full: a command that it refused is sent again, for longer than they would take.
    """
    answers: dict[str, Answer] = {}
    asked: Sequence[str] = names
    tries = FULL_TRIES
    while asked:
        contents: dict[str, BaseModel] = {name: CancelAllOrdersCommand() for name in asked}
        found = await request_all(redis, contents, seconds)
        answers |= {str(answer["connector"]): answer for answer in found}
        tries -= 1
        asked = [name for name in asked if _is_redis_full(answers[name])] if tries else []
        if asked:
            await asyncio.sleep(FULL_RETRY_INTERVAL)
    return [_with_redis_full_message(answers[name]) for name in names]


async def _active_connectors(redis: Redis) -> list[str]:
    """The connectors of this Redis; none where none ever said anything."""
    names = await connectors(redis)
    return names if await any_has_status(redis, names) else []


def _halted_without_connectors(
    redis: Redis, reason: str, before: str | None, *, as_json: bool
) -> ExitCode:
    """The switch is set where no connector reads it: nothing was stopped."""
    print_message(
        f"NOTHING was halted: {no_connector_message(redis)}. The switch is set there all the same."
    )
    if as_json:
        show.as_json({"halted": reason, "before": before, "canceled": []})
    return ExitCode.NO


def halt_reason_from(words: Sequence[str]) -> str:
    """Any words will do, or none, but for what looks like a mistyped option.

    Raises:
        StopError: it does; `--keep-order` must not cancel what somebody wanted to keep.
    """
    for word in words:
        if re.fullmatch(r"--\S+", word):
            raise CommandError(ExitCode.USAGE, f"NOT halted: no such option: {word}")
    return " ".join(words).strip() or NO_REASON


async def resume(redis: Redis, by: str, *, as_json: bool) -> ExitCode:
    """Let orders go again, in the name of *by*."""
    if not await _active_connectors(redis):
        raise CommandError(ExitCode.NO, f"nothing was resumed: {no_connector_message(redis)}")
    before = await read_halt_reason(redis)
    async with redis.pipeline(transaction=True) as both:
        both.set(TRADING, trading_permission(by))
        both.delete(HALT)
        try:
            await both.execute()
        except ResponseError:
            raise
        except (RedisError, OSError) as e:
            raise CommandError(
                ExitCode.UNKNOWN, f"{explain(e)}. It may have been resumed"
            ) from None
    if as_json:
        show.as_json({"halted": None, "before": before, "by": by})
    else:
        show.line("Trading was not halted." if before is None else f"Resumed. It was: {before}")
    return ExitCode.DONE


def current_user() -> str:
    """The name of the user at this machine."""
    try:
        return escape_invalid_bytes(getpass.getuser())
    except (OSError, KeyError):  # a container's user may have none
        return "operator"


async def _set_switch(redis: Redis, reason: str) -> str | None:
    """Set the switch before anything else is done; the reason that it had before.

    Deleting `control:trading` halts, and needs no memory. The reason, which comes after it, halts
    too.
    """
    try:
        deleted, before = await _switch(redis, reason)
    except (RedisError, OSError):
        # It may have been done. Once more does no harm: the connection is a new one.
        try:
            deleted, before = await _switch(redis, reason)
        except (RedisError, OSError) as e:
            raise CommandError(
                ExitCode.REDIS, f"NOT halted, as far as is known: {explain(e)}"
            ) from None
    if isinstance(deleted, Exception) and isinstance(before, Exception):
        hint = "; halt at its primary" if isinstance(deleted, ReadOnlyError) else ""
        raise CommandError(
            ExitCode.REDIS, f"NOT halted, as far as is known: {explain(deleted)}{hint}"
        )
    if isinstance(before, Exception):
        print_message(
            f"The reason can't be kept, trading is halted all the same: {explain(before)}"
        )
        return None
    found = None if before is None else before.decode("utf-8", "replace")
    return None if found == reason else found


async def _switch(redis: Redis, reason: str) -> list[Any]:
    """Redis's answers to both: each what it is, or an error."""
    async with redis.pipeline(transaction=False) as both:
        both.delete(TRADING)
        both.set(HALT, reason, get=True)
        return await both.execute(raise_on_error=False)


def _has_no_credentials(answer: Answer) -> bool:
    return bool(answer.get("reason_code") == NO_CREDENTIALS)


def _is_redis_full(answer: Answer) -> bool:
    return bool(answer.get("reason_code") == REDIS_FULL)


def _with_redis_full_message(answer: Answer) -> Answer:
    """A full Redis takes no command, and needs none: the halt holds, and connectors notice it."""
    return {**answer, "error_message": CANCELS_BY_ITSELF} if _is_redis_full(answer) else answer
