"""Market-data messages as JSON bytes, without building the model first.

What these write is what the validated model would have written, and what the model would
refuse gives None: a property test holds them to it. They exist because building and dumping a
model costs several times as much, on the path that every frame takes.
"""

from datetime import UTC, datetime
from functools import lru_cache
from json import dumps
from math import inf

from common_models.fields import Side
from services._connector_kit.market_data.order_book import Book


@lru_cache(maxsize=256)
def _second(epoch: int) -> str | None:
    try:
        return datetime.fromtimestamp(epoch, UTC).isoformat().removesuffix("+00:00")
    except (OverflowError, OSError, ValueError):
        return None


def iso(milliseconds: int) -> str | None:
    """Epoch milliseconds as an ISO timestamp in UTC; None where no calendar has that moment."""
    epoch, milli = divmod(milliseconds, 1000)
    second = _second(epoch)
    return None if second is None else f"{second}.{milli:03d}Z"


class Encoder:
    """Writes the messages of one symbol of one exchange."""

    __slots__ = ("_head", "_tail")

    def __init__(self, exchange: str, symbol: str) -> None:
        self._head = f'{{"symbol":{dumps(symbol)},"timestamp":"'
        self._tail = f',"exchange":{dumps(exchange)}}}'

    def trade(
        self, milliseconds: int, price: float, quantity: float, side: Side, trade_id: int
    ) -> bytes | None:
        """A Trade, or None where price, quantity or time isn't one."""
        when = iso(milliseconds)
        if when is None or not (0.0 < price < inf and 0.0 < quantity < inf):
            return None
        return (
            f'{self._head}{when}","price":{price!r},"quantity":{quantity!r},'
            f'"side":"{side}","trade_id":"{trade_id}"{self._tail}'
        ).encode()

    def ticker(
        self, milliseconds: int, last: float, bid: float, ask: float, volume: float | None
    ) -> bytes | None:
        """A Ticker, or None where it has no last price, bid, ask or time."""
        when = iso(milliseconds)
        if when is None or not (0.0 < last < inf and 0.0 < bid < inf and 0.0 < ask < inf):
            return None
        if volume is not None and not 0.0 <= volume < inf:
            return None
        return (
            f'{self._head}{when}","last_price":{last!r},"bid_price":{bid!r},'
            f'"ask_price":{ask!r},"volume_24h":{"null" if volume is None else repr(volume)}'
            f"{self._tail}"
        ).encode()

    def book(self, milliseconds: int, book: Book, depth: int) -> bytes | None:
        """An OrderBook with the best *depth* levels a side, or None where it has no time.

        A Ladder holds only valid levels.
        """
        when = iso(milliseconds)
        if when is None:
            return None
        return (
            f'{self._head}{when}","bids":[{book.bids.top_json(depth)}],'
            f'"asks":[{book.asks.top_json(depth)}]{self._tail}'
        ).encode()
