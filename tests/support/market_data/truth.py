"""A venue's connector on the simulator in one process: what it publishes, and what is true."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import chain, pairwise
from typing import Any, Protocol, cast

import aiohttp

from common_models import OrderBook
from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.publisher import Publisher
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.protocol import Exchange
from services._connector_kit.settings import ConnectorSettings
from services._runtime.health import Readiness
from services._runtime.stream_writer.writer import StreamWriter
from services.binance_connector.client import open_binance
from services.binance_connector.settings import BinanceSettings
from services.exchange_simulator.market import MarketStep
from services.exchange_simulator.service import Simulator
from services.luno_connector.client import open_luno
from services.luno_connector.settings import LunoSettings
from tests.support.eventually import eventually, eventually_async
from tests.support.market_data.fake_streams import FakeStreams, KeptStream
from tests.support.market_data.recorder import DEPTH, State, state_of

SYMBOLS = {"binance": "BTC/USDT", "luno": "XBT/ZAR"}


class Truth:
    """Every state that one market's book ever had, by the venue's own number for it."""

    def __init__(self, simulator: Simulator, venue: str, symbol: str) -> None:
        self.market = simulator.markets[symbol]
        self._venue = venue
        pair = self.market.instrument.pair
        self._binance = simulator.binance.get(pair)
        self._luno = simulator.luno.get(pair)
        self._tops: dict[int, array[int]] = {}
        self._see(None)
        self.market.subscribe(self._see)

    @property
    def number(self) -> int:
        """The number of the present state: an update id, or a sequence."""
        if self._binance is not None:
            return self._binance.update_id
        assert self._luno is not None
        return self._luno.sequence

    @property
    def last_trade_id(self) -> int:
        """The venue's id of its last trade so far."""
        history = self._binance.aggregates if self._binance is not None else self.market.trades
        return history.next_id - 1

    def state(self, number: int) -> State:
        """The book of that number; KeyError where it never had it."""
        instrument, top = self.market.instrument, self._tops[number]
        prices, quantities = 10**instrument.price_scale, 10**instrument.quantity_scale
        levels = [(p / prices, q / quantities) for p, q in zip(top[1::2], top[2::2], strict=True)]
        bids = top[0]
        return tuple(levels[:bids]), tuple(levels[bids:])

    def _see(self, _: MarketStep | None) -> None:
        # Small, because there may be many: how many bids, then prices and quantities in turn.
        engine = self.market.engine
        bids, asks = engine.bids.top(DEPTH), engine.asks.top(DEPTH)
        self._tops[self.number] = array("q", [len(bids), *chain(*bids, *asks)])


class _NumberedBooks(KeptStream):
    """A book stream that notes with each book the number it claims to be."""

    status: FeedStatus

    def __init__(self) -> None:
        super().__init__(maxlen=0, keep_all=False)
        self.numbers: list[int | None] = []

    def add(self, data: bytes) -> None:
        """As `OutStream.add`."""
        self.numbers.append(self.status.sequence())
        super().add(data)


class _Streams(FakeStreams):
    def __init__(self) -> None:
        super().__init__()
        self.numbered = _NumberedBooks()

    def stream(self, name: str, maxlen: int, *, keep_all: bool) -> KeptStream:
        """As `StreamWriter.stream`."""
        if name.endswith(":orderbook"):
            return self.by_name.setdefault(name, self.numbered)
        return super().stream(name, maxlen, keep_all=keep_all)


class Consumer:
    """One symbol of one venue: all that its connector published, and whether that is true."""

    def __init__(self, simulator: Simulator, venue: str, symbol: str = "") -> None:
        self.simulator = simulator
        self.venue = venue
        symbol = symbol or SYMBOLS[venue]
        listed = symbol if symbol in simulator.markets else SYMBOLS[venue]
        self.truth = Truth(simulator, venue, listed)
        self.streams = _Streams()
        self.changes: list[str] = []  # of the feed's state
        settings = ConnectorSettings.model_construct(order_book_interval=0.0)
        self.status = FeedStatus(symbol, Readiness())
        self.status.on_change = lambda: self.changes.append(self.status.state)
        self.streams.numbered.status = self.status
        base, quote = symbol.split("/")
        self.desk = SymbolSubscription(
            Instrument(symbol, base + quote, base, quote, trading=True),
            Publisher(cast(StreamWriter, self.streams), venue, symbol, settings),
            self.status,
            None,
        )

    @property
    def live(self) -> bool:
        """True while the feed says so, or that it polls."""
        return self.status.works

    @property
    def books(self) -> int:
        """How many books were published."""
        return len(self.streams.numbered.numbers)

    @property
    def last_trade_id(self) -> int:
        """Of the trades published; 0 before the first."""
        trades = next(s for name, s in self.streams.by_name.items() if name.endswith("trades"))
        return _trade_id(trades.added[-1]) if trades.added else 0

    async def flows(self) -> None:
        """Wait until it is live, and books and trades of the venue's present have come."""
        trade, number, books = self.truth.last_trade_id, self.truth.number, self.books

        def caught_up() -> bool:
            known = self.status.sequence()
            return (
                self.live
                and self.books > books + 1
                and (known or 0) >= number
                and self.last_trade_id > trade
            )

        await eventually(caught_up)

    async def fault(self, **fault: Any) -> None:
        """Put a rule in force on the market stream, or where it says."""
        rule = {"venue": self.venue, "endpoint": "market_stream", **fault}
        await control(self.simulator, "POST", "faults", rule)

    async def struck(self) -> None:
        """Wait until every rule with an end has struck as often as it may."""
        while True:
            rules = (await control(self.simulator, "GET", "faults"))["faults"]
            if all(rule["count"] is None or rule["used"] == rule["count"] for rule in rules):
                return
            await asyncio.sleep(0.02)

    async def no_more_faults(self) -> None:
        """End all rules."""
        await control(self.simulator, "DELETE", "faults")

    async def sessions(self, action: str) -> int:
        """Do something to the open market streams at once; to how many."""
        order = {"venue": self.venue, "endpoint": "market_stream", "action": action}
        return int((await control(self.simulator, "POST", "sessions", order))["sessions"])

    async def open_sessions(self, wanted: int) -> None:
        """Wait until so many market streams are open."""

        async def that_many() -> bool:
            counts = await control(self.simulator, "GET", "sessions")
            return int(counts.get(self.venue, {}).get("market_stream", 0)) == wanted

        await eventually_async(that_many)

    def assert_true(self) -> None:
        """Every book is the venue's of that number; no trade is missing, repeated or swapped."""
        numbered = self.streams.numbered
        assert numbered.added
        for number, data in zip(numbered.numbers, numbered.added, strict=True):
            assert number is not None, "published while not in sync"
            book = OrderBook.model_validate_json(data)
            assert state_of(book) == self.truth.state(number), f"book {number}"
        assert all(b == a + 1 for a, b in pairwise(self.streams.trade_ids))


def _trade_id(data: bytes) -> int:
    return int(data.rpartition(b'"trade_id":"')[2].partition(b'"')[0])


async def control(simulator: Simulator, method: str, path: str, body: object = None) -> Any:
    """A request to the simulator's own API."""
    url = f"{simulator.http_url}/simulator/{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, json=body) as response,
    ):
        answer = await response.json()
        assert response.status == 200, answer
        return answer


def opened(
    simulator: Simulator, venue: str, *, key: bool = True, **more: Any
) -> AbstractAsyncContextManager[Exchange]:
    """A venue's real client on the simulator."""
    http, ws = simulator.http_url, simulator.ws_url
    if venue == "binance":
        urls = {
            "binance_rest_url": f"{http}/api",
            "binance_stream_url": ws,
            "binance_ws_api_url": f"{ws}/ws-api/v3",
        }
        return open_binance(BinanceSettings.model_validate({**urls, **more}))
    names = ("luno_api_key_id", "luno_api_secret_key")
    keys = dict(zip(names, ("simulator-key", "simulator-secret"), strict=True)) if key else {}
    urls = {"luno_rest_url": http, "luno_stream_url": ws}
    return open_luno(LunoSettings.model_validate({**urls, **keys, **more}))


class Streams(Protocol):
    """The one thing of an exchange that is wanted here."""

    async def stream_market_data(self, desks: Sequence[SymbolSubscription]) -> None:
        """As `Exchange.stream_market_data`."""


@asynccontextmanager
async def streaming(exchange: Streams, desks: Sequence[SymbolSubscription]) -> AsyncIterator[None]:
    """The exchange keeps *desks* supplied while the block runs, and never gives up by itself."""
    task = asyncio.create_task(exchange.stream_market_data(desks))
    try:
        yield
        assert not task.done(), "it gave up"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def consuming(simulator: Simulator, venue: str, **settings: Any) -> AsyncIterator[Consumer]:
    """A consumer of one symbol at work, in full flow when the block starts."""
    consumer = Consumer(simulator, venue)
    async with (
        opened(simulator, venue, **settings) as exchange,
        streaming(exchange, [consumer.desk]),
    ):
        await consumer.flows()
        yield consumer
