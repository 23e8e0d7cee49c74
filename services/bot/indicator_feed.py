"""The latest value of each indicator that a strategy uses, and its age."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common_models import IndicatorProgress, IndicatorValue
from services._runtime.durations import parse_duration
from services.bot.strategy import StaleDataError
from services.bot.validation import MessageError, read


@dataclass(slots=True)
class _ReceivedValue:
    value: IndicatorValue
    entry_id: str
    made_at: float


class IndicatorFeed:
    """The state of one indicator stream: its latest value, and counts."""

    def __init__(self, stream: str, name: str, exchange: str, symbol: str) -> None:
        self.stream = stream
        self.name = name
        self.exchange = exchange
        self.symbol = symbol
        self.malformed = 0
        # How far it is from its first value, as the indicator host publishes it; None if unknown.
        self.progress: IndicatorProgress | None = None
        self._latest: _ReceivedValue | None = None

    def handle(
        self,
        entries: Iterable[tuple[str, bytes]],
        received_at: float,
        wall_offset: float,
        on_message: Callable[[str, IndicatorValue], None],
    ) -> str | None:
        """Read a batch, oldest first; count invalid entries and return the last fault.

        A value's age follows its own timestamp, because the indicator host may lag.
        *received_at* is in seconds, on the clock that `fresh` gets; that plus *wall_offset* is the
        wall time. *on_message* is called with each valid value after it became the latest.
        """
        fault = None
        for entry_id, data in entries:
            try:
                value = read(IndicatorValue, data)
            except MessageError as e:
                fault = str(e)
                self.malformed += 1
                continue
            identity = (value.indicator_name, value.exchange, value.symbol)
            if identity != (self.name, self.exchange, self.symbol):
                own = f"{self.name} {self.exchange} {self.symbol}"
                fault = f"it is {' '.join(identity)}; expected {own}"
                self.malformed += 1
                continue
            made_at = min(received_at, value.timestamp.timestamp() - wall_offset)
            self._latest = _ReceivedValue(value, entry_id, made_at)
            on_message(entry_id, value)
        return fault

    def fresh(self, now: float, most: float) -> IndicatorValue:
        """The latest value, if it is at most *most* seconds older than its candle's length.

        Raises:
            StaleDataError: there is none, or it is too old.
        """
        why = self.why_stale(now, most)
        if why is not None or self._latest is None:
            raise StaleDataError(why or "no value yet")
        return self._latest.value

    def why_stale(self, now: float, most: float) -> str | None:
        """Why the latest value can't be relied on; None if it can. *now* and *most* in seconds."""
        received = self._latest
        if received is None:
            return f"{self.stream}: no value yet; {self._what_is_missing()}"
        age = now - received.made_at
        allowed = most + seconds(received.value.timeframe)
        if age <= allowed:
            return None
        said = f"{self.stream} is {age:.1f} s old; expected at most {allowed:g} s"
        missing = self.progress.missing if self.progress else None
        return f"{said}; {missing}" if missing else said

    def _what_is_missing(self) -> str:
        if self.progress is None:
            entry = f"{self.exchange}:{self.symbol}:{self.name}"
            return f"no indicator host computes it: INDICATORS must name {entry}"
        return self.progress.missing or f"the next of its {self.progress.of} brings it"

    @property
    def caused_by(self) -> list[str]:
        """The stream entries that led to the latest value, itself first."""
        if self._latest is None:
            return []
        own = f"{self.stream} {self._latest.entry_id}"
        before = self._latest.value.caused_by
        return [own, before] if before else [own]


def seconds(timeframe: str | None) -> float:
    """How long a candle of this timeframe is; 0 for none, and for what isn't known."""
    return float(parse_duration(timeframe or "") or 0)
