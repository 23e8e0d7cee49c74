"""What a run left behind: the streams, the journal, and the simulator's ledger."""

from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from redis.asyncio import Redis

from common_models import (
    AccountBalanceEvent,
    CommandResponseEvent,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
)
from common_models.stream_names import (
    CommandStream,
    DeadLetterStream,
    EventStream,
    connector,
    state_key,
)
from services._connector_kit.orders.commands.request_consumer import COMMANDS
from services._connector_kit.orders.execution.record import Record, load
from tests.chaos.plan import Plan

PLACE = "place_order"


@dataclass(frozen=True)
class Evidence:
    """Everything that can be read from outside."""

    plan: Plan
    commands: dict[str, dict[str, bytes]]  # command -> entry id -> data; what Redis still has
    unfinished: dict[str, int]  # command -> entries not read or not acknowledged
    responses: list[OrderResponseEvent]
    statuses: list[OrderStatusUpdateEvent]
    balances: list[AccountBalanceEvent]
    replies: list[CommandResponseEvent]
    letters: list[dict[str, Any]]
    records: dict[str, Record]
    ledger: dict[str, Any]  # the venue's part of GET /simulator/ledger
    faults: list[dict[str, Any]] = field(default_factory=list)  # GET /simulator/faults

    def orders(self, client_order_id: str) -> list[dict[str, Any]]:
        """The orders that the venue ever had under this id."""
        return [o for o in self.ledger["orders"] if o["client_order_id"] == client_order_id]


async def ask_simulator(
    port: int, path: str, method: str = "GET", body: object = None
) -> dict[str, Any]:
    """One call of the simulator's own API."""
    url = f"http://127.0.0.1:{port}/simulator/{path}"
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, url, json=body) as response,
    ):
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def gather(plan: Plan, redis: Redis, simulator_port: int) -> Evidence:
    """Read all of it."""
    name = connector(plan.venue)
    ledger = await ask_simulator(simulator_port, "ledger")
    faults = await ask_simulator(simulator_port, "faults")
    commands, unfinished = {}, {}
    for command in (PLACE, *COMMANDS):
        stream = str(CommandStream(name, command))
        commands[command] = dict(await _entries(redis, stream))
        unfinished[command] = await _unfinished(redis, stream, name)

    async def events(event: str, model: Any) -> list[Any]:
        found = await _entries(redis, str(EventStream(name, event)))
        return [model.model_validate_json(data) for _, data in found]

    client: Any = redis
    keys = [key async for key in client.scan_iter(state_key(name, "order:*"))]
    records = [load(await client.get(key)) for key in keys]
    return Evidence(
        plan=plan,
        commands=commands,
        unfinished=unfinished,
        responses=await events("order_response", OrderResponseEvent),
        statuses=await events("order_status", OrderStatusUpdateEvent),
        balances=await events("account_balance", AccountBalanceEvent),
        replies=await events("command_response", CommandResponseEvent),
        letters=[
            msgspec.json.decode(data)
            for _, data in await _entries(redis, str(DeadLetterStream(name, PLACE)))
        ],
        records={record.client_order_id: record for record in records},
        ledger=ledger[plan.venue],
        faults=faults["faults"],
    )


async def _entries(redis: Redis, stream: str) -> list[tuple[str, bytes]]:
    client: Any = redis
    return [
        (entry_id.decode(), fields[b"data"]) for entry_id, fields in await client.xrange(stream)
    ]


async def group_of(redis: Redis, stream: str, group: str) -> dict[str, Any] | None:
    """What Redis says of a stream's consumer group; None where there is none."""
    client: Any = redis
    if not await client.exists(stream):
        return None
    groups = await client.xinfo_groups(stream)
    return next((found for found in groups if found["name"] == group.encode()), None)


async def _unfinished(redis: Redis, stream: str, group: str) -> int:
    """Entries that were not acknowledged, and one for those that were not read."""
    client: Any = redis
    found = await group_of(redis, stream, group)
    if found is None:
        return int(await client.xlen(stream))
    last = found["last-delivered-id"].decode()
    unread = await client.xrange(stream, min=f"({last}", count=1)
    return int(found["pending"]) + len(unread)
