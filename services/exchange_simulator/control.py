"""The simulator's own HTTP API, for tests: faults, sessions, clocks, prices, and the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.exchange_simulator.account import SimulatedAccount
from services.exchange_simulator.account_order import BY_SYMBOL
from services.exchange_simulator.endpoints import StreamEndpoint
from services.exchange_simulator.fault_middleware import FaultMiddleware
from services.exchange_simulator.faults import RequestFault, StreamFault
from services.exchange_simulator.instruments import Venue, fixed, whole
from services.exchange_simulator.ledger import ledger
from services.exchange_simulator.market import MarketStatus
from services.exchange_simulator.stream_faults import AllStreamFaults, SessionAction
from services.exchange_simulator.traders import Traders
from services.exchange_simulator.venue_clock import SimulatedClock

DAY_MS = 86_400_000
# Characters of an error message: validation of a long list of faults can report thousands.
MAX_ERROR_LENGTH = 2000


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SessionCommand(_Command):
    """An action on all open connections of a kind."""

    venue: Venue
    endpoint: StreamEndpoint
    action: SessionAction


class ClockCommand(_Command):
    """The offset of a venue's clock, in ms."""

    venue: Venue
    offset_ms: Annotated[int, Field(ge=-DAY_MS, le=DAY_MS)]


class DelistingCommand(_Command):
    """The symbol that its venue delists."""

    symbol: str


class StatusCommand(_Command):
    """The status of a symbol's market."""

    symbol: str
    status: MarketStatus


class PriceCommand(_Command):
    """The price to which a symbol's market moves."""

    symbol: str
    price: str


Fault = Annotated[RequestFault | StreamFault, Field(discriminator="endpoint")]
FAULTS: TypeAdapter[list[RequestFault | StreamFault]] = TypeAdapter(list[Fault])


@dataclass(frozen=True, slots=True)
class Controls:
    """The objects that the API controls; `traders` by slash symbol, `listed` by venue pair."""

    fault_middleware: FaultMiddleware
    all_stream_faults: AllStreamFaults
    accounts: Mapping[Venue, SimulatedAccount]
    clocks: Mapping[Venue, SimulatedClock]
    traders: Mapping[str, Traders]
    listed: Mapping[Venue, dict[str, Any]]


class ControlError(ValueError):
    """A command that the simulator can't carry out."""


def routes(controls: Controls) -> list[web.AbstractRouteDef]:
    """The routes under /simulator. An invalid body is answered 400 with the reason."""

    def call(answer: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            try:
                result, status = answer(controls, await request.read(), request.match_info), 200
            except (msgspec.DecodeError, ValidationError, ControlError, RecursionError) as e:
                result, status = {"error": str(e)[:MAX_ERROR_LENGTH]}, 400
            return web.Response(
                status=status, body=msgspec.json.encode(result), content_type="application/json"
            )

        return handle

    return [
        web.post("/simulator/faults", call(add_faults)),
        web.get("/simulator/faults", call(show_faults)),
        web.delete("/simulator/faults", call(clear_faults)),
        web.delete("/simulator/faults/{id}", call(remove_fault)),
        web.get("/simulator/sessions", call(show_sessions)),
        web.post("/simulator/sessions", call(act_on_sessions)),
        web.post("/simulator/clock", call(set_clock)),
        web.post("/simulator/price", call(move_price)),
        web.post("/simulator/status", call(set_status)),
        web.post("/simulator/delisting", call(delist)),
        web.get("/simulator/hello", call(hello)),
        web.get("/simulator/ledger", call(show_ledger)),
    ]


def hello(_: Controls, __: bytes, ___: Mapping[str, str]) -> dict[str, Any]:
    """Identify the simulator: connectors read it to know that no money is real."""
    return {"service": "exchange_simulator"}


def add_faults(controls: Controls, body: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    """Add one rule or a list of rules."""
    given = msgspec.json.decode(body)
    faults = FAULTS.validate_python(given if isinstance(given, list) else [given])
    return {"ids": [controls.fault_middleware.plan.add(fault) for fault in faults]}


def show_faults(controls: Controls, _: bytes, __: Mapping[str, str]) -> dict[str, Any]:
    """All rules, and how often each was applied."""
    return {"faults": controls.fault_middleware.plan.report()}


def clear_faults(controls: Controls, _: bytes, __: Mapping[str, str]) -> dict[str, Any]:
    """Remove all rules."""
    controls.fault_middleware.plan.clear()
    return {"faults": []}


def remove_fault(controls: Controls, _: bytes, path: Mapping[str, str]) -> dict[str, Any]:
    """Remove one rule."""
    number = path["id"]
    if not (
        number.isascii()
        and number.isdecimal()
        and controls.fault_middleware.plan.remove(int(number))
    ):
        raise ControlError(f"id={number!r}: no such rule; GET /simulator/faults lists them")
    return show_faults(controls, b"", {})


def show_sessions(controls: Controls, _: bytes, __: Mapping[str, str]) -> dict[str, Any]:
    """How many connections are open, by venue and endpoint."""
    return controls.all_stream_faults.counts()


def act_on_sessions(controls: Controls, body: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    """Apply an action to open connections; returns their number."""
    command = SessionCommand.model_validate_json(body)
    return {
        "sessions": controls.all_stream_faults.act(command.venue, command.endpoint, command.action)
    }


def set_clock(controls: Controls, body: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    """Set the offset of a venue's clock."""
    command = ClockCommand.model_validate_json(body)
    controls.clocks[command.venue].offset_ms = command.offset_ms
    return {"venue": command.venue, "now_ms": controls.clocks[command.venue]()}


def move_price(controls: Controls, body: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    """Move a symbol's market to a price."""
    command = PriceCommand.model_validate_json(body)
    traders = controls.traders.get(command.symbol)
    if traders is None:
        names = ", ".join(controls.traders)
        raise ControlError(f"symbol={command.symbol!r}: expected one of {names}")
    instrument = BY_SYMBOL[command.symbol]
    lowest, highest = instrument.min_price, instrument.max_price
    try:
        ticks = whole(command.price, instrument.price_scale)
    except ValueError as e:
        raise ControlError(f"price: {e}") from None
    if not lowest <= ticks <= highest:
        bounds = " to ".join(fixed(p, instrument.price_scale) for p in (lowest, highest))
        raise ControlError(f"price={command.price}: expected {bounds}")
    traders.move(ticks)
    return {"symbol": command.symbol, "price": command.price}


def set_status(controls: Controls, body: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    """Set the status of a symbol's market."""
    command = StatusCommand.model_validate_json(body)
    instrument = BY_SYMBOL.get(command.symbol)
    listed = controls.listed[instrument.venue] if instrument else {}
    if instrument is None or instrument.pair not in listed:
        raise ControlError(f"symbol={command.symbol!r}: no venue lists it")
    listed[instrument.pair].market.set_status(command.status)
    return {"symbol": command.symbol, "status": command.status}


def delist(controls: Controls, body: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    """Cancel the account's orders of a symbol, then remove the symbol from its venue."""
    symbol = DelistingCommand.model_validate_json(body).symbol
    instrument = BY_SYMBOL.get(symbol)
    listed = controls.listed[instrument.venue] if instrument else {}
    if instrument is None or instrument.pair not in listed:
        raise ControlError(f"symbol={symbol!r}: no venue lists it")
    account = controls.accounts[instrument.venue]
    for order in [o for o in account.open_orders() if o.asked.symbol == symbol]:
        account.cancel(order)
    del listed[instrument.pair]
    return {"symbol": symbol, "venue": instrument.venue}


def show_ledger(controls: Controls, _: bytes, __: Mapping[str, str]) -> dict[str, Any]:
    """The ledgers of both venues."""
    return {
        venue: ledger(venue, account, controls.fault_middleware.arrivals[venue])
        for venue, account in controls.accounts.items()
    }
