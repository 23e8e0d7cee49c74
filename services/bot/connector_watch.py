"""What the connectors say of their feeds: the truth about what is fresh, however quiet it is."""

from collections.abc import Iterable
from dataclasses import dataclass

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream, connector
from services.bot.validation import MessageError, read

# A connector tells its status every 10 s; silent for longer than this, in seconds, it is gone.
SILENT_AFTER = 30.0


@dataclass(slots=True)
class _ReceivedStatus:
    """The latest status of one connector, and when it was received."""

    event: ConnectorStatusEvent
    received_at: float


class ConnectorWatch:
    """The latest status of each exchange's connector. Pure: it is fed, and told the time."""

    def __init__(self, exchanges: Iterable[str]) -> None:
        self.streams = {
            str(EventStream(connector(exchange), "connector_status")): exchange
            for exchange in exchanges
        }
        self._latest: dict[str, _ReceivedStatus] = {}

    def handle(self, stream: str, data: bytes, received_at: float) -> str | None:
        """Read one entry of `streams`; what is wrong with it where it can't be read.

        *received_at* is in seconds of the clock that `why_stale` is asked with.
        """
        try:
            event = read(ConnectorStatusEvent, data)
        except MessageError as e:
            return str(e)
        exchange = self.streams[stream]
        if event.exchange != exchange:
            return f"exchange {event.exchange!r}; want {exchange!r}"
        self._latest[exchange] = _ReceivedStatus(event, received_at)
        return None

    def latest(self, exchange: str) -> ConnectorStatusEvent | None:
        """What the connector told last."""
        received = self._latest.get(exchange)
        return received.event if received else None

    def why_silent(self, exchange: str, now: float) -> str | None:
        """Why a connector seems to be away; None: it tells its status."""
        received = self._latest.get(exchange)
        if received is None:
            return f"{connector(exchange)} has told no status yet"
        age = max(0.0, now - received.received_at)
        if age > SILENT_AFTER:
            return f"{connector(exchange)} told its last status {age:.0f} s ago"
        return None

    def why_stale(self, exchange: str, symbol: str, now: float) -> str | None:
        """Why what was heard last of a slash symbol can't be relied on; None: it can."""
        silent = self.why_silent(exchange, now)
        if silent is not None:
            return silent
        for status in self._latest[exchange].event.symbols:
            if status.symbol == symbol:
                return None if status.works else f"{status.state}: {status.reason}"
        return f"{connector(exchange)} doesn't name {symbol}"
