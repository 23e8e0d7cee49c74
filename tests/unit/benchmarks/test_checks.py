"""A bench that can't fail proves nothing: frames are real ones, checks find what is wrong."""

import json

import pytest
from fakeredis import FakeRedis

from benchmarks import frames
from benchmarks.contenders import DEPTH, Ours, WrongError, luno_book, our_ticker, our_trade
from services._connector_kit.market_data.encode import MarketDataEncoder
from services._connector_kit.market_data.order_book import ApplyOutcome, LevelBook, SequenceGap
from services.binance_connector import translate as binance
from services.luno_connector import translate as luno

COUNT = 200


@pytest.mark.parametrize(
    ("kind", "event"), [("trades", binance.AggTrade), ("tickers", binance.DayTicker)]
)
def test_every_frame_is_one_that_the_connector_understands(kind: str, event: type) -> None:
    """And the primer has one for each symbol."""
    feed = frames.feed(kind, COUNT)
    found = [binance.event(frame) for frame in feed.frames]
    assert {type(one) for one in found} == {event}
    assert feed.primer == len(frames.BASES)
    assert feed.burst == COUNT


def test_the_diffs_make_the_book_that_is_looked_for() -> None:
    """Joined to the snapshot without a gap, by the connector's own book."""
    start = binance.snapshot(frames.snapshot(frames.LEVELS))
    book = LevelBook(start.update_id, start.bids, start.asks, limit=frames.LEVELS)
    for frame in frames.feed("books", COUNT).frames:
        diff = binance.event(frame)
        assert isinstance(diff, binance.DepthUpdate)
        assert book.apply(diff.U, diff.u, diff.b, diff.a) is ApplyOutcome.APPLIED
    best = frames.top(COUNT + 1, DEPTH)
    assert {"b": book.bids.top(DEPTH), "a": book.asks.top(DEPTH)} == best


@pytest.mark.parametrize("updates", [COUNT, COUNT + 1, COUNT + 2])
def test_lunos_updates_make_the_book_that_is_looked_for(updates: int) -> None:
    """With trades, creates and deletes, and with an order left over."""
    first, *rest = (luno.frame(frame) for frame in frames.feed("luno", updates).frames)
    book = luno.book(first)
    for update in rest:
        outcome = book.apply(
            update.sequence or 0, luno.fills(update), luno.created(update), luno.deleted(update)
        )
        assert not isinstance(outcome, SequenceGap)
    data = MarketDataEncoder("luno", "XBT/ZAR").book(frames.FIRST_MS, book, DEPTH)
    found = json.loads(data or b"")
    found.pop("timestamp")
    assert found == luno_book(updates)


@pytest.mark.parametrize("work", ["trades", "tickers"])
def test_a_wrong_entry_is_found(work: str) -> None:
    """All right: no word. One entry missing in the middle, or one with another's numbers: found."""
    feed = frames.feed(work, COUNT)
    model = our_trade if work == "trades" else our_ticker
    streams = Ours().streams(work)
    for fault in (None, "missing", "wrong"):
        redis = FakeRedis()
        for i in range(len(feed.frames)):
            faulty = i == COUNT // 2
            if faulty and fault == "missing":
                continue
            message = model(i + len(streams) if faulty and fault == "wrong" else i)
            redis.xadd(streams[i % len(streams)], {"data": message.model_dump_json()})
        if fault is None:
            Ours().check(work, redis, feed)
        else:
            with pytest.raises(WrongError, match="want"):
                Ours().check(work, redis, feed)


def test_a_wrong_final_book_is_found() -> None:
    """The book of one diff before the last."""
    feed = frames.feed("books", COUNT)
    stream = Ours().streams("books")[0]
    for diffs, right in ((COUNT + 1, True), (COUNT, False)):
        best = frames.top(diffs, DEPTH)
        book = {
            name: [{"price": price, "quantity": quantity} for price, quantity in best[short]]
            for name, short in (("bids", "b"), ("asks", "a"))
        }
        redis = FakeRedis()
        redis.xadd(stream, {"data": json.dumps(book)})
        if right:
            Ours().check("books", redis, feed)
        else:
            with pytest.raises(WrongError, match="the final book"):
                Ours().check("books", redis, feed)
