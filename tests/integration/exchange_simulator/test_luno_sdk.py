"""The unmodified luno-python, configured with other URLs only."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from luno_python.client import Client
from luno_python.error import APIError
from luno_python.stream_client import MarketInitialisationException, stream_market

from services.exchange_simulator.service import Simulator
from tests.support.eventually import eventually


@pytest.fixture
def client(simulator: Simulator) -> Any:
    """The SDK's client with the simulator's key."""
    client = Client(simulator.http_url, 5, "simulator-key", "simulator-secret")
    client.session.trust_env = False
    return client


async def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the blocking SDK in a thread, beside the event loop that serves it."""
    return await asyncio.to_thread(method, *args, **kwargs)


async def test_the_sdk_reads_markets_tickers_books_and_trades(client: Any) -> None:
    """With every public market data method."""
    markets = (await call(client.markets))["markets"]
    assert {"XBTZAR", "ETHZAR"} <= {market["market_id"] for market in markets}
    some = (await call(client.markets, pair=["XBTZAR", "ETHZAR"]))["markets"]
    assert [market["market_id"] for market in some] == ["XBTZAR", "ETHZAR"]
    ticker = await call(client.get_ticker, "XBTZAR")
    assert Decimal(ticker["bid"]) < Decimal(ticker["ask"])
    assert Decimal(ticker["rolling_24_hour_volume"]) > 0
    several = await call(client.get_tickers, pair=["XBTZAR", "ETHZAR"])
    assert [t["pair"] for t in several["tickers"]] == ["XBTZAR", "ETHZAR"]
    assert (await call(client.get_tickers, pair=["NOPE"])) == {"tickers": []}
    trades = (await call(client.list_trades, "XBTZAR"))["trades"]
    assert len(trades) == 100
    sequences = [trade["sequence"] for trade in trades]
    assert sequences == list(range(sequences[0], sequences[0] - 100, -1))


async def test_the_top_of_the_book_sums_the_orders_by_price(client: Any) -> None:
    """100 levels of 18 decimals; the full book has every order."""
    top = await call(client.get_order_book, "XBTZAR")
    assert [len(top["bids"]), len(top["asks"])] == [100, 100]
    assert all(len(level["price"].partition(".")[2]) == 18 for level in top["bids"])
    full = await call(client.get_order_book_full, "XBTZAR")
    assert len(full["bids"]) > len(top["bids"])


async def test_trades_since_a_time_are_later_than_it(client: Any) -> None:
    """A time more than a day ago is refused."""
    newest = (await call(client.list_trades, "XBTZAR"))["trades"][0]
    later = (await call(client.list_trades, "XBTZAR", since=newest["timestamp"]))["trades"]
    assert newest in later
    assert all(trade["timestamp"] >= newest["timestamp"] for trade in later)
    with pytest.raises(APIError) as refused:
        await call(client.list_trades, "XBTZAR", since=1)
    assert refused.value.code == "ErrInvalidArguments"


async def test_errors_have_the_venues_codes(client: Any) -> None:
    """For an unknown pair, a small order, and a wrong secret, whose error has no body."""
    with pytest.raises(APIError) as unknown:
        await call(client.get_ticker, "NOPE")
    assert unknown.value.code == "ErrMarketUnavailable"
    order = ("XBTZAR", "1000000", "BID", "0.000001")
    with pytest.raises(APIError) as refused:
        await call(client.post_limit_order, *order)
    assert refused.value.code == "ErrVolumeTooLow"
    client.set_auth("simulator-key", "guessed")
    with pytest.raises(Exception, match=r"unknown API error .401"):
        await call(client.post_limit_order, *order)


def levels(orders: Any) -> dict[Decimal, Decimal]:
    """Volume by price of the SDK's orders (it loses time priority)."""
    found: dict[Decimal, Decimal] = {}
    for order in orders:
        found[order.price] = found.get(order.price, Decimal(0)) + order.volume
    return found


async def test_the_sdks_stream_maintains_the_engines_book(simulator: Simulator) -> None:
    """For fifty updates the SDK's book equals the engine's at the same sequence."""
    feed = simulator.luno["XBTZAR"]
    engine = feed.market.engine
    truth: dict[str, list[dict[Decimal, Decimal]]] = {}

    def note_truth(_: object) -> None:
        truth[str(feed.sequence)] = [
            {Decimal(price): Decimal(lots).scaleb(-6) for price, lots in side.top(10**6)}
            for side in (engine.bids, engine.asks)
        ]

    feed.market.subscribe(note_truth)
    updates: list[Any] = []

    def update(pair: Any, state: Any, message: dict[str, Any] | None) -> None:
        if message:
            updates.append(state)

    stream = asyncio.ensure_future(
        stream_market("XBTZAR", "simulator-key", "simulator-secret", update, simulator.ws_url)
    )
    await eventually(lambda: len(updates) >= 50 or stream.done())
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    assert len(updates) >= 50
    for state in updates:
        assert [levels(state.bids), levels(state.asks)] == truth[state.sequence]


@pytest.mark.parametrize(
    ("pair", "secret"), [("XBTZAR", "wrong"), ("NOPEUSDT", "simulator-secret")]
)
async def test_the_sdks_stream_ends_on_a_wrong_secret_or_pair(
    simulator: Simulator, pair: str, secret: str
) -> None:
    """The SDK receives an error frame instead of a snapshot."""
    with pytest.raises(MarketInitialisationException):
        await stream_market(pair, "simulator-key", secret, lambda *_: None, simulator.ws_url)
