"""Binance's streams as channels: a frame is encoded once for all its listeners."""

from typing import Protocol


class ChannelListener(Protocol):
    """A client's session: `combined` is whether its frames are wrapped with the stream's name."""

    combined: bool

    def push(self, frame: bytes) -> None:
        """Send one frame to the client."""


class Channel:
    """One stream, e.g. "btcusdt@depth@100ms", and its listeners."""

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
