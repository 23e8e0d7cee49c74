"""Binance's streams as channels: a frame is encoded once, whoever listens."""

from typing import Protocol


class ChannelListener(Protocol):
    """A client's session: it takes frames, and says whether it wants them wrapped."""

    combined: bool

    def push(self, frame: bytes) -> None:
        """Take one frame."""


class Channel:
    """One stream, e.g. "btcusdt@depth@100ms", and who listens to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.listeners: set[ChannelListener] = set()

    def publish(self, payload: bytes) -> None:
        """Send *payload* to all, wrapped in `{"stream":..,"data":..}` for combined sessions."""
        wrapped = b""
        for listener in list(self.listeners):
            if listener.combined:
                wrapped = wrapped or b'{"stream":"%b","data":%b}' % (self.name.encode(), payload)
                listener.push(wrapped)
            else:
                listener.push(payload)
