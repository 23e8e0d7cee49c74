"""Commands that are answered on `command_response`: cancels and questions."""

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
from services.tradectl.exit_codes import CommandError, ExitCode, tell
from services.tradectl.reading import COMMANDS, StreamEntry, mentions
from services.tradectl.sending import (
    GONE_AFTER,
    ReplyReader,
    connector_of,
    ever_spoke,
    meant,
    send,
    silent_for,
)
from services.tradectl.where import nobody_at

Answer = dict[str, Any]
# Of a command that Redis refused for want of memory.
REDIS_FULL = "redis_full"

ANSWERS, STATUS = "command_response", "connector_status"
_ENDINGS = {"done": ExitCode.DONE, "rejected": ExitCode.NO, "no_answer": ExitCode.NO_ANSWER}


def ending_of(answers: Sequence[Answer]) -> ExitCode:
    """How a command ends that got these answers: by the worst of them."""
    found = {_ENDINGS.get(str(answer["status"]), ExitCode.UNKNOWN) for answer in answers}
    worst_first = (ExitCode.UNKNOWN, ExitCode.NO_ANSWER, ExitCode.NO)
    return next((ending for ending in worst_first if ending in found), ExitCode.DONE)


def command_of(content: BaseModel) -> str:
    """The command's name, as in its stream."""
    return next(name for name, model in COMMANDS.items() if type(content) is model)


async def request(redis: Redis, name: str, content: BaseModel, seconds: float) -> Answer:
    """Send one command and wait for its answer; `status` is "no_answer" where none came."""
    command = command_of(content)
    request_id = str(content.model_dump()["client_request_id"])
    talk = await ReplyReader.begin(redis, name, [ANSWERS, STATUS], seconds)
    silence = await silent_for(redis, name)
    if silence is None or silence > GONE_AFTER:
        tell(f"{name} is silent; it will do this when it is back")
    await send(redis, name, command, content, "the same command may be given again")
    async for entry in talk.heard():
        if entry.fields.get("client_request_id") == request_id:
            return {"connector": name, **entry.fields}
        if command == "cancel_all_orders" and (said := _progress(entry)):
            tell(f"{name}: {said}")
            talk.extend(seconds)
    return {
        "connector": name,
        "client_request_id": request_id,
        "command": command,
        "status": "no_answer",
        "error_message": f"no answer within {seconds:g} s",
    }


def _progress(entry: StreamEntry) -> str | None:
    """How far a `cancel_all_orders` is, as a connector's status says; None: it says nothing."""
    try:
        found = ConnectorStatusEvent.model_validate_json(entry.data).cancel_all
    except ValidationError:
        return None
    if found is None:
        return None
    return f"{found.done} of {found.done + found.left} done, about {found.seconds_left:.0f} s left"


async def all_at_once(redis: Redis, contents: dict[str, BaseModel], seconds: float) -> list[Answer]:
    """One request to each connector, and all their answers."""
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(_answer_or_trouble(redis, name, content, seconds))
            for name, content in contents.items()
        ]
    return [task.result() for task in running]


async def _answer_or_trouble(redis: Redis, name: str, content: BaseModel, seconds: float) -> Answer:
    """One connector's trouble doesn't keep the others from being asked."""
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


def tell_answers(answers: Sequence[Answer], *, as_json: bool) -> None:
    """What the connectors said."""
    if as_json:
        show.as_json(answers)
        return
    for answer in answers:
        why = [str(answer[key]) for key in ("reason_code", "error_message") if answer.get(key)]
        said = f"{answer['connector']}: {answer['command']} {answer['status']}"
        show.line(": ".join([said, *why]))


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
    """Cancel one order; where it trades is looked up, unless both are given."""
    field = "order_id" if by_order_id else "client_order_id"
    if exchange is None or symbol is None:
        name, symbol = await _where(redis, field, order, exchange, symbol)
    else:
        name = connector_of(exchange)
    if not await ever_spoke(redis, [name]):
        raise CommandError(ExitCode.NO, f"not sent: {nobody_at(redis)}")
    content = CancelOrderCommand.model_validate({"symbol": symbol, field: order})
    answers = [await request(redis, name, content, seconds)]
    tell_answers(answers, as_json=as_json)
    return ending_of(answers)


async def cancel_all(
    redis: Redis, exchange: str | None, symbol: str | None, *, seconds: float, as_json: bool
) -> ExitCode:
    """Cancel all open orders: of one exchange or all, of one symbol or all."""
    names = await meant(redis, exchange)
    if not await ever_spoke(redis, names):
        raise CommandError(ExitCode.NO, f"nothing was cancelled: {nobody_at(redis)}")
    contents: dict[str, BaseModel] = {name: CancelAllOrdersCommand(symbol=symbol) for name in names}
    answers = await all_at_once(redis, contents, seconds)
    tell_answers(answers, as_json=as_json)
    return ending_of(answers)


async def refresh_balances(
    redis: Redis, exchange: str | None, assets: list[str], seconds: float
) -> ExitCode:
    """Have balances told anew; what goes wrong is said on stderr."""
    names = await meant(redis, exchange)
    contents: dict[str, BaseModel] = {
        name: RequestBalanceCommand(exchange=name.removesuffix("_connector"), assets=assets or None)
        for name in names
    }
    answers = await all_at_once(redis, contents, seconds)
    for answer in answers:
        if answer["status"] != "done":
            why = answer.get("error_message") or answer.get("reason_code") or ""
            tell(f"{answer['connector']}: {answer['status']}: {why}")
    return ending_of(answers)


async def _where(
    redis: Redis, field: str, order: str, exchange: str | None, symbol: str | None
) -> tuple[str, str]:
    """The connector and the symbol of an order, from what was commanded and told.

    Raises:
        StopError: no such order was heard of, or more than one.
    """
    names = await meant(redis, exchange)
    found: set[tuple[str, str]] = set()
    for name in names:
        told = [str(EventStream(name, event)) for event in ("order_status", "order_response")]
        for stream in (*told, str(CommandStream(name, "place_order"))):
            said = [
                entry.fields.get("symbol") for entry in await mentions(redis, stream, field, order)
            ]
            found |= {(name, each) for each in said if isinstance(each, str) and each}
    found = {each for each in found if symbol in (None, each[1])}
    if len(found) == 1:
        return found.pop()
    if not found:
        raise CommandError(
            ExitCode.NO,
            f"no order with {field} {order!r} was heard of; name its --exchange and --symbol",
        )
    where = ", ".join(f"{name.removesuffix('_connector')} {each}" for name, each in sorted(found))
    raise CommandError(
        ExitCode.USAGE, f"{field} {order!r} is {where}: name the --exchange, or the --symbol too"
    )
