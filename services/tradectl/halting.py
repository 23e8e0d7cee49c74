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

# The reason code of a connector without API keys: it has no orders to cancel.
NO_CREDENTIALS = "no_credentials"
# Retries of a command that a full Redis refused, and the seconds between them. Together they last
# longer than a connector needs to detect that Redis is full.
FULL_TRIES, FULL_RETRY_INTERVAL = 20, 0.5
CANCELS_BY_ITSELF = (
    "Redis is full and accepts no command: after 5 s the connector cancels all open orders by "
    "itself, which is not confirmed here"
)


async def halt(
    redis: Redis, words: Sequence[str], *, keep_orders: bool, seconds: float, as_json: bool
) -> ExitCode:
    """Set the halt switch, then have every connector cancel all open orders.

    Exits with the worst of the connectors' answers, or NO if there is no connector.

    Raises:
        CommandError: an option is unknown (USAGE); trading may not be halted (REDIS); or it is
            halted, and Redis failed before the cancels were sent (UNKNOWN).
    """
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
            message = f"open orders may not be cancelled: {explain(trouble)}"
            raise CommandError(ExitCode.UNKNOWN, message)
        answers = await _cancel_all(redis, names, seconds)
    if as_json:
        show.as_json({"halted": reason, "before": before, "canceled": answers})
    else:
        print_answers(answers, as_json=False)
    if any(answer["status"] != "done" and not _has_no_credentials(answer) for answer in answers):
        print_message("Some open orders may not be cancelled: check `tradectl orders`.")
    if any(_is_redis_full(answer) for answer in answers):
        print_message(
            "The connectors' logs list what they cancelled; check the exchange's own page too."
        )
    return exit_code_of(
        [each for each in answers if not _has_no_credentials(each) and not _is_redis_full(each)]
    )


async def _cancel_all(redis: Redis, names: Sequence[str], seconds: float) -> list[Answer]:
    """Send `cancel_all_orders` to each connector and return their answers.

    An almost full Redis refuses some writes and accepts others, so the connectors may not detect
    that it is full. A refused command is therefore sent again, for longer than detection takes.
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
    """The connectors on this Redis; empty if none has ever published a status."""
    names = await connectors(redis)
    return names if await any_has_status(redis, names) else []


def _halted_without_connectors(
    redis: Redis, reason: str, before: str | None, *, as_json: bool
) -> ExitCode:
    """Report that the switch is set on a Redis that no connector reads, so nothing was stopped."""
    print_message(
        f"NOTHING was halted: {no_connector_message(redis)}. The switch is set there anyway."
    )
    if as_json:
        show.as_json({"halted": reason, "before": before, "canceled": []})
    return ExitCode.NO


def halt_reason_from(words: Sequence[str]) -> str:
    """The words joined; `NO_REASON` if there are none.

    Raises:
        CommandError: a word looks like a mistyped option (USAGE). With `--keep-order` instead of
            `--keep-orders`, orders would be cancelled that should stay open.
    """
    for word in words:
        if re.fullmatch(r"--\S+", word):
            raise CommandError(ExitCode.USAGE, f"NOT halted: no such option: {word}")
    return " ".join(words).strip() or NO_REASON


async def resume(redis: Redis, by: str, *, as_json: bool) -> ExitCode:
    """Allow new orders again; *by* is recorded in Redis.

    Raises:
        CommandError: no connector was ever on this Redis (NO), or the outcome is unknown (UNKNOWN).
    """
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
    """The name of the user who runs this process."""
    try:
        return escape_invalid_bytes(getpass.getuser())
    except (OSError, KeyError):  # in a container, the user may have no name
        return "operator"


async def _set_switch(redis: Redis, reason: str) -> str | None:
    """Set the switch; return the reason it held before, None if there was none or the same.

    Deleting `control:trading` halts and needs no memory in Redis. Setting `control:halt` to the
    reason, which comes second, halts too.

    Raises:
        CommandError: neither is known to have succeeded (REDIS).
    """
    try:
        deleted, before = await _switch(redis, reason)
    except (RedisError, OSError):
        # The switch may be set. Setting it again is safe, and uses a new connection.
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
        print_message(f"Trading is halted, but the reason can't be stored: {explain(before)}")
        return None
    found = None if before is None else before.decode("utf-8", "replace")
    return None if found == reason else found


async def _switch(redis: Redis, reason: str) -> list[Any]:
    """Redis's two replies, each a value or an error."""
    async with redis.pipeline(transaction=False) as both:
        both.delete(TRADING)
        both.set(HALT, reason, get=True)
        return await both.execute(raise_on_error=False)


def _has_no_credentials(answer: Answer) -> bool:
    return bool(answer.get("reason_code") == NO_CREDENTIALS)


def _is_redis_full(answer: Answer) -> bool:
    return bool(answer.get("reason_code") == REDIS_FULL)


def _with_redis_full_message(answer: Answer) -> Answer:
    """Explain the answer: the halt holds, and connectors detect a full Redis by themselves."""
    return {**answer, "error_message": CANCELS_BY_ITSELF} if _is_redis_full(answer) else answer
