"""The simulator's own HTTP API, for tests: faults, the ledger."""

from collections.abc import Mapping

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from services.exchange_simulator.account import Account
from services.exchange_simulator.endpoints import StreamEndpoint
from services.exchange_simulator.faults import Fault
from services.exchange_simulator.gate import Gate
from services.exchange_simulator.instruments import Venue
from services.exchange_simulator.ledger import ledger
from services.exchange_simulator.stream_gate import SessionAction, StreamGates

FAULTS: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])


class SessionOrder(BaseModel):
    """What to do at once to all open connections of a kind."""

    model_config = ConfigDict(extra="forbid")

    venue: Venue
    endpoint: StreamEndpoint
    action: SessionAction


def routes(
    gate: Gate, gates: StreamGates, accounts: Mapping[Venue, Account]
) -> list[web.AbstractRouteDef]:
    """The routes under /simulator."""

    async def add_faults(request: web.Request) -> web.Response:
        try:
            given = msgspec.json.decode(await request.read())
            faults = FAULTS.validate_python(given if isinstance(given, list) else [given])
        except (msgspec.DecodeError, ValidationError) as e:
            return _respond({"error": str(e)}, 400)
        return _respond({"ids": [gate.plan.add(fault) for fault in faults]})

    async def show_faults(_: web.Request) -> web.Response:
        return _respond({"faults": gate.plan.report()})

    async def clear_faults(_: web.Request) -> web.Response:
        gate.plan.clear()
        return _respond({})

    async def act_on_sessions(request: web.Request) -> web.Response:
        try:
            order = SessionOrder.model_validate_json(await request.read())
        except ValidationError as e:
            return _respond({"error": str(e)}, 400)
        return _respond({"sessions": gates.act(order.venue, order.endpoint, order.action)})

    async def show_ledger(_: web.Request) -> web.Response:
        return _respond(
            {
                venue: ledger(venue, account, gate.arrivals[venue])
                for venue, account in accounts.items()
            }
        )

    return [
        web.post("/simulator/faults", add_faults),
        web.get("/simulator/faults", show_faults),
        web.delete("/simulator/faults", clear_faults),
        web.post("/simulator/sessions", act_on_sessions),
        web.get("/simulator/ledger", show_ledger),
    ]


def _respond(said: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(said), content_type="application/json"
    )
