"""The sender of every stream frame: it applies the fault rules to each."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from services.exchange_simulator.endpoints import StreamEndpoint
from services.exchange_simulator.faults import FaultPlan, StreamFault
from services.exchange_simulator.instruments import Venue
from services.exchange_simulator.sockets import Connection

SessionAction = Literal["disconnect", "half_open", "server_shutdown"]


class StreamFaults:
    """Sends frames to one client. *notice* returns the venue's frame about a server shutdown."""

    def __init__(
        self,
        plan: FaultPlan,
        aim: tuple[Venue, StreamEndpoint],
        connection: Connection,
        notice: Callable[[], bytes] | None,
    ) -> None:
        self.aim = aim
        self._plan = plan
        self._connection = connection
        self._notice = notice
        self._held: list[bytes] = []  # frames to send after the next one
        self._burst: list[bytes] = []  # frames held back until there are `_burst_size`
        self._burst_size = 0

    def push(self, frame: bytes) -> None:
        """Send a frame, or apply the fault of a matching rule."""
        if self._burst_size:
            self._gather(frame)
            return
        if self.aim not in self._plan.armed:
            self._send(frame)
            return
        fault = self._plan.take_frame(*self.aim, frame.decode())
        if fault is None:
            self._send(frame)
        else:
            self._apply(fault, frame)

    def act(self, action: SessionAction) -> bool:
        """Apply *action* to the connection; False if the venue has no such action."""
        if action == "disconnect":
            self._connection.cut()
        elif action == "half_open":
            self._connection.freeze()
        elif self._notice is None:
            return False
        else:
            self._connection.push(self._notice())
        return True

    def _apply(self, fault: StreamFault, frame: bytes) -> None:
        if fault.action == "duplicate":
            self._send(frame)
            self._send(frame)
        elif fault.action == "reorder":
            self._held.append(frame)
        elif fault.action == "burst":
            self._burst_size = fault.frames
            self._gather(frame)
        elif fault.action == "delay":
            later = asyncio.get_running_loop().call_later
            later(fault.delay_ms / 1000, self._connection.push, frame)
        elif fault.action in ("disconnect", "half_open"):
            self.act(fault.action)

    def _gather(self, frame: bytes) -> None:
        self._burst.append(frame)
        if len(self._burst) == self._burst_size:
            together, self._burst, self._burst_size = self._burst, [], 0
            for each in together:
                self._send(each)

    def _send(self, frame: bytes) -> None:
        self._connection.push(frame)
        if self._held:
            held, self._held = self._held, []
            for earlier in held:
                self._connection.push(earlier)


class AllStreamFaults:
    """The senders of all open streams."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._open: set[StreamFaults] = set()

    @contextmanager
    def open(
        self,
        venue: Venue,
        endpoint: StreamEndpoint,
        connection: Connection,
        notice: Callable[[], bytes] | None = None,
    ) -> Iterator[StreamFaults]:
        """A sender for *connection*, registered for the length of the block."""
        stream_faults = StreamFaults(self._plan, (venue, endpoint), connection, notice)
        self._open.add(stream_faults)
        try:
            yield stream_faults
        finally:
            self._open.discard(stream_faults)

    def counts(self) -> dict[str, dict[str, int]]:
        """The number of open connections, by venue and endpoint."""
        found: dict[str, dict[str, int]] = {}
        for stream_faults in self._open:
            venue, endpoint = stream_faults.aim
            of_venue = found.setdefault(venue, {})
            of_venue[endpoint] = of_venue.get(endpoint, 0) + 1
        return found

    def act(self, venue: Venue, endpoint: StreamEndpoint, action: SessionAction) -> int:
        """Apply *action* to all connections of that kind; returns their number."""
        aimed = [
            stream_faults for stream_faults in self._open if stream_faults.aim == (venue, endpoint)
        ]
        return sum(map(partial(_act, action), aimed))


def _act(action: SessionAction, stream_faults: StreamFaults) -> bool:
    return stream_faults.act(action)
