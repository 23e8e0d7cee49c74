"""A connector with keys, a simulator and a Redis, all real processes, and a hand on each."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from binance import AsyncClient
from luno_python.client import Client as LunoClient
from pydantic import BaseModel
from redis.asyncio import Redis

from common_models import (
    AccountBalanceEvent,
    CommandResponseEvent,
    OrderBook,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
)
from common_models.stream_names import CommandStream, EventStream, MarketStream, connector
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually_async
from tests.support.ports import quiet_port
from tests.support.processes import Service, running
from tests.support.venues.simulated import BINANCE, LUNO, Venue, is_ready, simulator

EVENTS: dict[str, type[BaseModel]] = {
    "order_response": OrderResponseEvent,
    "order_status": OrderStatusUpdateEvent,
    "account_balance": AccountBalanceEvent,
    "command_response": CommandResponseEvent,
}
# The waits of the order path, small: what takes half a minute takes three seconds. Not smaller: an
# order must reach the venue within its validity on a busy machine too.
SMALL_WAITS = {
    "ORDER_VALIDITY": "2",
    "ORDER_RESOLVE_MARGIN": "0.5",
    "ORDER_MISSED_FOR": "0.5",
    "RECONCILE_INTERVAL": "10",  # Luno's calls are few: 300 a minute
}

# What counts over orders, far above what a test gives.
NO_LIMITS = {
    "RISK_ORDERS_PER_MINUTE": "1000000",
    "RISK_MAX_OPEN_ORDERS": "1000000",
    "RISK_MAX_POSITION": "USDT:1000000000,ZAR:1000000000",
    "RISK_MAX_DAILY_LOSS": "USDT:1000000000,ZAR:1000000000",
}


@dataclass(frozen=True)
class Market:
    """Where a test trades: a venue, its key, and how much of what."""

    venue: Venue
    key: dict[str, str]
    quantity: float
    tick: float
    refusal_body: str  # of the answer to a key that is refused

    @property
    def symbol(self) -> str:
        """The symbol it trades."""
        return self.venue.symbols[0]

    @property
    def base(self) -> str:
        """What it buys and sells."""
        return self.symbol.partition("/")[0]


MARKETS = (
    Market(
        BINANCE,
        {"BINANCE_API_KEY": "simulator-key", "BINANCE_API_SECRET": "simulator-secret"},
        quantity=0.002,
        tick=0.01,
        refusal_body="json",
    ),
    Market(LUNO, LUNO.key, quantity=0.002, tick=1.0, refusal_body="empty"),
)


@dataclass
class TradingDesk:
    """What a test has in its hands: commands in, events out, and the truth at the venue."""

    market: Market
    redis: Redis
    redis_url: str
    simulator_port: int
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    health_port: int = 0  # of the connector that was started last
    server: RedisServer | None = None  # where the test may kill it

    @property
    def name(self) -> str:
        """The connector's name in Redis."""
        return connector(self.market.venue.exchange)

    @asynccontextmanager
    async def connector(self, **settings: str) -> AsyncIterator[Service]:
        """The connector as a process, ready when the block starts."""
        async with self.starting(**settings) as service:
            await eventually_async(lambda: is_ready(self.health_port), within=40.0)
            yield service

    @asynccontextmanager
    async def starting(self, **settings: str) -> AsyncIterator[Service]:
        """The connector as a process, ready or not."""
        self.health_port = health_port = quiet_port()
        environment = {
            **self.market.venue.environment(self.simulator_port, self.redis_url, health_port),
            **self.market.key,
            **SMALL_WAITS,
            **self.settings,
            **settings,
        }
        async with running(self.market.venue.module, environment, self.folder) as service:
            yield service

    async def send(self, command: str, content: dict[str, Any] | bytes) -> str:
        """Put a command into its stream; its entry id."""
        data = content if isinstance(content, bytes) else json.dumps(content)
        redis: Any = self.redis
        entry_id: bytes = await redis.xadd(str(CommandStream(self.name, command)), {"data": data})
        return entry_id.decode()

    async def order(self, **fields: Any) -> str:
        """Place an order of the market's quantity; its client order id."""
        content = {
            "client_order_id": uuid4().hex,
            "symbol": self.market.symbol,
            "side": "buy",
            "quantity": self.market.quantity,
            "type": "market" if "price" not in fields else "limit",
            **fields,
        }
        await self.send("place_order", content)
        return str(content["client_order_id"])

    async def request(self, command: str, **fields: Any) -> CommandResponseEvent:
        """Send any other command; its one answer."""
        request_id = uuid4().hex
        await self.send(command, {"client_request_id": request_id, **fields})
        return await self.answer(request_id)

    async def answer(self, request_id: str) -> CommandResponseEvent:
        """The answer to a command, once it is there."""
        found: CommandResponseEvent = await self.event(
            "command_response", lambda e: e.client_request_id == request_id
        )
        return found

    async def events(self, name: str) -> list[Any]:
        """All events of one stream, validated, with nothing but the field `data`."""
        entries: Any = await self.redis.xrange(str(EventStream(self.name, name)))
        assert all(list(fields) == [b"data"] for _, fields in entries)
        return [EVENTS[name].model_validate_json(f[b"data"]) for _, f in entries]

    async def event(self, name: str, wanted: Callable[[Any], bool]) -> Any:
        """The first event that is *wanted*, once it is there."""
        found: list[Any] = []

        async def there() -> bool:
            found[:] = [event for event in await self.events(name) if wanted(event)]
            return bool(found)

        try:
            await eventually_async(there)
        except AssertionError as e:
            last = [event.model_dump_json() for event in (await self.events(name))[-5:]]
            raise AssertionError(f"no such {name}: the last are {last}") from e
        return found[0]

    async def responses(self, client_order_id: str) -> list[OrderResponseEvent]:
        """All answers to one order, so far."""
        events = await self.events("order_response")
        return [event for event in events if event.client_order_id == client_order_id]

    async def response(self, client_order_id: str) -> OrderResponseEvent:
        """The final answer to an order, once it is there."""
        found: OrderResponseEvent = await self.event(
            "order_response",
            lambda e: e.client_order_id == client_order_id and e.status != "unknown",
        )
        return found

    async def statuses(self, client_order_id: str) -> list[OrderStatusUpdateEvent]:
        """All that was told of an order, so far."""
        events = await self.events("order_status")
        return [event for event in events if event.client_order_id == client_order_id]

    async def status(self, client_order_id: str, *wanted: str) -> OrderStatusUpdateEvent:
        """The first event of an order with one of the statuses, once it is there."""
        found: OrderStatusUpdateEvent = await self.event(
            "order_status", lambda e: e.client_order_id == client_order_id and e.status in wanted
        )
        return found

    async def book(self, symbol: str | None = None) -> OrderBook:
        """The newest book, once there is one."""
        symbol = symbol or self.market.symbol
        stream = str(MarketStream.of(self.market.venue.exchange, symbol, "orderbook"))
        await eventually_async(lambda: self.redis.xlen(stream))
        entries: Any = await self.redis.xrevrange(stream, count=1)
        return OrderBook.model_validate_json(entries[0][1][b"data"])

    def on_tick(self, price: float) -> float:
        """*price* on the market's tick."""
        return round(round(price / self.market.tick) * self.market.tick, 8)

    async def far_below(self, symbol: str | None = None) -> float:
        """A price at which a buy rests, and stays."""
        return self.on_tick((await self.book(symbol)).bids[0].price * 0.7)

    async def marketable(self) -> float:
        """A price at which a buy trades at once."""
        return self.on_tick((await self.book()).asks[0].price * 1.01)

    async def ledger(self) -> dict[str, Any]:
        """The venue's own truth."""
        answer = await self._control("GET", "ledger")
        ours: dict[str, Any] = answer[self.market.venue.exchange]
        return ours

    async def at_venue(self, client_order_id: str) -> list[dict[str, Any]]:
        """The venue's orders that were sent with that client order id."""
        orders = (await self.ledger())["orders"]
        return [order for order in orders if order["client_order_id"] == client_order_id]

    async def arrivals(self, client_order_id: str) -> int:
        """How many requests to place it arrived at the venue."""
        return int((await self.ledger())["arrivals"].get(client_order_id, 0))

    async def fault(self, client_order_id: str, **fault: Any) -> int:
        """Let something happen to the requests that carry that id ("": all); the fault's id."""
        rule = {
            "venue": self.market.venue.exchange,
            "endpoint": "place",
            "contains": client_order_id,
            **fault,
        }
        answer = await self._control("POST", "faults", rule)
        assert "ids" in answer, answer
        return int(answer["ids"][0])

    async def struck(self) -> dict[int, int]:
        """How often each fault struck, by its id."""
        faults = (await self._control("GET", "faults"))["faults"]
        return {fault["id"]: fault["used"] for fault in faults}

    async def end_sessions(self, endpoint: str) -> None:
        """Let the venue drop all its streams of a kind."""
        what = {"endpoint": endpoint, "action": "disconnect"}
        await self._control("POST", "sessions", {"venue": self.market.venue.exchange, **what})

    async def trouble(self, endpoint: str, **fault: Any) -> None:
        """Let something happen to the requests of that kind."""
        rule = {"venue": self.market.venue.exchange, "endpoint": endpoint, **fault}
        answer = await self._control("POST", "faults", rule)
        assert "ids" in answer, answer

    async def end_trouble(self) -> None:
        """End all faults."""
        await self._control("DELETE", "faults")

    async def disconnect_account(self) -> None:
        """Cut the account's stream; the connector connects again."""
        order = {"endpoint": "user_stream", "action": "disconnect"}
        await self._control("POST", "sessions", {"venue": self.market.venue.exchange, **order})

    async def move_market(self, price: float, symbol: str | None = None) -> None:
        """Let the market's price go there."""
        target = f"{self.on_tick(price):.8f}".rstrip("0").rstrip(".")
        symbol = symbol or self.market.symbol
        await self._control("POST", "price", {"symbol": symbol, "price": target})

    async def reconnected(self) -> None:
        """Wait until the connector has its streams again, of a simulator that was restarted."""

        async def there() -> bool:
            sessions = (await self._control("GET", "sessions")).get(self.market.venue.exchange, {})
            streams = {"market_stream", "user_stream"} <= sessions.keys()
            return streams and await is_ready(self.health_port)

        await eventually_async(there)

    async def place_elsewhere(self, client_order_id: str, price: float) -> None:
        """Place a limit order with the venue's own SDK, past the connector."""
        quantity, at = str(self.market.quantity), str(self.on_tick(price))
        pair = self.market.symbol.replace("/", "")
        if self.market.venue is LUNO:
            await asyncio.to_thread(
                self._luno().post_limit_order,
                pair,
                at.removesuffix(".0"),
                "BID",
                quantity,
                client_order_id=client_order_id,
            )
            return
        async with self._binance() as sdk:
            await sdk.create_order(
                symbol=pair,
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                quantity=quantity,
                price=at,
                newClientOrderId=client_order_id,
            )

    async def cancel_elsewhere(self, order_id: str) -> None:
        """Cancel an order with the venue's own SDK, past the connector."""
        if self.market.venue is LUNO:
            await asyncio.to_thread(self._luno().stop_order, order_id)
            return
        async with self._binance() as sdk:
            pair = self.market.symbol.replace("/", "")
            await sdk.cancel_order(symbol=pair, orderId=int(order_id))

    async def amend_elsewhere(self, order_id: str, quantity: float) -> None:
        """Reduce an order's quantity past the connector; Binance gives it another client id."""
        pair = self.market.symbol.replace("/", "")
        wanted = {"symbol": pair, "orderId": int(order_id), "newQty": str(quantity)}
        async with self._binance() as sdk:
            # The SDK has no method for it.
            await sdk._request_api("put", "order/amend/keepPriority", True, data=wanted)

    async def set_market(self, status: str) -> None:
        """Let the venue open its market, or shut it: `active`, `post_only`, `halted`."""
        await self._control("POST", "status", {"symbol": self.market.symbol, "status": status})

    async def delist(self, symbol: str) -> None:
        """Let the venue list a symbol no longer."""
        await self._control("POST", "delisting", {"symbol": symbol})

    def _luno(self) -> Any:
        return LunoClient(f"http://127.0.0.1:{self.simulator_port}", 5, *self.market.key.values())

    @asynccontextmanager
    async def _binance(self) -> AsyncIterator[Any]:
        root = f"http://127.0.0.1:{self.simulator_port}/api"
        sdk = type("Elsewhere", (AsyncClient,), {"API_URL": root})(*self.market.key.values())
        try:
            yield sdk
        finally:
            await sdk.session.close()

    async def _control(self, method: str, what: str, content: object = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.simulator_port}/simulator/{what}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=content) as response,
        ):
            found: dict[str, Any] = await response.json()
            return found


def market_simulator(
    market: Market, port: int, folder: Path, settings: dict[str, str]
) -> AbstractAsyncContextManager[Service]:
    """The venue of *market*, lively, as a process; its settings are taken out of *settings*."""
    own = {name: settings.pop(name) for name in list(settings) if name.startswith("SIMULATOR_")}
    usual = {"SIMULATOR_SYMBOLS": ",".join(market.venue.symbols), "SIMULATOR_RATE": "10"}
    return simulator(port, folder, **{**usual, **own})


@asynccontextmanager
async def trading_desk(market: Market, folder: Path, **settings: str) -> AsyncIterator[TradingDesk]:
    """A Redis and a simulator while the block runs; connectors are up to the test.

    Of the *settings* those of the simulator are the simulator's, all others the connectors'.
    """
    server = RedisServer(folder / "redis", quiet_port())
    port = quiet_port()
    await server.start()
    try:
        async with (
            market_simulator(market, port, folder, settings),
            open_redis(server.url, "test") as redis,
        ):
            yield TradingDesk(market, redis, server.url, port, folder, settings, server=server)
    finally:
        await server.stop()


def told_fills(statuses: Sequence[OrderStatusUpdateEvent]) -> float:
    """The quantity of all fills that were told."""
    return sum(trade.quantity for status in statuses for trade in status.trades or ())


async def settled(desk: TradingDesk, client_order_id: str) -> None:
    """Wait until all that the venue filled was told."""
    (order,) = await desk.at_venue(client_order_id)

    async def told() -> bool:
        quantity = told_fills(await desk.statuses(client_order_id))
        return abs(quantity - float(order["filled_quantity"])) < 1e-9

    await eventually_async(told)


async def gather_all(*waits: Any) -> list[Any]:
    """All of them at once."""
    return list(await asyncio.gather(*waits))
