"""Every kind of frame of Luno's, given to the connector's own feed: each is understood."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services._connector_kit.errors import FeedStoppedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import LastTrade, VenueTrade
from services._connector_kit.venue_stats import SocketStats
from services._runtime.health import Readiness
from services.luno_connector import translate
from services.luno_connector.settings import LunoSettings
from services.luno_connector.stream import PairFeed
from tests.support.market_data.fake_streams import FakeStreams


class NoRest:
    """A REST side that knows nothing."""

    async def tickers(self, _: object) -> list[translate.TickerRow]:
        """None."""
        return []

    async def top_of_book(self, pair: str) -> translate.TopOfBook:
        """Never asked by a stream."""
        raise AssertionError(pair)

    async def trades(self, _: str) -> list[VenueTrade]:
        """None."""
        return []


def luno_feed(streams: FakeStreams, last_trade: LastTrade | None = None) -> PairFeed:
    """The real feed of one pair, its publisher adding to *streams*; needs a running loop."""
    desk = SymbolSubscription(
        Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True),
        streams.publisher("luno", "XBT/ZAR"),
        FeedStatus("XBT/ZAR", Readiness()),
        last_trade,
    )
    return PairFeed(desk, NoRest(), LunoSettings.model_construct(), SocketStats())


def frames_of(path: Path) -> Iterator[tuple[str, Any]]:
    """The note and the frame of each line."""
    for line in path.read_text().splitlines():
        row = json.loads(line)
        yield row["note"], row["frame"]


def check_frames(path: Path) -> Counter[str]:
    """Give each frame of *path* to the connector; how many there were of each kind.

    A frame that continues no other gets a book made to fit it first: one captured alone can't
    be joined to anything.
    """
    kinds: Counter[str] = Counter()
    feed, streams = luno_feed(FakeStreams()), FakeStreams()
    known: int | None = None
    for note, frame in frames_of(path):
        kind = _kind(frame)
        kinds[kind] += 1
        payload = json.dumps(frame, separators=(",", ":")).encode()
        if kind == "credentials":
            continue  # ours to send
        if kind == "market":
            (instrument,) = translate.instruments({"markets": [frame]})
            assert instrument.symbol == f"{frame['base_currency']}/{frame['counter_currency']}"
            continue
        if kind == "error":
            with pytest.raises((TransientError, FeedStoppedError), match=frame["error_code"]):
                feed._on_frame(payload)
            continue
        if kind == "snapshot" or (kind == "update" and int(frame["sequence"]) - 1 != known):
            streams = FakeStreams()
            feed = luno_feed(streams)
        if kind == "update" and int(frame["sequence"]) - 1 != known:
            feed._on_frame(_fitting_snapshot(frame))
        told = len(streams.trades)
        feed._on_frame(payload)
        assert feed._bad_frames.count == 0, note
        if kind in ("snapshot", "update"):
            known = int(frame["sequence"])
            assert feed._book is not None
            assert feed._book.sequence == known
            trades = frame.get("trade_updates") or []
            assert len(streams.trades) == told + len(trades), note
    return kinds


def _kind(frame: Any) -> str:
    if frame == "":
        return "keep-alive"
    for name, kind in (
        ("error_code", "error"),
        ("api_key_id", "credentials"),
        ("market_id", "market"),
        ("asks", "snapshot"),
    ):
        if name in frame:
            return kind
    return "update"


def _fitting_snapshot(update: dict[str, Any]) -> bytes:
    """A book that the update can follow."""
    bids = [
        {
            "id": trade["maker_order_id"],
            "price": str(float(trade["counter"]) / float(trade["base"])),
            "volume": trade["base"],
        }
        for trade in update["trade_updates"] or ()
    ]
    if gone := update["delete_update"]:
        bids.append({"id": gone["order_id"], "price": "1", "volume": "1"})
    return json.dumps(
        {
            "sequence": str(int(update["sequence"]) - 1),
            "bids": bids,
            "asks": [],
            "status": "ACTIVE",
            "timestamp": update["timestamp"] - 1,
        }
    ).encode()
