"""Binance's market data queries: answers from book and trade history, documented errors."""

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
    """BTCUSDT and ETHUSDT after ten seconds with an action every 50 ms."""
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
    """The value of the answer, without its weight."""
    return getattr(queries, name)(venue, Query(params))[1]


@pytest.mark.parametrize(
    ("limit", "levels", "weight"),
    [(None, 100, 5), ("5", 5, 5), ("101", 101, 25), ("501", None, 50), ("9999", None, 250)],
)
def test_the_weight_of_depth_depends_on_its_limit(
    venue: BinanceVenue, limit: str | None, levels: int | None, weight: int
) -> None:
    """The default is 100 levels, the maximum 5000."""
    params = {"symbol": "BTCUSDT"} | ({"limit": limit} if limit else {})
    weighed, book = queries.depth(venue, Query(params))
    feed = venue.feeds["BTCUSDT"]
    assert weighed == weight
    assert len(book["bids"]) == (levels or len(feed.market.engine.bids.levels))
    assert book["lastUpdateId"] == feed.update_id


def test_trades_are_the_latest_with_the_oldest_first(venue: BinanceVenue) -> None:
    """The last id is that of the last trade."""
    found = ask(venue, "trades", symbol="BTCUSDT", limit="7")
    last = venue.feeds["BTCUSDT"].market.trades.next_id
    assert [trade["id"] for trade in found] == list(range(last - 7, last))


def test_aggregates_from_an_id_fill_a_gap_exactly(venue: BinanceVenue) -> None:
    """`fromId` is included; `limit` is the number of aggregates."""
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


def test_aggregates_from_a_future_id_are_an_empty_list(venue: BinanceVenue) -> None:
    """A future id is not an error."""
    assert ask(venue, "aggregate_trades", symbol="BTCUSDT", fromId=str(2**60)) == []


def test_queries_accept_one_symbol_several_or_none(venue: BinanceVenue) -> None:
    """The answer for one symbol is an object, for several or all a list."""
    one = ask(venue, "price_ticker", symbol="ETHUSDT")
    both = ask(venue, "price_ticker", symbols='["ETHUSDT","BTCUSDT"]')
    assert both[0] == one
    assert {ticker["symbol"] for ticker in ask(venue, "price_ticker")} == {"BTCUSDT", "ETHUSDT"}
    assert ask(venue, "price_ticker", symbols=["ETHUSDT"]) == [one]


def test_the_day_ticker_agrees_with_book_and_trade_history(venue: BinanceVenue) -> None:
    """Best prices, last price and the range of trade ids; MINI is a subset of FULL."""
    full = ask(venue, "day_ticker", symbol="BTCUSDT")
    book = ask(venue, "depth", symbol="BTCUSDT")
    last = ask(venue, "trades", symbol="BTCUSDT", limit="1")[0]
    assert [full["bidPrice"], full["bidQty"]] == book["bids"][0]
    assert [full["askPrice"], full["askQty"]] == book["asks"][0]
    assert (full["lastPrice"], full["lastId"]) == (last["price"], last["id"])
    assert full["count"] == full["lastId"] - full["firstId"] + 1
    mini = ask(venue, "day_ticker", symbol="BTCUSDT", type="MINI")
    assert mini.items() <= full.items()


def test_exchange_information_lists_the_filters(venue: BinanceVenue) -> None:
    """Tick size, lot size and notional of the requested symbols."""
    info = ask(venue, "exchange_information", symbol="BTCUSDT")
    assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT"]
    filters = {f["filterType"]: f for f in info["symbols"][0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert filters.keys() >= {"MARKET_LOT_SIZE", "NOTIONAL", "PERCENT_PRICE_BY_SIDE"}
    assert info["rateLimits"][0]["limit"] == 6000


def test_permission_sets_are_omitted_on_request(venue: BinanceVenue) -> None:
    """They make up most of the live venue's answer."""
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
def test_invalid_parameters_are_refused_with_the_venues_error(
    venue: BinanceVenue, name: str, params: dict[str, str], code: int
) -> None:
    """HTTP 400 and the documented code."""
    with pytest.raises(BinanceError) as caught:
        ask(venue, name, **params)
    assert (caught.value.status, caught.value.code) == (400, code)
