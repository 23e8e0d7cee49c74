"""Replay a recorded session to the real connector, and compare what it published."""

from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from common_models import OrderBook, Trade
from common_models.stream_names import MarketStream
from tests.support.eventually import eventually_async
from tests.support.market_data.replay import Recording, State, replaying
from tests.support.processes import running

DEPTH = 20


async def check_replay(recording: Recording, redis_url: str, redis: Redis, folder: Path) -> None:
    """The connector publishes only books the session held, ending on its last, each trade once."""
    symbols = recording.symbols
    expected = {name: recording.states(name, DEPTH) for name in symbols}
    async with replaying(recording) as address:
        environment = {
            "REDIS_URL": redis_url,
            "HEALTH_PORT": "0",
            "BINANCE_SYMBOLS": ",".join(symbols.values()),
            "BINANCE_REST_URL": f"http://{address}/api",
            "BINANCE_STREAM_URL": f"ws://{address}/",
            "BINANCE_WS_API_URL": f"ws://{address}/ws-api/v3",
            "ORDER_BOOK_INTERVAL": "0",
            "ORDER_BOOK_DEPTH": str(DEPTH),
        }
        async with running("binance_connector", environment, folder) as connector:

            async def all_at_their_last_book() -> bool:
                assert not connector.exited, connector.log.read_text()
                for name, states in expected.items():
                    if (await _books(redis, symbols[name]))[-1:] != states[-1:]:
                        return False
                return True

            async def all_trades_there() -> bool:
                for name, told in recording.events("aggTrade").items():
                    if len(await _trades(redis, symbols[name])) < len(told):
                        return False
                return True

            await eventually_async(all_at_their_last_book)
            await eventually_async(all_trades_there)
            assert await connector.end() == 0
    for name, states in expected.items():
        _check_order(await _books(redis, symbols[name]), states, name)
        told = [
            (str(e["a"]), float(e["p"]), float(e["q"]), "sell" if e["m"] else "buy")
            for e in recording.events("aggTrade")[name]
        ]
        published = await _trades(redis, symbols[name])
        assert [(t.trade_id, t.price, t.quantity, t.side) for t in published] == told


def _check_order(books: list[State], states: list[State], name: str) -> None:
    """Each published book is one the session held, and they come in the session's order."""
    position = 0
    for book in books:
        assert book in states[position:], f"{name}: published a book that the session never held"
        position = states.index(book, position)
    assert books[-1] == states[-1], f"{name}: the last book is not the session's last"


async def _entries(redis: Redis, symbol: str, data_type: str) -> list[bytes]:
    stream = MarketStream.of("binance", symbol, data_type)  # type: ignore[arg-type]
    entries: Any = await redis.xrange(str(stream))
    return [fields[b"data"] for _, fields in entries]


async def _books(redis: Redis, symbol: str) -> list[State]:
    books = [
        OrderBook.model_validate_json(data) for data in await _entries(redis, symbol, "orderbook")
    ]
    return [
        (
            tuple((level.price, level.quantity) for level in book.bids),
            tuple((level.price, level.quantity) for level in book.asks),
        )
        for book in books
    ]


async def _trades(redis: Redis, symbol: str) -> list[Trade]:
    return [Trade.model_validate_json(data) for data in await _entries(redis, symbol, "trades")]
