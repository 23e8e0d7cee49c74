"""Plays both connectors and the indicator host to a bot, message by message."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models import (
    AccountBalanceEvent,
    CancelOrderCommand,
    CommandResponseEvent,
    IndicatorValue,
    InstrumentInfo,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    PlaceOrderCommand,
    QueryOrderCommand,
)
from common_models.stream_names import (
    CommandStream,
    EventStream,
    IndicatorStream,
    MarketStream,
    state_key,
)
from tests.support.eventually import eventually_async
from tests.support.market_data.messages import connector_status, order_book, ticker, trade
from tests.support.orders.halt import resume

M = TypeVar("M", bound=BaseModel)
COMMANDS = str(CommandStream("binance_connector", "place_order"))
CANCELS = str(CommandStream("binance_connector", "cancel_order"))
QUERIES = str(CommandStream("binance_connector", "query_order"))


class Stage:
    """What is said to a bot that watches BTC/USDT on Binance, and what it commands.

    `more` are further symbols of Luno's that are as its first is.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self.more: list[str] = []
        self._status: dict[str, Any] = {}

    async def put(self, stream: object, message: BaseModel) -> str:
        """One entry; its id."""
        data = message.model_dump_json()
        entry_id: bytes = await self.redis.xadd(str(stream), {"data": data})
        return entry_id.decode()

    async def status(self, state: str = "live", **changes: Any) -> None:
        """Both connectors tell how they are; `symbols_of` has the state of one that differs."""
        self._status = {"state": state, **changes}
        await self._tell_status(state, **changes)

    async def keep_publishing_status(self) -> None:
        """As connectors do: the same status, again and again."""
        while True:
            await asyncio.sleep(1.0)
            with contextlib.suppress(RedisError, OSError):  # the server may be gone just now
                await self._tell_status(**self._status)

    async def _tell_status(
        self, state: str, symbols_of: dict[str, str] | None = None, **changes: Any
    ) -> None:
        for exchange, symbol in (("binance", "BTC/USDT"), ("luno", "XBT/ZAR")):
            event = connector_status(
                symbol, exchange, (symbols_of or {}).get(exchange, state), reason="told so"
            )
            if exchange == "luno":
                (first,) = event.symbols
                event.symbols.extend(
                    first.model_copy(update={"symbol": each}) for each in self.more
                )
            stream = EventStream(f"{exchange}_connector", "connector_status")
            await self.put(stream, event.model_copy(update=changes))

    async def book(self, middle: float = 100.5) -> None:
        """Books of both exchanges."""
        for exchange, symbol in (("binance", "BTC/USDT"), ("luno", "XBT/ZAR")):
            stream = MarketStream.of(exchange, symbol, "orderbook")
            await self.put(stream, of_now(order_book(symbol, exchange, middle)))

    async def ticker(self, last: float = 100.5) -> str:
        """Tickers of both exchanges; the id of Binance's."""
        luno = MarketStream.of("luno", "XBT/ZAR", "ticker")
        await self.put(luno, of_now(ticker("XBT/ZAR", "luno")))
        binance = MarketStream.of("binance", "BTC/USDT", "ticker")
        return await self.put(binance, of_now(ticker(last=last)))

    async def trade(self, price: float = 100.5) -> str:
        """A trade on Binance."""
        return await self.put(MarketStream.of("binance", "BTC/USDT", "trades"), trade(price=price))

    async def open(self) -> None:
        """All that a bot needs to be ready, and that trading is not halted."""
        await resume(self.redis)
        await self.status()
        await self.book()
        await self.ticker()

    async def indicator(self, value: float, name: str = "rsi_14", **changes: Any) -> str:
        """A value, of just now unless *changes* say otherwise."""
        message = IndicatorValue(
            value=value, indicator_name=name, symbol="BTC/USDT", exchange="binance"
        )
        stream = IndicatorStream(name, "binance", "BTCUSDT")
        return await self.put(stream, message.model_copy(update=changes))

    async def commands(self) -> list[PlaceOrderCommand]:
        """All orders that were commanded."""
        entries = await self.redis.xrange(COMMANDS)
        return [PlaceOrderCommand.model_validate_json(fields[b"data"]) for _, fields in entries]

    async def command(self, number: int = 1) -> PlaceOrderCommand:
        """The *number*th order, once it is there."""

        async def there() -> bool:
            return len(await self.commands()) >= number

        await eventually_async(there)
        return (await self.commands())[number - 1]

    async def cancels(self) -> list[str]:
        """The client order ids of all orders whose end was commanded."""
        entries = await self.redis.xrange(CANCELS)
        found = [CancelOrderCommand.model_validate_json(fields[b"data"]) for _, fields in entries]
        return [command.client_order_id or "" for command in found]

    async def command_id(self, number: int = 1) -> str:
        """The entry of the *number*th order."""
        entries = await self.redis.xrange(COMMANDS)
        entry_id: bytes = entries[number - 1][0]
        return entry_id.decode()

    async def queries(self) -> list[QueryOrderCommand]:
        """All questions that were asked about orders."""
        entries = await self.redis.xrange(QUERIES)
        return [QueryOrderCommand.model_validate_json(fields[b"data"]) for _, fields in entries]

    async def query(self, number: int) -> QueryOrderCommand:
        """The *number*th question, once it is there."""

        async def there() -> bool:
            return len(await self.queries()) >= number

        await eventually_async(there, within=20.0)
        return (await self.queries())[number - 1]

    async def answer_query(
        self, query: QueryOrderCommand, status: str = "rejected", reason: str = "unknown_order"
    ) -> str:
        """The connector's answer to a question; its entry."""
        event = CommandResponseEvent(
            client_request_id=query.client_request_id,
            command="query_order",
            status=status,
            reason_code=None if status == "done" else reason,
            error_message=None if status == "done" else "-2013 Order does not exist.",
            exchange="binance",
        )
        return await self.put(EventStream("binance_connector", "command_response"), event)

    async def answer(self, command: PlaceOrderCommand, status: str, **changes: Any) -> None:
        """The connector's answer."""
        event = OrderResponseEvent(
            client_order_id=command.client_order_id,
            order_id="4711",
            symbol=command.symbol,
            requested_quantity=command.quantity,
            side=command.side,
            type=command.type,
            status=status,
        )
        stream = EventStream("binance_connector", "order_response")
        await self.put(stream, event.model_copy(update=changes))

    async def became(
        self,
        command: PlaceOrderCommand,
        status: str,
        filled: float = 0.0,
        price: float = 100.0,
        fee: dict[str, float] | None = None,
    ) -> None:
        """What became of an order; its fee is a thousandth in USDT unless *fee* is given."""
        event = OrderStatusUpdateEvent(
            order_id="4711",
            client_order_id=command.client_order_id,
            symbol=command.symbol,
            status=status,
            filled_quantity=filled,
            remaining_quantity=command.quantity - filled,
            average_price=price if filled else None,
            fee={"USDT": filled * price * 0.001} if fee is None else fee,
            exchange="binance",
        )
        await self.put(EventStream("binance_connector", "order_status"), event)

    async def fill(
        self, command: PlaceOrderCommand, price: float = 100.0, fee: dict[str, float] | None = None
    ) -> None:
        """The order is taken, and filled."""
        await self.answer(command, "accepted")
        await self.became(command, "filled", command.quantity, price, fee)

    async def instrument(self, fee_prices: dict[str, float] | None = None, **bounds: float) -> None:
        """What Binance takes of BTC/USDT."""
        told = InstrumentInfo(
            symbol="BTC/USDT",
            exchange="binance",
            base="BTC",
            quote="USDT",
            trading=True,
            fee_prices=fee_prices or {},
            **bounds,
        )
        key = state_key("binance_connector", "instruments")
        await self.redis.hset(key, told.symbol, told.model_dump_json())

    async def balance(self, asset: str, free: float) -> None:
        """A balance on Binance."""
        event = AccountBalanceEvent(
            exchange="binance", asset=asset, free=free, locked=0.0, total=free
        )
        await self.put(EventStream("binance_connector", "account_balance"), event)


def of_now(message: M) -> M:
    """The same, of this moment."""
    return message.model_copy(update={"timestamp": datetime.now(UTC)})


def ago(seconds: float) -> datetime:
    """So long before now."""
    return datetime.now(UTC) - timedelta(seconds=seconds)
