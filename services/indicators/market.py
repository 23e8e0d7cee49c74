"""One market stream and all that is made from it: entries in, values out. Pure.

What it says is a function of the stream's entries and of what is saved of it: the same entries give
the same values, however they are cut into batches and wherever it was stopped between two.
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

# Exchanges that number a market's trades without holes, so that a jump is a lost trade.
CONSECUTIVE_TRADE_IDS = frozenset(
    each.name for each in MANIFESTS.values() if each.consecutive_trade_ids
)
# An id that is longer is no number; Python itself refuses to read 5000 digits as one.
MOST_DIGITS = 20


class IndicatorOutput(NamedTuple):
    """One value on its way: the stream, and the bytes of the field `data`."""

    stream: str
    data: bytes


class SavedLine(msgspec.Struct):
    """What is saved of a line beside its candles; `at` is the entry up to which that holds."""

    at: str
    count: int
    late: int = 0
    current: OpenCandle | None = None


class SavedMarket(NamedTuple):
    """What is saved of a market: see `Market.restore`."""

    position: StreamPosition
    trade_id: str | None
    lines: dict[str, tuple[SavedLine, list[Candle]]]


class Line:
    """One source of one market: from entries to candles to values."""

    def __init__(self, source: Source, wanted: Iterable[IndicatorSpec]) -> None:
        self.series = Series(source, wanted)
        self.builder = CandleBuilder(source.timeframe) if source.timeframe else None
        # What the series was given since it was last saved, and whether it was cleared before.
        self.new: list[Candle] = []
        self.cleared = False

    def add(
        self, time: datetime, price: float, quantity: Decimal
    ) -> list[tuple[IndicatorSpec, datetime, tuple[float, ...]]]:
        """The values that come with this trade or ticker."""
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
        """Entries are missing here: begin anew behind it."""
        if self.builder is not None:
            self.builder.hole()
        self._clear()

    def _clear(self) -> None:
        self.series.clear()
        self.new.clear()
        self.cleared = True

    def saved(self, at: str) -> SavedLine:
        """What is to be saved beside the candles."""
        late, current = (self.builder.late, self.builder.current) if self.builder else (0, None)
        return SavedLine(at, self.series.count, late, current)

    def restore(self, saved: SavedLine, candles: Sequence[Candle]) -> None:
        """Go on where it was saved."""
        self.series.restore(candles, saved.count)
        if self.builder is not None:
            self.builder.current, self.builder.late = saved.current, saved.late


class IndicatorMarket:
    """One market stream, and a line for each source that is made from it."""

    def __init__(self, wanted: Sequence[IndicatorSpec]) -> None:
        """*wanted*: at least one, all made from the same stream."""
        stream = wanted[0].market_stream
        self.stream = str(stream)
        self.position: StreamPosition | None = None
        self.trade_id: str | None = None
        self.malformed = self.holes = 0
        # Entries that were handled and saved, and lost; and how far behind the newest, in seconds.
        self.read = self.lost = 0
        self.lag = 0.0
        self.lines = {
            text: Line(each.source, [w for w in wanted if w.source.text == text])
            for text, each in {w.source.text: w for w in wanted}.items()
        }
        # How far each indicator is from its first value, as it was told last, by stream.
        self._told: dict[str, IndicatorProgress] = {}
        self._symbol = wanted[0].symbol
        self._exchange = stream.exchange
        self._model = _MODELS[stream.data_type]

    def restore(self, saved: SavedMarket | None) -> None:
        """Be as it was saved, or as new.

        A line that was saved at another position was not configured meanwhile: it begins anew.
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
        """Entries of the stream are missing here."""
        self.holes += 1
        self.trade_id = None
        log.warning("indicators_restarted", stream=self.stream, reason=reason)
        for line in self.lines.values():
            line.hole()

    def take(self, entries: Iterable[tuple[str, bytes]]) -> list[IndicatorOutput]:
        """The values that come with these entries, `(entry id, data)`, oldest first."""
        outputs = []
        for identifier, data in entries:
            message = self._read(identifier, data)
            if isinstance(message, Trade):
                self._look_for_a_hole(message)
                price, quantity = message.price, Decimal(str(message.quantity))
            elif message is not None:
                price, quantity = message.last_price, Decimal(0)
            else:
                continue
            for line in self.lines.values():
                for wanted, time, values in line.add(message.timestamp, price, quantity):
                    outputs += self._outputs(wanted, time, values, identifier)
        return outputs

    def progress(self, *, anew: bool = False) -> dict[str, IndicatorProgress]:
        """How far each indicator is from its first value, by stream; *anew*: also as told before.

        One that is warm is told once.
        """
        if anew:
            self._told.clear()
        found = {}
        for line in self.lines.values():
            for running in line.series.running:
                for stream in running.wanted.streams:
                    before = self._told.get(stream)
                    if running.warm and before is not None and before.missing is None:
                        continue
                    now = _progress(running, line)
                    if now != before:
                        found[stream] = now
        return found

    def told(self, progress: Mapping[str, IndicatorProgress]) -> None:
        """This progress was written."""
        self._told.update(progress)

    def saved(self) -> None:
        """All that is new was saved."""
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
        if self.malformed.bit_count() == 1:  # the first, second, fourth, eighth...
            log.warning(
                "malformed_entry",
                stream=self.stream,
                entry=identifier,
                error=fault,
                malformed=self.malformed,
            )
        return None

    def _look_for_a_hole(self, trade: Trade) -> None:
        if self._exchange in CONSECUTIVE_TRADE_IDS and trade.trade_id and self.trade_id:
            before, now = _number(self.trade_id), _number(trade.trade_id)
            if before is None or now != before + 1:
                told = f"trade {trade.trade_id[:MOST_DIGITS]} follows"
                self.hole(f"{told} trade {self.trade_id[:MOST_DIGITS]}")
        self.trade_id = trade.trade_id

    def _outputs(
        self, wanted: IndicatorSpec, time: datetime, values: tuple[float, ...], identifier: str
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
                    timeframe=wanted.source.text if wanted.source.timeframe else None,
                    caused_by=f"{self.stream} {identifier}",
                )
                .model_dump_json()
                .encode(),
            )
            for stream, name, value in zip(wanted.streams, wanted.names, values, strict=True)
        ]


def _progress(running: RunningIndicator, line: Line) -> IndicatorProgress:
    source, count, wants = running.wanted.source, line.series.count, running.wants
    if running.warm:
        wants = wants or 0
        count = wants
    return IndicatorProgress(
        have=count,
        want=wants if wants is None or running.warm or count < wants else None,
        of=f"candles of {source.text}" if source.timeframe else f"{source.text}s",
        stopped=running.stopped,
    )


def _number(trade_id: str) -> int | None:
    return int(trade_id) if trade_id.isdecimal() and len(trade_id) <= MOST_DIGITS else None


_MODELS: dict[str, type[Trade | Ticker]] = {"trades": Trade, "ticker": Ticker}
