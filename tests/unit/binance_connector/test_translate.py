"""Binance's frames and answers as its documentation prints them, and as nobody would."""

import json
from typing import Any

import pytest

from services._connector_kit.market_data.trade_feed import VenueTrade
from services.binance_connector import translate
from services.binance_connector.translate import AggTrade, DayTicker, DepthUpdate, ServerShutdown


def frame(data: object) -> bytes:
    """A combined-stream frame."""
    return json.dumps({"stream": "any", "data": data}).encode()


# https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, field by field.
AGG_TRADE = {
    "e": "aggTrade",
    "E": 1672515782136,
    "s": "BNBBTC",
    "a": 12345,
    "p": "0.001",
    "q": "100",
    "f": 100,
    "l": 105,
    "T": 1672515782135,
    "m": True,
    "M": True,
}
DEPTH = {
    "e": "depthUpdate",
    "E": 1672515782136,
    "s": "BNBBTC",
    "U": 157,
    "u": 160,
    "b": [["0.0024", "10"]],
    "a": [["0.0026", "100"], ["0.0027", "0.00000000"]],
}
TICKER = {
    "e": "24hrTicker",
    "E": 1672515782136,
    "s": "BNBBTC",
    "c": "0.0025",
    "b": "0.0024",
    "a": "0.0026",
    "v": "10000",
    "o": "0.0010",
}


def test_an_aggregate_trade_is_read_and_its_taker_is_known() -> None:
    """`m` says that the buyer was the maker: the taker sold."""
    trade = translate.event(frame(AGG_TRADE))
    terms = {"s": "BNBBTC", "a": 12345, "p": 0.001, "q": 100.0, "T": 1672515782135, "m": True}
    assert trade == AggTrade(**terms, f=100, l=105)  # type: ignore[arg-type]
    assert isinstance(trade, AggTrade)
    assert trade.side == "sell"
    bought = translate.event(frame({**AGG_TRADE, "m": False}))
    assert isinstance(bought, AggTrade)
    assert bought.side == "buy"


def test_a_depth_update_is_read() -> None:
    """Strings become numbers, levels that go stay in it as zeros."""
    assert translate.event(frame(DEPTH)) == DepthUpdate(
        E=1672515782136,
        s="BNBBTC",
        U=157,
        u=160,
        b=[(0.0024, 10.0)],
        a=[(0.0026, 100.0), (0.0027, 0.0)],
    )


def test_a_ticker_and_a_shutdown_are_read() -> None:
    """The fields that are used; the others may be there or not."""
    assert translate.event(frame(TICKER)) == DayTicker(
        E=1672515782136, s="BNBBTC", c=0.0025, b=0.0024, a=0.0026, v=10000.0
    )
    shutdown = translate.event(frame({"e": "serverShutdown", "E": 1}))
    assert shutdown == ServerShutdown(E=1)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no JSON",
        b"{}",
        b"[]",
        b"null",
        b'{"data":',
        b'{"result":null,"id":1}',
        frame({"e": "somethingNew", "s": "BNBBTC"}),
        frame({"u": 1, "s": "BNBUSDT", "b": "1", "B": "1", "a": "1", "A": "1"}),
        frame({**AGG_TRADE, "p": "x"}),
        frame({**AGG_TRADE, "p": None}),
        frame({**AGG_TRADE, "q": "1e400"}),
        frame({**AGG_TRADE, "a": 1.5}),
        frame({**AGG_TRADE, "m": "maybe"}),
        frame({**DEPTH, "b": [["1"]]}),
        frame({**DEPTH, "b": [["1", "2", "3"]]}),
        frame({**DEPTH, "u": None}),
        frame({key: value for key, value in DEPTH.items() if key != "a"}),
        b'{"data":{"e":"aggTrade","s":"\xff"}}',
    ],
)
def test_an_invalid_event_is_a_value_error(payload: bytes) -> None:
    """One kind of error for all of it."""
    with pytest.raises(ValueError, match=r"\S"):
        translate.event(payload)


def test_a_frame_nested_absurdly_deep_is_an_error_and_no_crash() -> None:
    """The decoder gives up before the stack does."""
    with pytest.raises(RecursionError):
        translate.event(b'{"data":' + b'{"x":' * 100_000)


def test_aggregate_trades_of_rest_are_read() -> None:
    """`GET /api/v3/aggTrades`."""
    row = {"a": 26129, "p": "0.01", "q": "4.7", "f": 1, "l": 2, "T": 1498793709153, "m": True}
    assert translate.agg_trades([row]) == [
        VenueTrade(26129, 1498793709153, 0.01, 4.7, "sell", 1, 2)
    ]
    assert translate.agg_trades([]) == []


@pytest.mark.parametrize("answer", [None, {}, {"code": 1}, [7], [{}], [{"a": "x"}], ["x"]])
def test_invalid_aggregate_trades_are_a_value_error(answer: Any) -> None:
    """`{}` is what the SDK gives for an empty body."""
    with pytest.raises(ValueError, match="aggregate trades"):
        translate.agg_trades(answer)


def test_instruments_carry_the_venues_own_split() -> None:
    """`GET /api/v3/exchangeInfo`; symbols of other scripts too."""
    rows = [
        {"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "BTC"},
        {"symbol": "币安USDT", "status": "BREAK", "baseAsset": "币安", "quoteAsset": "USDT"},
    ]
    first, second = translate.instruments({"symbols": rows})
    assert (first.symbol, first.venue_symbol, first.trading) == ("ETH/BTC", "ETHBTC", True)
    assert (second.symbol, second.trading) == ("币安/USDT", False)


@pytest.mark.parametrize("answer", [None, [], {}, {"symbols": 7}, {"symbols": [{}]}])
def test_invalid_exchange_info_is_a_value_error(answer: Any) -> None:
    """Nothing else comes out."""
    with pytest.raises(ValueError, match="exchange info"):
        translate.instruments(answer)
