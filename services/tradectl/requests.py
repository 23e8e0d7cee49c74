"""Commands that are answered on `command_response`: cancels and balance requests."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from common_models import (
    CancelAllOrdersCommand,
    CancelOrderCommand,
    ConnectorStatusEvent,
    RequestBalanceCommand,
)
from common_models.stream_names import CommandStream, EventStream
from services._runtime.redis_client import explain
from services.tradectl import show
from services.tradectl.exit_codes import CommandError, ExitCode, print_message
from services.tradectl.reading import COMMANDS, StreamEntry, entries_with_field
from services.tradectl.sending import (
    GONE_AFTER,
    ReplyReader,
    any_has_status,
    connector_of,
    selected_connectors,
    send,
    status_age,
)
from services.tradectl.target import no_connector_message

Answer = dict[str, Any]
# The reason code of a command that Redis refused because it is full.
REDIS_FULL = "redis_full"

ANSWERS, STATUS = "command_response", "connector_status"
_EXIT_CODES = {"done": ExitCode.DONE, "rejected": ExitCode.NO, "no_answer": ExitCode.NO_ANSWER}


def exit_code_of(answers: Sequence[Answer]) -> ExitCode:
    """The exit code for these answers: that of the worst one."""
    found = {_EXIT_CODES.get(str(answer["status"]), ExitCode.UNKNOWN) for answer in answers}
    worst_first = (ExitCode.UNKNOWN, ExitCode.NO_ANSWER, ExitCode.NO)
    return next((exit_code for exit_code in worst_first if exit_code in found), ExitCode.DONE)


def command_of(content: BaseModel) -> str:
    """The name of the command, as in its stream's name."""
    return next(name for name, model in COMMANDS.items() if type(content) is model)


async def request(redis: Redis, name: str, content: BaseModel, seconds: float) -> Answer:
    """Send one command; return its answer. `status` is "no_answer" after *seconds* without one."""
    command = command_of(content)
    request_id = str(content.model_dump()["client_request_id"])
    replies = await ReplyReader.open(redis, name, [ANSWERS, STATUS], seconds)
    age = await status_age(redis, name)
    if age is None or age > GONE_AFTER:
        print_message(f"{name} is not running; it will execute the command when it is back")
    await send(redis, name, command, content, "the same command may be given again")
    async for entry in replies.events():
        if entry.fields.get("client_request_id") == request_id:
            return {"connector": name, **entry.fields}
        if command == "cancel_all_orders" and (progress := _progress(entry)):
            print_message(f"{name}: {progress}")
            replies.extend(seconds)
    return {
        "connector": name,
        "client_request_id": request_id,
        "command": command,
        "status": "no_answer",
        "error_message": f"no answer within {seconds:g} s",
    }


def _progress(entry: StreamEntry) -> str | None:
    """The progress of `cancel_all_orders` in a connector's status; None if it has none."""
    try:
        found = ConnectorStatusEvent.model_validate_json(entry.data).cancel_all
    except ValidationError:
        return None
    if found is None:
        return None
    return f"{found.done} of {found.done + found.left} done, about {found.seconds_left:.0f} s left"


async def request_all(redis: Redis, contents: dict[str, BaseModel], seconds: float) -> list[Answer]:
    """Send one command to each connector at the same time; return all answers."""
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(_answer_or_error(redis, name, content, seconds))
            for name, content in contents.items()
        ]
    return [task.result() for task in running]


async def _answer_or_error(redis: Redis, name: str, content: BaseModel, seconds: float) -> Answer:
    """The answer of one connector; an error becomes an answer, so the others are still asked."""
    try:
        return await request(redis, name, content, seconds)
    except (CommandError, RedisError, OSError) as e:
        message = str(e) if isinstance(e, CommandError) else explain(e)
        answer = {
            "connector": name,
            "command": command_of(content),
            "status": "unknown",
            "error_message": message,
        }
        return {**answer, "reason_code": REDIS_FULL} if isinstance(e, OutOfMemoryError) else answer


def print_answers(answers: Sequence[Answer], *, as_json: bool) -> None:
    """Print the answers: a line each, or JSON."""
    if as_json:
        show.as_json(answers)
        return
    for answer in answers:
        why = [str(answer[key]) for key in ("reason_code", "error_message") if answer.get(key)]
        progress = f"{answer['connector']}: {answer['command']} {answer['status']}"
        show.line(": ".join([progress, *why]))


async def cancel(
    redis: Redis,
    order: str,
    exchange: str | None,
    symbol: str | None,
    *,
    by_order_id: bool,
    seconds: float,
    as_json: bool,
) -> ExitCode:
    """Cancel one order; its connector and symbol are looked up unless both are given.

    Raises:
        CommandError: the order is unknown (NO), or ambiguous (USAGE); nothing was sent.
    """
    field = "order_id" if by_order_id else "client_order_id"
    if exchange is None or symbol is None:
        name, symbol = await _find_order(redis, field, order, exchange, symbol)
    else:
        name = connector_of(exchange)
    if not await any_has_status(redis, [name]):
        raise CommandError(ExitCode.NO, f"not sent: {no_connector_message(redis)}")
    content = CancelOrderCommand.model_validate({"symbol": symbol, field: order})
    answers = [await request(redis, name, content, seconds)]
    print_answers(answers, as_json=as_json)
    return exit_code_of(answers)


async def cancel_all(
    redis: Redis, exchange: str | None, symbol: str | None, *, seconds: float, as_json: bool
) -> ExitCode:
    """Cancel all open orders of one exchange or all, of one symbol or all.

    Raises:
        CommandError: no connector was ever on this Redis (NO).
    """
    names = await selected_connectors(redis, exchange)
    if not await any_has_status(redis, names):
        raise CommandError(ExitCode.NO, f"nothing was cancelled: {no_connector_message(redis)}")
    contents: dict[str, BaseModel] = {name: CancelAllOrdersCommand(symbol=symbol) for name in names}
    answers = await request_all(redis, contents, seconds)
    print_answers(answers, as_json=as_json)
    return exit_code_of(answers)


async def refresh_balances(
    redis: Redis, exchange: str | None, assets: list[str], seconds: float
) -> ExitCode:
    """Have connectors publish the balances again; print failures on stderr."""
    names = await selected_connectors(redis, exchange)
    contents: dict[str, BaseModel] = {
        name: RequestBalanceCommand(exchange=name.removesuffix("_connector"), assets=assets or None)
        for name in names
    }
    answers = await request_all(redis, contents, seconds)
    for answer in answers:
        if answer["status"] != "done":
            why = answer.get("error_message") or answer.get("reason_code") or ""
            print_message(f"{answer['connector']}: {answer['status']}: {why}")
    return exit_code_of(answers)


async def _find_order(
    redis: Redis, field: str, order: str, exchange: str | None, symbol: str | None
) -> tuple[str, str]:
    """The connector and the symbol of an order, from the commands and events in the streams.

    Raises:
        CommandError: no stream names the order (NO), or it is ambiguous (USAGE).
    """
    names = await selected_connectors(redis, exchange)
    found: set[tuple[str, str]] = set()
    for name in names:
        events = [str(EventStream(name, event)) for event in ("order_status", "order_response")]
        for stream in (*events, str(CommandStream(name, "place_order"))):
            progress = [
                entry.fields.get("symbol")
                for entry in await entries_with_field(redis, stream, field, order)
            ]
            found |= {(name, each) for each in progress if isinstance(each, str) and each}
    found = {each for each in found if symbol in (None, each[1])}
    if len(found) == 1:
        return found.pop()
    if not found:
        raise CommandError(
            ExitCode.NO,
            f"no order with {field} {order!r} is known here; give its --exchange and --symbol",
        )
    where = ", ".join(f"{name.removesuffix('_connector')} {each}" for name, each in sorted(found))
    raise CommandError(
        ExitCode.USAGE, f"{field} {order!r} is {where}: give the --exchange, or the --symbol too"
    )
