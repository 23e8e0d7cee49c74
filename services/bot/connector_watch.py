"""The latest status of each connector: decides whether its market data is fresh."""

from collections.abc import Iterable
from dataclasses import dataclass

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream, connector
from services.bot.validation import MessageError, read

# A connector publishes its status every 10 s; after this silence, in seconds, it is unavailable.
SILENT_AFTER = 30.0


@dataclass(slots=True)
class _ReceivedStatus:
    """The latest status of one connector, and when it was received."""

    event: ConnectorStatusEvent
    received_at: float


class ConnectorWatch:
    """The latest status of each exchange's connector. Pure: callers pass entries and the time."""

    def __init__(self, exchanges: Iterable[str]) -> None:
        self.streams = {
            str(EventStream(connector(exchange), "connector_status")): exchange
            for exchange in exchanges
        }
        self._latest: dict[str, _ReceivedStatus] = {}

    def handle(self, stream: str, data: bytes, received_at: float) -> str | None:
        """Read one entry of `streams`; return why it is invalid, None if it is valid.

        *received_at* is in seconds, on the clock that `why_stale` gets.
        """
        try:
            event = read(ConnectorStatusEvent, data)
        except MessageError as e:
            return str(e)
        exchange = self.streams[stream]
        if event.exchange != exchange:
            return f"exchange {event.exchange!r}; expected {exchange!r}"
        self._latest[exchange] = _ReceivedStatus(event, received_at)
        return None

    def latest(self, exchange: str) -> ConnectorStatusEvent | None:
        """The latest status of the connector; None before the first."""
        received = self._latest.get(exchange)
        return received.event if received else None

    def why_silent(self, exchange: str, now: float) -> str | None:
        """Why a connector seems to be down; None if it publishes its status."""
        received = self._latest.get(exchange)
        if received is None:
            return f"{connector(exchange)} has published no status yet"
        age = max(0.0, now - received.received_at)
        if age > SILENT_AFTER:
            return f"{connector(exchange)} published its last status {age:.0f} s ago"
        return None

    def why_stale(self, exchange: str, symbol: str, now: float) -> str | None:
        """Why the latest data of a slash symbol can't be relied on; None if it can."""
        silent = self.why_silent(exchange, now)
        if silent is not None:
            return silent
        for status in self._latest[exchange].event.symbols:
            if status.symbol == symbol:
                return None if status.works else f"{status.state}: {status.reason}"
        return f"{connector(exchange)} doesn't name {symbol}"
