"""Luno's feed of one pair: what it publishes, and what makes it hang up."""

import json
from pathlib import Path
from typing import Any

import pytest

from services._connector_kit.errors import FeedStoppedError, TransientError
from services.luno_connector.stream import PairFeed
from services.luno_connector.translate import TickerRow
from tests.support.market_data.fake_streams import FakeStreams
from tests.support.market_data.luno_frames import check_frames, luno_feed
from tests.support.virtual_time import run_virtually

FRAMES = Path(__file__).parents[2] / "fixtures" / "luno" / "market_frames.jsonl"

SNAPSHOT = {
    "sequence": "10",
    "bids": [{"id": "b1", "price": "99.00", "volume": "2"}],
    "asks": [{"id": "a1", "price": "101.00", "volume": "3"}],
    "status": "ACTIVE",
    "timestamp": 1_528_884_331_021,
}


def update(sequence: int, **kinds: Any) -> dict[str, Any]:
    """An update with all its keys."""
    empty = dict.fromkeys(("trade_updates", "create_update", "delete_update", "status_update"))
    return {
        "sequence": str(sequence),
        **empty,
        "timestamp": 1_528_884_331_021 + sequence,
        **kinds,
    }


def trade(number: int, base: str, maker: str, counter: str = "101") -> dict[str, Any]:
    """A trade with a maker."""
    return {"sequence": number, "base": base, "counter": counter, "maker_order_id": maker}


def send(feed: PairFeed, frame: object) -> None:
    """One frame, as the socket hands it on."""
    feed._on_frame(json.dumps(frame).encode())


def with_feed(scenario: Any) -> None:
    """Run *scenario(feed, streams)* on a feed that had its snapshot."""

    async def main() -> None:
        streams = FakeStreams()
        feed = luno_feed(streams)
        send(feed, SNAPSHOT)
        scenario(feed, streams)

    run_virtually(main())


def test_every_kind_of_documented_frame_is_understood() -> None:
    """One of each, made from the documentation."""

    async def main() -> None:
        assert check_frames(FRAMES) == {
            "snapshot": 2,
            "update": 6,
            "keep-alive": 1,
            "error": 3,
            "market": 1,
        }

    run_virtually(main())


def test_a_snapshot_is_published_at_once() -> None:
    """With the venue's own time."""

    def scenario(_: PairFeed, streams: FakeStreams) -> None:
        (book,) = streams.books
        assert (book.bids[0].price, book.asks[0].price) == (99.0, 101.0)
        assert book.timestamp.timestamp() == 1_528_884_331.021

    with_feed(scenario)


def test_a_trade_is_published_with_the_makers_price_and_the_takers_side() -> None:
    """And the ticker follows: last price, best bid, best ask."""

    def scenario(feed: PairFeed, streams: FakeStreams) -> None:
        send(feed, update(11, trade_updates=[trade(7, "1", "a1"), trade(8, "0.5", "b1", "49.5")]))
        told = [(t.trade_id, t.price, t.quantity, t.side) for t in streams.trades]
        assert told == [("7", 101.0, 1.0, "buy"), ("8", 99.0, 0.5, "sell")]
        ticker = streams.tickers[-1]
        assert (ticker.last_price, ticker.bid_price, ticker.ask_price) == (99.0, 99.0, 101.0)
        assert ticker.volume_24h is None

    with_feed(scenario)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (update(12), "update 12 after 10"),
        (update(10), "update 10 after 10"),
        (update(11, trade_updates=[trade(7, "1", "zz")]), "order zz is unknown"),
        (update(11, trade_updates=[trade(7, "9", "a1")]), "trade of 9 with a maker of 3"),
        (update(11, delete_update={"order_id": "zz"}), "order zz is unknown"),
        (
            update(
                11,
                create_update={"order_id": "n", "type": "BID", "price": "101", "volume": "1"},
            ),
            "crossed",
        ),
        (
            {**SNAPSHOT, "bids": [{"id": "b1", "price": "102.00", "volume": "2"}]},
            "crossed",
        ),
    ],
)
def test_what_does_not_fit_hangs_up_and_publishes_nothing_more(
    frame: dict[str, Any], reason: str
) -> None:
    """Only a new connection brings a new snapshot; what follows on this one goes nowhere."""

    def scenario(feed: PairFeed, streams: FakeStreams) -> None:
        before = len(streams.books)
        with pytest.raises(TransientError, match=reason):
            send(feed, frame)
        send(feed, update(11))
        send(feed, update(12))
        assert len(streams.books) == before
        assert streams.trades == []
        assert feed._subscription.status.state == "syncing"

    with_feed(scenario)


@pytest.mark.parametrize(
    "frame",
    [
        b"session limit exceeded",
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"sequence":"x","timestamp":1}',
        b'{"sequence":"11","status":"\xff"}',
        b'{"status":' + b"[" * 100_000,
        b'{"sequence":"11","timestamp":0}',
        b'{"sequence":"11","timestamp":1,"create_update":{"order_id":"n","type":"NO"}}',
        b'{"sequence":"11","timestamp":1,"bids":[{"id":"b","price":"NaN","volume":"1"}],"asks":[]}',
        b'{"sequence":"11","timestamp":1,"bids":[{"id":"b","price":"1","volume":"0"}],"asks":[]}',
        b'{"sequence":"11","timestamp":1,"bids":[]}',
    ],
)
def test_a_frame_that_cannot_be_read_is_counted_and_the_feed_goes_on(frame: bytes) -> None:
    """The next good update still fits."""

    def scenario(feed: PairFeed, streams: FakeStreams) -> None:
        feed._on_frame(frame)
        assert feed._bad_frames.count == 1
        send(feed, update(11, trade_updates=[trade(7, "1", "a1")]))
        assert streams.trade_ids == [7]

    with_feed(scenario)


def test_an_unreadable_update_is_noticed_by_the_next_one() -> None:
    """It was counted and left out, so the number after it is a gap."""

    def scenario(feed: PairFeed, _: FakeStreams) -> None:
        feed._on_frame(b'{"sequence":"11","timestamp":1,"trade_updates":7}')
        with pytest.raises(TransientError, match="update 12 after 10"):
            send(feed, update(12))

    with_feed(scenario)


@pytest.mark.parametrize("code", ["invalid_credentials", "ErrUnauthorised", "ErrApiKeyRevoked"])
def test_a_refused_key_stops_the_feed_and_names_the_variables(code: str) -> None:
    """Asking again with it won't help."""

    def scenario(feed: PairFeed, _: FakeStreams) -> None:
        with pytest.raises(FeedStoppedError, match="check LUNO_API_KEY_ID"):
            send(feed, {"error_code": code, "error": "no"})

    with_feed(scenario)


@pytest.mark.parametrize("code", ["auth_timeout", "a_code_nobody_knew"])
def test_any_other_error_is_waited_out(code: str) -> None:
    """Unknown codes too."""

    def scenario(feed: PairFeed, _: FakeStreams) -> None:
        with pytest.raises(TransientError, match=code):
            send(feed, {"error_code": code, "error": "no"})

    with_feed(scenario)


def test_the_rolling_volume_of_rest_is_in_the_ticker() -> None:
    """And a ticker that says nothing new isn't published again."""

    def scenario(feed: PairFeed, streams: FakeStreams) -> None:
        row = TickerRow("XBTZAR", 1_528_884_331_021, 99.0, 101.0, 100.0, 12.5)
        feed.compare(row)
        feed.compare(row)
        (ticker,) = streams.tickers
        assert (ticker.last_price, ticker.volume_24h) == (100.0, 12.5)

    with_feed(scenario)


def test_the_markets_status_is_followed_from_the_snapshot_on() -> None:
    """And it isn't known any more once the socket is gone."""

    async def main() -> None:
        feed = luno_feed(FakeStreams())
        told: list[str | None] = []
        feed._subscription.status.on_market = told.append
        send(feed, {**SNAPSHOT, "status": "POSTONLY"})
        send(feed, update(11))
        send(feed, update(12, status_update={"status": "ACTIVE"}))
        send(feed, update(13, status_update={"status": "DISABLED"}))
        feed._out_of_sync()
        assert told == ["post_only", "trading", "halted", None]

    run_virtually(main())


def test_a_stream_that_rest_has_left_behind_is_silent() -> None:
    """Pongs prove nothing: the ticker's time moved on, the stream's didn't."""

    def scenario(feed: PairFeed, _: FakeStreams) -> None:
        feed.compare(TickerRow("XBTZAR", 1_528_884_331_021 + 15_000, 99.0, 101.0, 100.0, 1.0))
        assert not feed._doubted.is_set()
        feed.compare(TickerRow("XBTZAR", 1_528_884_331_021 + 15_001, 99.0, 101.0, 100.0, 1.0))
        assert feed._doubted.is_set()
        assert "silent" in feed._doubt

    with_feed(scenario)
