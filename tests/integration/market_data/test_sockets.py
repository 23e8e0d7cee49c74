"""Sockets of Binance: many symbols, and changes that nobody notices."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services._connector_kit.errors import RejectedError
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.venue_stats import SocketStats
from services.binance_connector import feed as binance_feed
from services.binance_connector import standby_socket
from services.binance_connector.client import Binance
from services.binance_connector.settings import BinanceSettings
from services.binance_connector.translate import DepthSnapshot
from services.exchange_simulator.service import Simulator
from tests.support.market_data.truth import Consumer, consuming, opened, streaming


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcements are followed without a rest in between."""
    monkeypatch.setattr(binance_feed, "MIN_SOCKET_LIFE", 0.0)
    monkeypatch.setattr(standby_socket, "OVERLAP", 0.2)


@asynccontextmanager
async def unnoticed(consumer: Consumer) -> AsyncIterator[None]:
    """In this block the feed is live all the time, asks for no snapshot, and loses nothing."""
    changes = len(consumer.changes)
    lost = consumer.status.trades.lost
    yield
    await consumer.flows()
    assert consumer.changes[changes:] == []
    assert consumer.status.trades.lost == lost
    consumer.assert_true()


async def test_a_socket_is_replaced_before_its_day_is_over_without_a_gap(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one delivers before the last one is closed: books go on, trades have no hole."""
    monkeypatch.setattr(standby_socket, "LONGEST_LIFE", 1.0)
    monkeypatch.setattr(standby_socket, "LIFE_JITTER", 0.2)
    async with consuming(simulator, "binance") as consumer, unnoticed(consumer):
        for _ in range(3):
            await consumer.open_sessions(2)
            await consumer.open_sessions(1)


async def test_an_announced_shutdown_is_followed_at_once_without_a_gap(
    simulator: Simulator,
) -> None:
    """The server that spoke may go a moment later: by then nobody listens to it any more."""
    async with consuming(simulator, "binance") as consumer, unnoticed(consumer):
        assert await consumer.sessions("server_shutdown") == 1
        await consumer.open_sessions(2)
        await consumer.open_sessions(1)


async def test_a_socket_that_dies_before_its_standby_is_ready_is_replaced_like_any_other(
    simulator: Simulator,
) -> None:
    """A resync and a refill: the books are true, the trades complete."""
    async with consuming(simulator, "binance") as consumer:
        await consumer.sessions("server_shutdown")
        await consumer.open_sessions(2)
        assert await consumer.sessions("disconnect") == 2
        await consumer.flows()
        consumer.assert_true()


class ListedOnly:
    """The exchange's feeds, but that no budget is spent on snapshots of what isn't listed."""

    def __init__(self, simulator: Simulator, exchange: Binance) -> None:
        self._exchange = exchange
        self._settings = BinanceSettings(binance_stream_url=simulator.ws_url)

    async def depth(self, venue_symbol: str, limit: int) -> DepthSnapshot:
        """As `Binance.depth`."""
        if venue_symbol != "BTCUSDT":
            raise RejectedError("not listed", code="-1121")
        return await self._exchange.depth(venue_symbol, limit)

    async def stream_market_data(self, subscriptions: Sequence[SymbolSubscription]) -> None:
        """As `Binance.stream_market_data`."""
        await binance_feed.stream_market_data(
            subscriptions, self._settings, self.depth, self._exchange.agg_trades, SocketStats()
        )


@asynccontextmanager
async def many_symbols(simulator: Simulator, count: int, at: int) -> AsyncIterator[Consumer]:
    """A consumer whose symbol is number *at* of *count*; the others aren't listed, and silent."""
    consumer = Consumer(simulator, "binance")
    subscriptions = [Consumer(simulator, "binance", f"NO{n}/USDT").desk for n in range(count - 1)]
    subscriptions.insert(at, consumer.desk)
    async with opened(simulator, "binance") as exchange:
        assert isinstance(exchange, Binance)
        async with streaming(ListedOnly(simulator, exchange), subscriptions):
            yield consumer


@pytest.mark.parametrize("at", [0, 100, 219])
async def test_more_than_a_hundred_symbols_take_more_sockets(simulator: Simulator, at: int) -> None:
    """220 symbols are three sockets, and whichever of them carries a symbol, it flows."""
    async with many_symbols(simulator, 220, at) as consumer:
        await consumer.open_sessions(3)
        await consumer.flows()
        consumer.assert_true()
