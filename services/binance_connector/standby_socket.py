"""A socket's replacement: it delivers before the current one is closed, so no event is lost.

Both sockets carry the same events, but either may be behind. So the standby's frames are buffered
until the current socket has delivered everything from before the standby's first frame. Events that
both delivered are recognized by their ids.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

import structlog

from services._connector_kit.errors import TransientError
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import WebSocket, connect
from services._runtime.supervise import full_jitter, run_while_healthy
from services.binance_connector.translate import AggTrade, DepthUpdate, event

log = structlog.get_logger()

# The venue ends every connection after 24 h,
# https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams. In seconds.
LONGEST_LIFE = 23 * 3600.0
LIFE_JITTER = 3600.0
# In seconds. Sockets aren't replaced more often, even if the venue announces it: it counts them.
MIN_SOCKET_LIFE = 60.0
# The current socket gets this long to deliver what happened before the standby connected.
OVERLAP = 1.0
# A standby that hasn't caught up by then still takes over; the ids show what is missing.
CAUGHT_UP_WITHIN = 10.0
MAX_HELD_FRAMES = 20_000
LOOK_EVERY = 0.05


def socket_lifetime() -> float:
    """How long a socket serves, in seconds: sockets opened together aren't changed together."""
    return LONGEST_LIFE - random.random() * LIFE_JITTER  # noqa: S311 - jitter, not cryptography


class KnownIds(Protocol):
    """How far one symbol's events are known."""

    @property
    def depth_id(self) -> int | None:
        """The last update in the book; None while that isn't in sync."""

    @property
    def trade_id(self) -> int | None:
        """The last trade; None before the first."""


class StandbySocket:
    """The next socket's frames so far. `known` finds a symbol's ids; None for a foreign symbol."""

    def __init__(self, known: Callable[[str], KnownIds | None]) -> None:
        self._known = known
        self._held: list[bytes] = []
        self._first_updates: dict[str, int] = {}
        self._first_trades: dict[str, int] = {}

    def on_frame(self, frame: bytes) -> None:
        """Hold a frame."""
        self._held.append(frame)
        try:
            found = event(frame)
        except (ValueError, RecursionError):
            return  # it is counted when its turn comes
        if isinstance(found, DepthUpdate):
            self._first_updates.setdefault(found.s, found.U)
        elif isinstance(found, AggTrade):
            self._first_trades.setdefault(found.s, found.a)

    @property
    def caught_up(self) -> bool:
        """True when nothing is missing between what is known and what is held."""
        names = {*self._first_updates, *self._first_trades}
        return bool(self._held) and all(map(self._joins, names))

    def _joins(self, name: str) -> bool:
        known = self._known(name)
        if known is None:
            return True
        update, trade = self._first_updates.get(name), self._first_trades.get(name)
        # A book that isn't in sync gets a new snapshot anyway.
        depth_joins = update is None or known.depth_id is None or update <= known.depth_id + 1
        trade_joins = trade is None or (known.trade_id is not None and trade <= known.trade_id + 1)
        return depth_joins and trade_joins

    async def catch_up(self) -> None:
        """Return when it may take over."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while len(self._held) < MAX_HELD_FRAMES and loop.time() - started < CAUGHT_UP_WITHIN:
            await asyncio.sleep(LOOK_EVERY)
            if self.caught_up and loop.time() - started >= OVERLAP:
                return
        log.warning("standby_not_caught_up", held=len(self._held))

    def take_over(self, socket: WebSocket, on_frame: Callable[[bytes], None]) -> None:
        """Pass the held frames to *on_frame*, and then each new frame of *socket*."""
        socket.hand_to(on_frame)
        for frame in self._held:
            on_frame(frame)
        self._held.clear()


async def open_standby(
    url: str, known: Callable[[str], KnownIds | None], stats: SocketStats
) -> tuple[StandbySocket, WebSocket]:
    """A standby that may take over, and its socket. The caller must `end` it. Retries failures."""
    waits = full_jitter()
    while True:
        standby = StandbySocket(known)
        try:
            with ExitStack() as stack:
                socket = await connect(url, standby.on_frame, stats=stats)
                stack.callback(socket.end)
                await run_while_healthy(standby.catch_up(), socket.closed())
                stack.pop_all()
                return standby, socket
        except TransientError as e:
            log.warning("standby_socket_lost", error=str(e))
            await asyncio.sleep(max(next(waits), e.retry_after))
