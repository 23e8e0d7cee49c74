"""The latest value of each indicator that a strategy wants, and how old it is."""

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
    """One indicator stream as the bot has seen it."""

    def __init__(self, stream: str, name: str, exchange: str, symbol: str) -> None:
        self.stream = stream
        self.name = name
        self.exchange = exchange
        self.symbol = symbol
        self.malformed = 0
        # How far it is from its first value, as the indicator host says; None: it says nothing.
        self.progress: IndicatorProgress | None = None
        self._latest: _ReceivedValue | None = None

    def handle(
        self,
        entries: Iterable[tuple[str, bytes]],
        received_at: float,
        wall_offset: float,
        on_message: Callable[[str, IndicatorValue], None],
    ) -> str | None:
        """Read a batch, oldest first; what can't be read is counted, and the last fault returned.

        A value is as old as its own timestamp says: who computes may have fallen behind.
        *received_at* is in seconds of the clock that `fresh` is asked with, and *wall_offset* what
        is to be added to it for the time of day. *hear* is told of each, once it is the latest.
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
                fault = (
                    f"it is {' '.join(identity)}; want {self.name} {self.exchange} {self.symbol}"
                )
                self.malformed += 1
                continue
            made_at = min(received_at, value.timestamp.timestamp() - wall_offset)
            self._latest = _ReceivedValue(value, entry_id, made_at)
            on_message(entry_id, value)
        return fault

    def fresh(self, now: float, most: float) -> IndicatorValue:
        """The latest value, where it is at most *most* seconds older than its candle's length.

        Raises:
            StaleDataError: there is none, or it is too old.
        """
        why = self.why_stale(now, most)
        if why is not None or self._latest is None:
            raise StaleDataError(why or "nothing yet")
        return self._latest.value

    def why_stale(self, now: float, most: float) -> str | None:
        """Why the latest value can't be relied on, and how many are missing; None: it can."""
        received = self._latest
        if received is None:
            return f"{self.stream}: nothing yet; {self._what_is_missing()}"
        age = now - received.made_at
        allowed = most + seconds(received.value.timeframe)
        if age <= allowed:
            return None
        said = f"{self.stream} is {age:.1f} s old; want at most {allowed:g} s"
        missing = self.progress.missing if self.progress else None
        return f"{said}; {missing}" if missing else said

    def _what_is_missing(self) -> str:
        if self.progress is None:
            entry = f"{self.exchange}:{self.symbol}:{self.name}"
            return f"no indicator host says that it computes it: INDICATORS must name {entry}"
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
