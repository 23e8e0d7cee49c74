"""Market-data messages as JSON bytes, without building the model first.

What these write is what the validated model would have written, and what the model would
refuse gives None: a property test holds them to it. They exist because building and dumping a
model costs several times as much, on the path that every frame takes. msgspec writes a float
as the shortest text that reads back as the same float, four times as fast as `repr`.
"""

from datetime import UTC, datetime
from functools import lru_cache
from math import inf

import msgspec

from common_models.fields import Side
from services._connector_kit.market_data.order_book import Book

_number = msgspec.json.Encoder().encode
_join = b"".join
_MILLIS = [b".%03dZ" % milli for milli in range(1000)]
_SIDES: dict[Side, bytes] = {"buy": b',"side":"buy"', "sell": b',"side":"sell"'}


@lru_cache(maxsize=256)
def _second(epoch: int) -> bytes | None:
    try:
        return datetime.fromtimestamp(epoch, UTC).isoformat().removesuffix("+00:00").encode()
    except (OverflowError, OSError, ValueError):
        return None


class MarketDataEncoder:
    """Writes the messages of one symbol of one exchange."""

    __slots__ = ("_epoch", "_exchange", "_head", "_start", "_tail")

    def __init__(self, exchange: str, symbol: str) -> None:
        self._head = b'{"symbol":%b,"timestamp":"' % msgspec.json.encode(symbol)
        self._exchange = b',"exchange":%b' % msgspec.json.encode(exchange)
        self._tail = self._exchange + b"}"
        self._epoch: int | None = None  # the second that `_start` ends with
        self._start: bytes | None = None

    def _turn_to(self, epoch: int) -> bytes | None:
        """What every message of that second begins with; None if no calendar has it."""
        second = _second(epoch)
        self._epoch = epoch
        self._start = None if second is None else self._head + second
        return self._start

    def trade(
        self,
        milliseconds: int,
        price: float,
        quantity: float,
        side: Side,
        trade_id: int,
        first_id: int | None = None,
        last_id: int | None = None,
    ) -> bytes | None:
        """A Trade, or None where price, quantity or time isn't one."""
        epoch, milli = divmod(milliseconds, 1000)
        start = self._start if epoch == self._epoch else self._turn_to(epoch)
        if start is None or not (0.0 < price < inf and 0.0 < quantity < inf):
            return None
        return _join(
            (
                start,
                _MILLIS[milli],
                b'","price":',
                _number(price),
                b',"quantity":',
                _number(quantity),
                _SIDES[side],
                b',"trade_id":"%d"' % trade_id,
                self._exchange,
                b"}"
                if first_id is None or last_id is None
                else b',"first_trade_id":"%d","last_trade_id":"%d"}' % (first_id, last_id),
            )
        )

    def ticker(
        self, milliseconds: int, last: float, bid: float, ask: float, volume: float | None
    ) -> bytes | None:
        """A Ticker, or None where it has no last price, bid, ask or time."""
        epoch, milli = divmod(milliseconds, 1000)
        start = self._start if epoch == self._epoch else self._turn_to(epoch)
        if start is None or not (0.0 < last < inf and 0.0 < bid < inf and 0.0 < ask < inf):
            return None
        if volume is not None and not 0.0 <= volume < inf:
            return None
        return _join(
            (
                start,
                _MILLIS[milli],
                b'","last_price":',
                _number(last),
                b',"bid_price":',
                _number(bid),
                b',"ask_price":',
                _number(ask),
                b',"volume_24h":',
                _number(volume),
                self._tail,
            )
        )

    def book(self, milliseconds: int, book: Book, depth: int) -> bytes | None:
        """An OrderBook with the best *depth* levels a side, or None where it has no time.

        A Ladder holds only valid levels.
        """
        epoch, milli = divmod(milliseconds, 1000)
        start = self._start if epoch == self._epoch else self._turn_to(epoch)
        if start is None:
            return None
        return _join(
            (
                start,
                _MILLIS[milli],
                b'","bids":[',
                book.bids.top_json(depth),
                b'],"asks":[',
                book.asks.top_json(depth),
                b"]",
                self._tail,
            )
        )
