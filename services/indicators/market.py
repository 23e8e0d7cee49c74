"""One market stream and its indicators: entries in, values out. Pure.

The values depend only on the stream's entries and the saved state: the same entries give the same
values, however they are split into batches and wherever the host was stopped between two.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
import structlog
from pydantic import ValidationError

from common_models import IndicatorProgress, IndicatorValue, Ticker, Trade
from services._runtime.exchanges import MANIFESTS
from services._runtime.stream_position import StreamPosition
from services.indicators.candles import Candle, CandleBuilder, OpenCandle
from services.indicators.configuration import IndicatorSpec, Source
from services.indicators.series import RunningIndicator, Series

log = structlog.get_logger()

# Exchanges that number a market's trades without gaps, so that a jump is a lost trade.
CONSECUTIVE_TRADE_IDS = frozenset(
    each.name for each in MANIFESTS.values() if each.consecutive_trade_ids
)
# A longer id is not read as a number; Python refuses more than 4300 digits.
MOST_DIGITS = 20


class IndicatorOutput(NamedTuple):
    """One value to publish: the stream, and the bytes of the field `data`."""

    stream: str
    data: bytes


class SavedLine(msgspec.Struct):
    """The saved state of a line without its candles; `at` is the last entry it includes."""

    at: str
    count: int
    late: int = 0
    current: OpenCandle | None = None


class SavedMarket(NamedTuple):
    """The saved state of a market: see `IndicatorMarket.restore`."""

    position: StreamPosition
    trade_id: str | None
    lines: dict[str, tuple[SavedLine, list[Candle]]]


class Line:
    """One source of one market: from entries to candles to values."""

    def __init__(self, source: Source, specs: Iterable[IndicatorSpec]) -> None:
        self.series = Series(source, specs)
        self.builder = CandleBuilder(source.timeframe) if source.timeframe else None
        # The candles since the last save, and whether the series was cleared before them.
        self.new: list[Candle] = []
        self.cleared = False

    def add(
        self, time: datetime, price: float, quantity: Decimal
    ) -> list[tuple[IndicatorSpec, datetime, tuple[float, ...]]]:
        """The values that this trade or ticker completes."""
        if self.builder is None:
            closed: list[Candle] | None = [Candle(time, *(price,) * 4, quantity)]
        else:
            closed = self.builder.add(time, price, quantity)
        if closed is None:
            self._clear()
            return []
        self.new += closed
        return [value for candle in closed for value in self.series.add(candle)]

    def hole(self) -> None:
        """Start again after missing entries."""
        if self.builder is not None:
            self.builder.hole()
        self._clear()

    def _clear(self) -> None:
        self.series.clear()
        self.new.clear()
        self.cleared = True

    def saved(self, at: str) -> SavedLine:
        """The state to save with the candles."""
        late, current = (self.builder.late, self.builder.current) if self.builder else (0, None)
        return SavedLine(at, self.series.count, late, current)

    def restore(self, saved: SavedLine, candles: Sequence[Candle]) -> None:
        """Continue from a saved state."""
        self.series.restore(candles, saved.count)
        if self.builder is not None:
            self.builder.current, self.builder.late = saved.current, saved.late


class IndicatorMarket:
    """One market stream, and a line for each source made from it."""

    def __init__(self, specs: Sequence[IndicatorSpec]) -> None:
        """*specs*: at least one, all made from the same stream."""
        stream = specs[0].market_stream
        self.stream = str(stream)
        self.position: StreamPosition | None = None
        self.trade_id: str | None = None
        self.malformed = self.holes = 0
        # Entries handled and saved, and entries lost; and the lag behind the newest, in seconds.
        self.read = self.lost = 0
        self.lag = 0.0
        self.lines = {
            text: Line(first.source, [each for each in specs if each.source.text == text])
            for text, first in {each.source.text: each for each in specs}.items()
        }
        # The last written progress of each indicator, by stream.
        self._written_progress: dict[str, IndicatorProgress] = {}
        self._symbol = specs[0].symbol
        self._exchange = stream.exchange
        self._model = _MODELS[stream.data_type]

    def restore(self, saved: SavedMarket | None) -> None:
        """Continue from a saved state; None starts without one.

        A line that was saved at another position was not configured meanwhile: it starts again.
        """
        self.position = saved.position if saved else None
        self.trade_id = saved.trade_id if saved else None
        for text, line in self.lines.items():
            found = saved.lines.get(text) if saved else None
            line.hole()
            if saved and found and found[0].at == saved.position.id:
                line.restore(*found)
                line.cleared = False

    def hole(self, reason: str) -> None:
        """Start all lines again, because entries of the stream are missing."""
        self.holes += 1
        self.trade_id = None
        log.warning("indicators_restarted", stream=self.stream, reason=reason)
        for line in self.lines.values():
            line.hole()

    def handle(self, entries: Iterable[tuple[str, bytes]]) -> list[IndicatorOutput]:
        """The values that these entries complete; entries are `(entry id, data)`, oldest first."""
        outputs = []
        for identifier, data in entries:
            message = self._read(identifier, data)
            if isinstance(message, Trade):
                self._detect_gap(message)
                price, quantity = message.price, Decimal(str(message.quantity))
            elif message is not None:
                price, quantity = message.last_price, Decimal(0)
            else:
                continue
            for line in self.lines.values():
                for spec, time, values in line.add(message.timestamp, price, quantity):
                    outputs += self._outputs(spec, time, values, identifier)
        return outputs

    def progress(self, *, all_of_it: bool = False) -> dict[str, IndicatorProgress]:
        """The changed progress of each indicator, by stream; *all_of_it*: unchanged progress too.

        The progress of a warm indicator is returned once.
        """
        if all_of_it:
            self._written_progress.clear()
        found = {}
        for line in self.lines.values():
            for running in line.series.running:
                for stream in running.spec.streams:
                    before = self._written_progress.get(stream)
                    if running.warm and before is not None and before.missing is None:
                        continue
                    now = _progress(running, line)
                    if now != before:
                        found[stream] = now
        return found

    def progress_written(self, progress: Mapping[str, IndicatorProgress]) -> None:
        """Note that this progress was written."""
        self._written_progress.update(progress)

    def saved(self) -> None:
        """Note that all new candles were saved."""
        for line in self.lines.values():
            line.new.clear()
            line.cleared = False

    def _read(self, identifier: str, data: bytes) -> Trade | Ticker | None:
        try:
            message = self._model.model_validate_json(data)
        except ValidationError as e:
            fault = str(e.errors(include_url=False, include_input=False)[0]["msg"])
        else:
            if (message.exchange, message.symbol) == (self._exchange, self._symbol):
                return message
            fault = f"{message.symbol[:50]!r} of {message.exchange[:50]!r}"
        self.malformed += 1
        if self.malformed.bit_count() == 1:  # at counts that are powers of two
            log.warning(
                "malformed_entry",
                stream=self.stream,
                entry=identifier,
                error=fault,
                malformed=self.malformed,
            )
        return None

    def _detect_gap(self, trade: Trade) -> None:
        if self._exchange in CONSECUTIVE_TRADE_IDS and trade.trade_id and self.trade_id:
            before, now = _number(self.trade_id), _number(trade.trade_id)
            if before is None or now != before + 1:
                follows = f"trade {trade.trade_id[:MOST_DIGITS]} follows"
                self.hole(f"{follows} trade {self.trade_id[:MOST_DIGITS]}")
        self.trade_id = trade.trade_id

    def _outputs(
        self, spec: IndicatorSpec, time: datetime, values: tuple[float, ...], identifier: str
    ) -> list[IndicatorOutput]:
        return [
            IndicatorOutput(
                stream,
                IndicatorValue(
                    timestamp=time,
                    value=value,
                    indicator_name=name,
                    symbol=self._symbol,
                    exchange=self._exchange,
                    timeframe=spec.source.text if spec.source.timeframe else None,
                    caused_by=f"{self.stream} {identifier}",
                )
                .model_dump_json()
                .encode(),
            )
            for stream, name, value in zip(spec.streams, spec.names, values, strict=True)
        ]


def _progress(running: RunningIndicator, line: Line) -> IndicatorProgress:
    source, count, first_value_after = (
        running.spec.source,
        line.series.count,
        running.first_value_after,
    )
    if running.warm:
        first_value_after = first_value_after or 0
        count = first_value_after
    return IndicatorProgress(
        have=count,
        want=first_value_after
        if first_value_after is None or running.warm or count < first_value_after
        else None,
        of=f"candles of {source.text}" if source.timeframe else f"{source.text}s",
        stopped=running.stopped,
    )


def _number(trade_id: str) -> int | None:
    return int(trade_id) if trade_id.isdecimal() and len(trade_id) <= MOST_DIGITS else None


_MODELS: dict[str, type[Trade | Ticker]] = {"trades": Trade, "ticker": Ticker}
