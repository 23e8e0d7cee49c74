"""Luno's REST answers as its documentation prints them, and as nobody would."""

from typing import Any

import pytest

from services.luno_connector import translate

# https://www.luno.com/en/developers/api
TICKER = {
    "pair": "XBTZAR",
    "timestamp": 1366224386716,
    "bid": "1050.00",
    "ask": "1060.00",
    "last_trade": "1055.00",
    "rolling_24_hour_volume": "12.52",
    "status": "ACTIVE",
}
TRADE = {
    "sequence": 276989,
    "timestamp": 1648651276949,
    "price": "35773.20000000",
    "volume": "0.00300000",
    "is_buy": False,
}
MARKET = {
    "market_id": "XBTEUR",
    "trading_status": "ACTIVE",
    "base_currency": "XBT",
    "counter_currency": "EUR",
    "min_volume": "0.0005",
    "max_volume": "100.00",
    "volume_scale": 4,
    "min_price": "100.00",
    "max_price": "100000.00",
    "price_scale": 2,
    "fee_scale": 8,
}


def test_tickers_are_read() -> None:
    """A side that is empty has the price 0."""
    rows = translate.tickers({"tickers": [{**TICKER, "bid": "0.00"}]})
    assert rows == [
        translate.TickerRow("XBTZAR", 1366224386716, 0.0, 1060.0, 1055.0, 12.52, "trading")
    ]


@pytest.mark.parametrize(
    ("word", "market"),
    [
        *[("ACTIVE", "trading"), ("POSTONLY", "post_only"), ("POST_ONLY", "post_only")],
        *[("DISABLED", "halted"), ("SUSPENDED", "halted"), ("UNKNOWN", "halted"), ("?", "halted")],
    ],
)
def test_a_markets_status_is_known_by_all_of_lunos_spellings(word: str, market: str) -> None:
    """The stream's and the ticker's, and that of the list of markets. What isn't known is shut."""
    assert translate.market_status(word) == market
    (row,) = translate.tickers({"tickers": [{**TICKER, "status": word}]})
    assert row.market == market
    (found,) = translate.instruments({"markets": [{**MARKET, "trading_status": word}]})
    assert found.market == market


def test_trades_come_oldest_first() -> None:
    """Luno tells the newest first; null is an empty list."""
    answer = {"trades": [{**TRADE, "sequence": 3}, {**TRADE, "sequence": 2, "is_buy": True}]}
    told = [(trade.trade_id, trade.side) for trade in translate.trades(answer)]
    assert told == [(2, "buy"), (3, "sell")]
    assert translate.trades({"trades": None}) == []


def test_the_top_of_the_book_is_read_whatever_its_scale() -> None:
    """Eighteen decimals, an empty side, null."""
    level = {"price": "86592.863600000000000000", "volume": "0.10"}
    top = translate.top_of_book({"timestamp": 1, "bids": [level], "asks": None})
    assert top.book.bids.top(9) == [(86592.8636, 0.1)]
    assert top.book.asks.top(9) == []


@pytest.mark.parametrize(
    ("status", "trading"),
    [("ACTIVE", True), ("POST_ONLY", True), ("SUSPENDED", False), ("UNKNOWN", False), ("?", False)],
)
def test_markets_are_read(status: str, trading: bool) -> None:
    """With Luno's own split into base and counter currency."""
    (found,) = translate.instruments({"markets": [{**MARKET, "trading_status": status}]})
    assert (found.symbol, found.venue_symbol, found.base, found.quote, found.trading) == (
        "XBT/EUR",
        "XBTEUR",
        "XBT",
        "EUR",
        trading,
    )


@pytest.mark.parametrize("answer", [None, [], {}, "text", {"x": 1}])
@pytest.mark.parametrize("read", ["tickers", "trades", "top_of_book", "instruments"])
def test_an_answer_of_another_form_is_a_value_error(read: str, answer: Any) -> None:
    """Nothing else comes out."""
    with pytest.raises(ValueError, match=": "):
        getattr(translate, read)(answer)


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        ("tickers", {"tickers": [{**TICKER, "bid": "x"}]}),
        ("tickers", {"tickers": [{**TICKER, "timestamp": float("inf")}]}),
        ("trades", {"trades": [{**TRADE, "sequence": None}]}),
        ("trades", {"trades": {"sequence": 1}}),
        (
            "top_of_book",
            {"timestamp": 1, "bids": [{"price": "NaN", "volume": "1"}], "asks": []},
        ),
        (
            "top_of_book",
            {"timestamp": 1, "bids": [{"price": "1", "volume": "-1"}], "asks": []},
        ),
        ("top_of_book", {"timestamp": None, "bids": [], "asks": []}),
        ("instruments", {"markets": [{**MARKET, "base_currency": None, "price_scale": "x"}]}),
    ],
)
def test_an_invalid_row_is_a_value_error(read: str, answer: Any) -> None:
    """Numbers that aren't, and fields of another type."""
    with pytest.raises(ValueError, match=": "):
        getattr(translate, read)(answer)
