"""Streams that keep what is added to them, in place of a StreamWriter."""

from dataclasses import dataclass, field
from typing import cast

from common_models import OrderBook, Ticker, Trade
from services._connector_kit.market_data.publisher import Publisher
from services._connector_kit.settings import ConnectorSettings
from services._runtime.stream_writer.writer import StreamWriter


@dataclass
class KeptStream:
    """What was added to one stream."""

    maxlen: int
    keep_all: bool
    added: list[bytes] = field(default_factory=list)

    def add(self, data: bytes) -> None:
        """As `OutStream.add`."""
        self.added.append(data)


class FakeStreams:
    """Has the one method of a StreamWriter that a Publisher uses."""

    def __init__(self) -> None:
        self.by_name: dict[str, KeptStream] = {}

    def stream(self, name: str, maxlen: int, *, keep_all: bool) -> KeptStream:
        """As `StreamWriter.stream`."""
        return self.by_name.setdefault(name, KeptStream(maxlen, keep_all))

    def publisher(
        self, exchange: str = "binance", symbol: str = "BTC/USDT", *, interval: float = 0.0
    ) -> Publisher:
        """A publisher that adds to these streams."""
        settings = ConnectorSettings.model_construct(order_book_interval=interval)
        return Publisher(cast(StreamWriter, self), exchange, symbol, settings)

    def _added(self, data_type: str) -> list[bytes]:
        return [
            data
            for name, stream in self.by_name.items()
            if name.endswith(f":{data_type}")
            for data in stream.added
        ]

    @property
    def trades(self) -> list[Trade]:
        """All trades, validated."""
        return [Trade.model_validate_json(data) for data in self._added("trades")]

    @property
    def trade_ids(self) -> list[int]:
        """The ids of all trades."""
        return [int(trade.trade_id or 0) for trade in self.trades]

    @property
    def tickers(self) -> list[Ticker]:
        """All tickers, validated."""
        return [Ticker.model_validate_json(data) for data in self._added("ticker")]

    @property
    def books(self) -> list[OrderBook]:
        """All books, validated."""
        return [OrderBook.model_validate_json(data) for data in self._added("orderbook")]
