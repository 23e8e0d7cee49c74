"""Binance's market queries: answers from the book and the tape, errors as documented."""

from typing import Any

import pytest

from services.exchange_simulator.binance import queries
from services.exchange_simulator.binance.errors import BinanceError
from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.binance.queries import BinanceVenue, Query
from services.exchange_simulator.budget import MinuteBudget
from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.traders import Traders

START = 1_790_000_000_000


@pytest.fixture
def venue() -> BinanceVenue:
    """BTCUSDT and ETHUSDT, open for ten seconds, trading every 50 ms."""
    now = START

    def clock() -> int:
        return now

    feeds = {}
    for instrument in INSTRUMENTS[:2]:
        now = START
        market = SimulatedMarket(instrument, clock)
        feeds[instrument.pair] = BinanceFeed(market)
        traders = Traders(market, 1, 300)
        traders.open_market()
        for _ in range(200):
            now += 50
            traders.act()
    return BinanceVenue(feeds, clock, MinuteBudget(6000, clock))


def ask(venue: BinanceVenue, name: str, **params: Any) -> Any:
    """The answer's value alone."""
    return getattr(queries, name)(venue, Query(params))[1]


@pytest.mark.parametrize(
    ("limit", "levels", "weight"),
    [(None, 100, 5), ("5", 5, 5), ("101", 101, 25), ("501", None, 50), ("9999", None, 250)],
)
def test_depth_weighs_by_its_limit(
    venue: BinanceVenue, limit: str | None, levels: int | None, weight: int
) -> None:
    """The default is 100 levels; more than 5000 is 5000."""
    params = {"symbol": "BTCUSDT"} | ({"limit": limit} if limit else {})
    weighed, book = queries.depth(venue, Query(params))
    feed = venue.feeds["BTCUSDT"]
    assert weighed == weight
    assert len(book["bids"]) == (levels or len(feed.market.engine.bids.levels))
    assert book["lastUpdateId"] == feed.update_id


def test_trades_are_the_latest_oldest_first(venue: BinanceVenue) -> None:
    """The last id is the last trade's."""
    found = ask(venue, "trades", symbol="BTCUSDT", limit="7")
    last = venue.feeds["BTCUSDT"].market.trades.next_id
    assert [trade["id"] for trade in found] == list(range(last - 7, last))


def test_aggregates_from_an_id_fill_a_hole_exactly(venue: BinanceVenue) -> None:
    """`fromId` is included; `limit` bounds what follows."""
    everything = ask(venue, "aggregate_trades", symbol="BTCUSDT", limit="1000")
    start = everything[10]["a"]
    found = ask(venue, "aggregate_trades", symbol="BTCUSDT", fromId=str(start), limit="5")
    assert found == everything[10:15]


def test_aggregates_between_two_times_are_all_within_them(venue: BinanceVenue) -> None:
    """Both ends are included."""
    everything = ask(venue, "aggregate_trades", symbol="BTCUSDT", limit="1000")
    start, end = START + 2000, START + 5000
    found = ask(venue, "aggregate_trades", symbol="BTCUSDT", startTime=str(start), endTime=str(end))
    assert found == [a for a in everything if start <= a["T"] <= end]
    until = ask(venue, "aggregate_trades", symbol="BTCUSDT", endTime=str(end), limit="3")
    assert until == [a for a in everything if a["T"] <= end][-3:]
    since = ask(venue, "aggregate_trades", symbol="BTCUSDT", startTime=str(start), limit="3")
    assert since == [a for a in everything if a["T"] >= start][:3]


def test_aggregates_from_a_future_id_are_none(venue: BinanceVenue) -> None:
    """An empty list, not an error: there are none yet."""
    assert ask(venue, "aggregate_trades", symbol="BTCUSDT", fromId=str(2**60)) == []


def test_symbols_can_be_asked_for_alone_together_or_all(venue: BinanceVenue) -> None:
    """One is an object, several are a list."""
    one = ask(venue, "price_ticker", symbol="ETHUSDT")
    both = ask(venue, "price_ticker", symbols='["ETHUSDT","BTCUSDT"]')
    assert both[0] == one
    assert {ticker["symbol"] for ticker in ask(venue, "price_ticker")} == {"BTCUSDT", "ETHUSDT"}
    assert ask(venue, "price_ticker", symbols=["ETHUSDT"]) == [one]


def test_the_day_ticker_agrees_with_the_book_and_the_tape(venue: BinanceVenue) -> None:
    """Best prices, last price and the range of trade ids; MINI is a part of FULL."""
    full = ask(venue, "day_ticker", symbol="BTCUSDT")
    book = ask(venue, "depth", symbol="BTCUSDT")
    last = ask(venue, "trades", symbol="BTCUSDT", limit="1")[0]
    assert [full["bidPrice"], full["bidQty"]] == book["bids"][0]
    assert [full["askPrice"], full["askQty"]] == book["asks"][0]
    assert (full["lastPrice"], full["lastId"]) == (last["price"], last["id"])
    assert full["count"] == full["lastId"] - full["firstId"] + 1
    mini = ask(venue, "day_ticker", symbol="BTCUSDT", type="MINI")
    assert mini.items() <= full.items()


def test_exchange_information_lists_real_filters(venue: BinanceVenue) -> None:
    """Tick, lot and notional of what was asked for."""
    info = ask(venue, "exchange_information", symbol="BTCUSDT")
    assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT"]
    filters = {f["filterType"]: f for f in info["symbols"][0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert filters.keys() >= {"MARKET_LOT_SIZE", "NOTIONAL", "PERCENT_PRICE_BY_SIDE"}
    assert info["rateLimits"][0]["limit"] == 6000


def test_permission_sets_are_left_out_on_demand(venue: BinanceVenue) -> None:
    """They are most of the live venue's answer."""
    whole = ask(venue, "exchange_information")
    short = ask(venue, "exchange_information", showPermissionSets="false")
    assert {str(symbol["permissionSets"]) for symbol in whole["symbols"]} == {"[['SPOT']]"}
    assert {str(symbol["permissionSets"]) for symbol in short["symbols"]} == {"[]"}


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("depth", {}, -1102),
        ("depth", {"symbol": ""}, -1102),
        ("depth", {"symbol": "NOPEUSDT"}, -1121),
        ("depth", {"symbol": "BTC/USDT"}, -1100),
        ("depth", {"symbol": "BTCUSDT", "limit": "many"}, -1100),
        ("depth", {"symbol": "BTCUSDT", "limit": "0"}, -1130),
        ("depth", {"symbol": "BTCUSDT", "more": "1"}, -1104),
        ("ping", {"symbol": "BTCUSDT"}, -1101),
        ("exchange_information", {"symbol": "NOPEUSDT"}, -1121),
        ("exchange_information", {"symbols": '["BTCUSDT","NOPEUSDT"]'}, -1121),
        ("exchange_information", {"symbols": "BTCUSDT"}, -1100),
        ("exchange_information", {"symbols": "[]"}, -1102),
        ("exchange_information", {"showPermissionSets": "no"}, -1100),
        ("exchange_information", {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
        ("aggregate_trades", {"symbol": "BTCUSDT", "fromId": "1", "startTime": "1"}, -1128),
        ("aggregate_trades", {"symbol": "BTCUSDT", "fromId": "-1"}, -1100),
        ("day_ticker", {"symbol": "BTCUSDT", "type": "HUGE"}, -1130),
    ],
)
def test_bad_parameters_get_the_venues_own_error(
    venue: BinanceVenue, name: str, params: dict[str, str], code: int
) -> None:
    """HTTP 400 and the documented code."""
    with pytest.raises(BinanceError) as caught:
        ask(venue, name, **params)
    assert (caught.value.status, caught.value.code) == (400, code)
