"""What a whole world has beside the order core: account, requests, settings, a former release."""

import random
from collections.abc import Callable
from decimal import Decimal

import msgspec

from common_models import OrderStatusUpdateEvent, PlaceOrderCommand
from common_models.stream_names import HALT, CommandStream, EventStream, state_key
from services._connector_kit.orders.commands.request_consumer import COMMANDS
from tests.simulation import loop as virtual
from tests.simulation.account_book import Account
from tests.simulation.loop import Timers
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.redis import FaultyRedis
from tests.simulation.venue import VALIDITY_MS, FaultyVenue
from tests.simulation.view import CONNECTOR, PLACE, View
from tests.simulation.whole import Machine, WholeConnector
from tests.simulation.whole_plan import LONG_PAUSE, SYMBOLS, Request, Whole

# By which a machine's clock may be wrong when it is switched on, in seconds.
WALL_ERROR = 3600.0


class Rest:
    """The rest of a world."""

    def __init__(
        self,
        plan: Plan,
        whole: Whole,
        redis: FaultyRedis,
        venue: FaultyVenue,
        rng: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self.account = Account(plan.venue, venue, rng, whole.account, say)
        self._plan = plan
        self._whole = whole
        self._redis = redis
        self._venue = venue
        self._view = View(redis)
        self._rng = rng
        self._say = say
        self._loop = virtual.current()
        self._timers = Timers()
        self._to_come = 0
        self._runs = 0
        self.off_until = 0.0
        self.sent: dict[str, str] = {}  # requests: command by client request id
        self.canceled_all: dict[str, tuple[str, float, str | None]] = {}

    def begin(self) -> None:
        """Let everything happen in its time."""
        whole = self._whole
        if whole.old_release:
            _FormerRelease(self._redis, self._venue, self.account, self._rng).leave_behind()
        for request in whole.requests:
            self._later(request.at, self._send, request)
        for number, (at, symbol) in enumerate(whole.elsewhere):
            self._later(at, self.account.place_elsewhere, symbol, number)
        if whole.reset_at is not None:
            self._later(whole.reset_at, self.account.begin_anew)
        for begin, end in whole.halts:
            self._later(begin, self._redis.do, "SET", HALT, "why")
            self._later(end, self._redis.do, "DEL", HALT)

    def _later(self, at: float, act: Callable[..., object], *args: object) -> None:
        self._to_come += 1

        def happens() -> None:
            if not self._redis.up:
                self._timers.after(0.5, happens)
                return
            self._to_come -= 1
            act(*args)

        self._timers.after(at, happens)

    def _send(self, request: Request) -> None:
        stream = str(CommandStream(CONNECTOR, request.command))
        entry_id = self._redis.do("XADD", stream, "*", "data", request.data)
        name = msgspec.json.decode(request.data)["client_request_id"]
        self.sent[name] = request.command
        if request.command == "cancel_all_orders":
            symbol = msgspec.json.decode(request.data).get("symbol")
            self.canceled_all[name] = (entry_id.decode(), self._loop.time(), symbol)
        self._say(f"bot sends {request.command} {request.data!r}")

    def connector(self, process: Process, consumer: str) -> WholeConnector:
        """Start a connector with the settings of this start."""
        settings = self._whole.settings[min(self._runs, len(self._whole.settings) - 1)]
        if len(self._plan.starts) == 1:  # instances beside each other are told the same
            self._runs += 1
        machine = Machine(self._plan, self._loop.time(), self._rng.uniform(-WALL_ERROR, WALL_ERROR))
        self._say(f"{process.name} is told {settings}")
        return WholeConnector(
            process, consumer, self._plan, settings, self._redis, self.account, machine
        )

    def switch_off(self) -> None:
        """Nothing runs for days, from now on."""
        self.off_until = self._loop.time() + LONG_PAUSE

    def down_for(self) -> float:
        """For how long nothing runs, from now on."""
        return max(0.0, self.off_until - self._loop.time())

    @property
    def pause_at(self) -> float | None:
        """When everything is switched off for a long time, once all is answered."""
        return self._whole.pause_at

    def busy(self) -> bool:
        """Something is to come, under way, not yet answered, or not to be seen yet."""
        now = self._loop.time()
        hidden = (max(o.found_from, o.searched_from) for o in self._venue.living())
        refused = (end for _, end in self._whole.account.refusals)
        gaps = (end for _, end in self._whole.book_gaps)
        return bool(
            self._to_come
            or self.account.moving
            or now < max((*hidden, *refused, *gaps), default=0.0)
            or (self.pause_at is not None and not self.off_until)
            or self.down_for()
            or any(self._view.pending(name) for name in COMMANDS)
            or any(self._view.undelivered(name) for name in COMMANDS)
        )


class _FormerRelease:
    """Leaves in Redis what the release before this one wrote, in its own words."""

    def __init__(
        self, redis: FaultyRedis, venue: FaultyVenue, account: Account, rng: random.Random
    ) -> None:
        self._redis = redis
        self._venue = venue
        self._account = account
        self._rng = rng

    def leave_behind(self) -> None:
        """An order under way, and one that is open and partly filled."""
        self._under_way()
        self._open()

    def _record(self, command: PlaceOrderCommand, entry_id: str) -> dict[str, object]:
        return {
            "client_order_id": command.client_order_id,
            "entry_id": entry_id,
            "content": "0123456789abcdef0123456789abcdef",
            "command": command.model_dump_json(),
            "timestamp": int(self._venue.milliseconds()),
            "validity": VALIDITY_MS,
            "sendable": True,
            "state": "taken",
            "sent_quantity": f"{command.quantity:g}",
            "sent_price": f"{command.price:g}" if command.price else None,
            "answer": None,
            "provisional": False,
        }

    def _under_way(self) -> None:
        """Read and claimed; perhaps sent."""
        command = _command("old-1", self._rng.choice(SYMBOLS), "market")
        stream = str(CommandStream(CONNECTOR, PLACE))
        if self._redis.engine.stream(stream) is None:
            self._redis.do("XGROUP", "CREATE", stream, CONNECTOR, "0", "MKSTREAM")
        data = command.model_dump_json(exclude_defaults=True)
        entry_id = self._redis.do("XADD", stream, "*", "data", data).decode()
        self._redis.do(
            *("XREADGROUP", "GROUP", CONNECTOR, "instance-0", "COUNT", 10),
            *("STREAMS", stream, ">"),
        )
        record = msgspec.json.encode(self._record(command, entry_id))
        self._redis.do("SET", state_key(CONNECTOR, "order:old-1"), record)
        if self._rng.random() < 0.5:
            self._account.executed(self._venue.new_order(command))

    def _open(self) -> None:
        """Accepted, and published with its first fill."""
        symbol = self._rng.choice(SYMBOLS)
        command = _command("old-2", symbol, "limit")
        order = self._venue.new_order(command)
        self._account.executed(order)
        self._account.fill(order, Decimal(1))
        report = order.report("binance")
        # With what the release before this one writes: of one kind of venue it had no fills' ids.
        told = {
            "client_order_id": "old-2",
            "symbol": symbol,
            "status": "partially_filled",
            "quantity": "10",
            "filled": "1",
            "quote_filled": "100",
            "fee": {"USDT": f"{order.fee:f}"},
            "trade_ids": ["1"] if self._account.kind == "binance" else [],
        }
        key = state_key(CONNECTOR, f"told:{order.order_id}")
        self._redis.do("SET", key, msgspec.json.encode(told))
        self._redis.do("SADD", state_key(CONNECTOR, "open_orders"), order.order_id)
        self._redis.do("SET", state_key(CONNECTOR, "told_as:old-2"), order.order_id)
        mark = dict.fromkeys(SYMBOLS, 0) | {symbol: 1}
        self._redis.do("SET", state_key(CONNECTOR, "trades_mark"), msgspec.json.encode(mark))
        self._redis.do("HSET", state_key(CONNECTOR, "balances"), "USDT", "5 0")
        answer = {"client_order_id": "old-2", "status": "accepted", "order_id": order.order_id}
        record = self._record(command, "1-0") | {
            "state": "closed",
            "answer": msgspec.json.encode(answer).decode(),
        }
        self._redis.do("SET", state_key(CONNECTOR, "order:old-2"), msgspec.json.encode(record))
        fill = order.fills[0]
        event = OrderStatusUpdateEvent.model_validate(
            {
                "order_id": order.order_id,
                "client_order_id": "old-2",
                "symbol": symbol,
                "status": "partially_filled",
                "filled_quantity": 1.0,
                "remaining_quantity": 9.0,
                "trades": [
                    {
                        "symbol": symbol,
                        "timestamp": fill.milliseconds / 1000,
                        "price": float(fill.price),
                        "quantity": 1.0,
                        "side": "buy",
                        "trade_id": fill.trade_id if self._account.kind == "binance" else None,
                        "exchange": "binance",
                    }
                ],
                "timestamp": report.milliseconds / 1000,
                "exchange": "binance",
            }
        )
        stream = str(EventStream(CONNECTOR, "order_status"))
        self._redis.do("XADD", stream, "*", "data", event.model_dump_json())


def _command(client_order_id: str, symbol: str, kind: str) -> PlaceOrderCommand:
    return PlaceOrderCommand.model_validate(
        {
            "client_order_id": client_order_id,
            "symbol": symbol,
            "type": kind,
            "side": "buy",
            "quantity": 10,
            "price": 100 if kind == "limit" else None,
        }
    )
