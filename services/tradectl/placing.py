"""`tradectl place`: sends one order and reports its outcome."""

from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models import PlaceOrderCommand
from common_models.fields import CLOSED_ORDER_STATUSES
from common_models.stream_names import EventStream
from services._runtime.redis_client import explain
from services.tradectl import show
from services.tradectl.exit_codes import ExitCode, print_message
from services.tradectl.reading import StreamEntry, entries_with_field
from services.tradectl.sending import ReplyReader, connector_of, require_running, send


@dataclass
class OrderProgress:
    """The events of one order so far, and the exit code they lead to. Pure."""

    client_order_id: str
    command_id: str
    wait_until_closed: bool
    responses: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: dict[str, Any], *, is_response: bool) -> bool:
        """Add an `order_response` or `order_status`; False if it belongs to another order."""
        if event.get("client_order_id") != self.client_order_id:
            return False
        if is_response:
            # Another command with the same client order id has answers of its own.
            if event.get("command_id") not in (None, self.command_id):
                return False
            self.responses.append(event)
        else:
            self.statuses.append(event)
        return True

    @property
    def response(self) -> dict[str, Any] | None:
        """The latest `order_response`."""
        return self.responses[-1] if self.responses else None

    @property
    def answered(self) -> bool:
        """True once there is a final answer: accepted or rejected."""
        return self.response is not None and self.response.get("status") != "unknown"

    @property
    def replayed(self) -> bool:
        """True if the order was placed before, and this is its stored answer."""
        return self.response is not None and self.response.get("replay") is True

    @property
    def done(self) -> bool:
        """True once there is nothing left to wait for."""
        if not self.answered:
            return False
        accepted = self.response is not None and self.response.get("status") == "accepted"
        return not (accepted and self.wait_until_closed) or self.status in CLOSED_ORDER_STATUSES

    @property
    def status(self) -> str | None:
        """The latest status; a closed status is never replaced. None if there is none yet."""
        done = [s["status"] for s in self.statuses if s.get("status") in CLOSED_ORDER_STATUSES]
        latest = done or [s.get("status") for s in self.statuses]
        return latest[-1] if latest else None

    @property
    def outcome(self) -> str:
        """The outcome as one word, for the JSON output."""
        if self.response is None:
            return "no_answer"
        answer = str(self.response.get("status"))
        if answer != "accepted" or not self.wait_until_closed:
            return answer
        return self.status or "accepted"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code if the command stopped waiting now."""
        if self.response is None:
            return ExitCode.NO_ANSWER
        match self.response.get("status"):
            case "accepted":
                pass
            case "rejected":
                return ExitCode.NO
            case _:
                return ExitCode.UNKNOWN
        if not self.wait_until_closed or self.status == "filled":
            return ExitCode.DONE
        return ExitCode.NO if self.status in CLOSED_ORDER_STATUSES else ExitCode.NO_ANSWER


async def place(
    redis: Redis,
    exchange: str,
    command: PlaceOrderCommand,
    *,
    wait_until_closed: bool,
    seconds: float,
    as_json: bool,
) -> ExitCode:
    """Send *command* to the exchange's connector, and wait at most *seconds* for the answer.

    With *wait_until_closed*, wait until the order is closed.

    Raises:
        CommandError: the connector is not running (NO), or Redis may have received the command
            (UNKNOWN).
        RedisError: nothing was sent.
    """
    name = connector_of(exchange)
    await require_running(redis, name)
    replies = await ReplyReader.open(redis, name, ("order_response", "order_status"), seconds)
    responses = str(EventStream(name, "order_response"))
    again = f"repeat it with --id {command.client_order_id}"
    print_message(f"client_order_id {command.client_order_id}")
    command_id = await send(redis, name, "place_order", command, again)
    placed = OrderProgress(command.client_order_id, command_id, wait_until_closed)
    async for entry in replies.events():
        if placed.add(entry.fields, is_response=entry.stream == responses):
            if not as_json:
                _print_event(entry)
            if placed.replayed:
                await _read_earlier_statuses(redis, name, placed)
        if placed.done:
            break
    if placed.response is None:
        await _read_earlier_unknown(redis, responses, placed)
    if as_json:
        found = {
            "outcome": placed.outcome,
            "client_order_id": placed.client_order_id,
            "command_id": command_id,
            "response": placed.response,
            "status": placed.statuses[-1] if placed.statuses else None,
        }
        show.as_json(found)
    _print_hint(placed, seconds, again)
    return placed.exit_code


async def _read_earlier_statuses(redis: Redis, name: str, placed: OrderProgress) -> None:
    """Read the statuses that were published before this command was sent."""
    stream = str(EventStream(name, "order_status"))
    try:
        found = await entries_with_field(redis, stream, "client_order_id", placed.client_order_id)
    except (RedisError, OSError) as e:
        print_message(f"the order's earlier statuses can't be read: {explain(e)}")
    else:
        placed.statuses = [entry.fields for entry in found]


async def _read_earlier_unknown(redis: Redis, stream: str, placed: OrderProgress) -> None:
    """A repeated command is answered once the first is resolved: read whether that is `unknown`."""
    try:
        found = await entries_with_field(redis, stream, "client_order_id", placed.client_order_id)
    except (RedisError, OSError) as e:
        print_message(f"the order's earlier answers can't be read: {explain(e)}")
        return
    if found and found[-1].fields.get("status") == "unknown":
        placed.responses.append(found[-1].fields)


def _print_event(entry: StreamEntry) -> None:
    fields = entry.fields
    known = ("client_order_id", "symbol", "side", "type", "exchange", "timestamp", "command_id")
    status = str(fields.pop("status", "?"))
    rest = {key: value for key, value in fields.items() if key not in known}
    show.line(f"{status:<17} {show.summary(rest)}")


def _print_hint(placed: OrderProgress, seconds: float, again: str) -> None:
    """Print what to do next if the outcome is not final."""
    match placed.exit_code:
        case ExitCode.UNKNOWN:
            print_message(
                f"The outcome is still unknown after {seconds:g} s. For the outcome, {again}."
            )
        case ExitCode.NO_ANSWER if placed.response is None:
            print_message(f"No answer within {seconds:g} s. For the outcome, {again}.")
        case ExitCode.NO_ANSWER:
            print_message(f"Accepted, but not filled within {seconds:g} s; the order stays.")
        case _:
            return
