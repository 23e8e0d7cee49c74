"""What lies in a simulated Redis for one connector, as somebody who looks from outside reads it."""

from typing import Any

from common_models.stream_names import CommandStream, DeadLetterStream, EventStream, state_key
from services._connector_kit.orders.execution.record import Record, load
from services._connector_kit.orders.keys import positions_key
from services._connector_kit.orders.risk.positions import read_positions
from services._runtime.position import Position
from tests.simulation.redis import FaultyRedis
from tests.simulation.redis_streams import FIRST, Stream, show_id

EXCHANGE = "binance"
CONNECTOR = "binance_connector"
PLACE = "place_order"


class View:
    """A look at a Redis; nothing is changed by it."""

    def __init__(self, redis: FaultyRedis) -> None:
        self._redis = redis

    def command_stream(self, command: str) -> Stream:
        """The stream of *command*."""
        return self._redis.engine.stream(str(CommandStream(CONNECTOR, command))) or Stream()

    def entries(self, command: str = PLACE) -> dict[str, bytes]:
        """Commands by entry id."""
        found = self.command_stream(command).entries
        return {show_id(entry_id).decode(): fields[1] for entry_id, fields in found.items()}

    def pending(self, command: str = PLACE) -> dict[str, str]:
        """Who has what was read and is not acknowledged."""
        group = self.command_stream(command).groups.get(CONNECTOR.encode())
        found = group.pending.items() if group else ()
        return {show_id(entry_id).decode(): p.consumer.decode() for entry_id, p in found}

    def undelivered(self, command: str = PLACE) -> list[str]:
        """What nobody has read."""
        stream = self.command_stream(command)
        group = stream.groups.get(CONNECTOR.encode())
        found = stream.after(group.delivered if group else FIRST)
        return [show_id(entry_id).decode() for entry_id, _ in found]

    def events(self, name: str) -> list[bytes]:
        """The events of a stream, oldest first."""
        return self._values(str(EventStream(CONNECTOR, name)))

    @property
    def responses(self) -> list[bytes]:
        """The answers to `place_order`."""
        return self.events("order_response")

    def dead_letters(self, command: str = PLACE) -> list[bytes]:
        """The dead letters of *command*."""
        return self._values(str(DeadLetterStream(CONNECTOR, command)))

    def _values(self, name: str) -> list[bytes]:
        stream = self._redis.engine.stream(name)
        return [fields[1] for fields in stream.entries.values()] if stream else []

    def record(self, client_order_id: str) -> Record | None:
        """The record of that id."""
        data = self._redis.do("GET", state_key(CONNECTOR, f"order:{client_order_id}"))
        return None if data is None else load(data)

    def unanswered(self) -> list[str]:
        """The client order ids of records without a final answer."""
        prefix = state_key(CONNECTOR, "order:")
        ids = [key.decode().removeprefix(prefix) for key in self._redis.do("KEYS", f"{prefix}*")]
        return [i for i in ids if (found := self.record(i)) and found.state != "closed"]

    def provisional(self) -> list[Record]:
        """What was given up, and is watched."""
        ids = self._redis.do("ZRANGE", state_key(CONNECTOR, "ghosts"), 0, -1)
        found = [self.record(client_order_id.decode()) for client_order_id in ids]
        return [record for record in found if record is not None and record.provisional]

    def positions(self) -> dict[str, Position]:
        """What is held by our own orders, by symbol."""
        return read_positions(self._redis.do("HGETALL", positions_key(CONNECTOR)))

    def followed(self, order_id: str) -> bool:
        """Whether the account knows of an order: it was published, or will be asked for."""
        noted: list[Any] = self._redis.do("HKEYS", state_key(CONNECTOR, "accepted_orders"))
        kept: list[bytes] = self._redis.do("KEYS", state_key(CONNECTOR, "told:*"))
        return any(_names(name, order_id) for name in (*noted, *kept))


def _names(name: bytes, order_id: str) -> bool:
    return name.decode().replace(":", " ").split(" ")[-1] == order_id
