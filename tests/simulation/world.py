"""One simulated world: bots, connectors, a Redis and a venue, from start until all is quiet.

The core that runs here is the product's own, with its own commands to Redis. What the promise rests
on beyond it, and what the worlds are therefore bounded to:

* A venue carries nothing out that reaches its engine later than the request's validity allows, by
  the venue's own clock; what is in the engine by then is done within 8 s.
* Clocks: processes know the venue's clock to within 1 s, and Redis's clock jumps by less than 1 s
  when another server takes over.
* A bot uses one client order id for one order. Where Redis forgets nothing, using it for another
  is harmless, and tried here.
* Where Redis forgets, and a bot then sends an id again because its answer is gone, the first order
  must be there to be seen: within the 3 s that the core leaves it (`DeskWaits.settle`), in one at
  least of the two ways it looks. An order that is hidden from both for minutes just then can be
  doubled. Where Redis forgets nothing, orders may be hidden for as long as the world likes.
* A Redis that lost everything, with no connector running that knew it, looks like a first start:
  it must stay away for as long as a request is valid, and those 3 s.
* Where Redis forgets, entry ids are its own (XADD with `*`): an id that is given out a second time,
  for another command, would make two commands one.
* A bot that wants to be able to send a command again gives it an id of its own.
* A Redis that was replaced takes no more commands (a failover fences the old server).
* Where everything is switched off for more days than records are kept, all was answered before.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import msgspec
import structlog

from common_models.stream_names import CommandStream, state_key
from services._connector_kit.orders.ports import DataLossRecord
from tests.simulation import loop as virtual
from tests.simulation.account_invariants import find_account_violations
from tests.simulation.connector import Connector, Core
from tests.simulation.invariants import Findings, count_answers, find_violations
from tests.simulation.loop import Timers
from tests.simulation.plan import Plan, RedisTrouble, Send, Trigger
from tests.simulation.process import Process
from tests.simulation.redis import FaultyRedis
from tests.simulation.redis_streams import parse_id
from tests.simulation.venue import CLOCK_ERROR_MS, FaultyVenue
from tests.simulation.venue_order import Order
from tests.simulation.view import CONNECTOR, PLACE, View
from tests.simulation.whole import WholeConnector, in_world
from tests.simulation.whole_world import Rest

__all__ = ["Core", "Outcome", "simulate"]

LOOK_EVERY = 5.0
QUIET_FOR = 40.0
# All is compared every 30 s, and what is refused is asked again after as long.
WHOLE_QUIET_FOR = 100.0
LONGEST_STOP = 1.0
# How many orders the account's stream tells of, and how late.
TOLD = 0.4
LONGEST_UNTOLD = 30.0
# A world that isn't quiet by then never will be.
LONGEST = 1500.0


@dataclass(frozen=True)
class Outcome:
    """What became of a world. `busy_points`: points passed until all was answered."""

    violations: list[str]
    commands: int
    answers: Counter[str]  # by reason code, or status
    busy_points: int
    trace: list[str]


def simulate(plan: Plan, core: Core | None = None, *, trace: bool = False) -> Outcome:
    """Run one world."""
    before = structlog.get_config()
    lines: list[str] = []

    async def live() -> Outcome:
        world = _World(plan, core or Core(), lines, trace)
        if plan.whole is None:
            return await world.live()
        with in_world(lambda: world.redis, random.Random(f"jitter {plan.seed}")):
            return await world.live()

    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    try:
        return virtual.run(live, plan.seed)
    finally:
        structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: object) -> str:
    raise structlog.DropEvent


class _World:
    def __init__(self, plan: Plan, core: Core, lines: list[str], trace: bool) -> None:
        self.plan = plan
        self._core = core
        self._lines = lines
        self._trace = trace
        self._loop = virtual.current()
        self._timers = Timers()
        self._rng = random.Random(f"world {plan.seed}")
        self.redis = FaultyRedis(self._rng, plan.faults, self.say)
        self.view = View(self.redis)
        if not plan.first_start:
            self._seen_before()
        self.venue = FaultyVenue(plan.venue, self._rng, plan.faults, self.say, lenient=plan.forgets)
        self.rest: Rest | None = None
        if plan.whole:
            self.rest = Rest(plan, plan.whole, self.redis, self.venue, self._rng, self.say)
        else:
            self.venue.on_executed = self._account_event
        self._triggers = {(trigger.label, trigger.nth): trigger for trigger in plan.triggers}
        self._passed: Counter[str] = Counter()
        self._running: dict[Process, Connector | WholeConnector] = {}
        self._faults: list[str] = []
        self._to_come = len(plan.sends) + len(plan.troubles)
        self._runs = 0
        self._sent = 0

    def _seen_before(self) -> None:
        """A connector ran on this Redis before."""
        identity = self.redis.engine.identity
        known = DataLossRecord(f"{identity} {identity}", -1, -1)
        stream = str(CommandStream(CONNECTOR, PLACE))
        self.redis.do("XGROUP", "CREATE", stream, CONNECTOR, "0", "MKSTREAM")
        self.redis.do("SET", state_key(CONNECTOR, "redis"), msgspec.json.encode(known))

    def say(self, what: str) -> None:
        """A line of the trace."""
        if self._trace:
            self._lines.append(f"{self._loop.time():10.4f} {what}")

    async def live(self) -> Outcome:
        """From the first start until nothing has happened for a while."""
        self._schedule()
        busy_points = await self._until_quiet()
        violations = self._violations()
        if violations and self.rest:
            # A Redis that fails now and then may hold up what is published for longer than this
            # world waits. What is still wrong once it doesn't fail is no delay.
            self.redis.heal()
            self.rest.account.heal()
            await asyncio.sleep(WHOLE_QUIET_FOR)
            violations = self._violations()
        answers = count_answers(self.view)
        return Outcome(violations, self._sent, answers, busy_points, self._lines)

    def _violations(self) -> list[str]:
        findings = Findings(self.plan, self.view, self.venue, tuple(self._faults))
        found = find_violations(findings)
        return found + find_account_violations(findings, self.rest) if self.rest else found

    def _schedule(self) -> None:
        for number, at in enumerate(self.plan.starts):
            self._timers.after(at, self._start, f"instance-{number}")
        for send in self.plan.sends:
            self._timers.after(send.at, self._send, send)
        for trouble in self.plan.troubles:
            self._timers.after(max(0.0, trouble.at - trouble.back), self.redis.save)
            self._timers.after(trouble.at, self._trouble, trouble)
        for at in self.plan.trims:
            self._timers.after(at, self._trim)
        if self.rest:
            self.rest.begin()
            if self.rest.pause_at is not None:
                self._timers.after(self.rest.pause_at, self._switch_off)

    async def _until_quiet(self) -> int:
        """Wait until it is quiet; the points that were passed before all was answered."""
        quiet_since, busy_points = None, 0
        for_so_long = WHOLE_QUIET_FOR if self.rest else QUIET_FOR
        while self._loop.time() < LONGEST + (self.rest.off_until if self.rest else 0.0):
            await asyncio.sleep(LOOK_EVERY + (self.rest.down_for() if self.rest else 0.0))
            if self._busy():
                quiet_since, busy_points = None, 0
                continue
            busy_points = busy_points or self._passed[""]
            if self._ghosts():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = self._loop.time()
            elif self._loop.time() - quiet_since >= for_so_long:
                break
        return busy_points

    def _busy(self) -> bool:
        """Something is to come, under way, or not yet answered."""
        return bool(
            self._to_come
            or not self.redis.up
            or self.venue.under_way
            or self.view.pending()
            or self.view.undelivered()
            or self.view.unanswered()
            or (self.rest is not None and (self.rest.busy() or self._frozen()))
        )

    def _frozen(self) -> bool:
        """A process is frozen: it may not have published yet what the account holds."""
        return any(process.alive and process.frozen for process in self._running)

    def _ghosts(self) -> bool:
        """An order was given up, and is there."""
        given_up = self.view.provisional()
        return any(self.venue.known(record.client_order_id) for record in given_up)

    # --- what happens

    def _send(self, send: Send) -> None:
        if not self.redis.up:
            self._timers.after(0.5, self._send, send)
            return
        self._to_come -= 1
        self._sent += 1
        wanted = "*"
        if send.ahead is not None:  # or the next that Redis takes
            milliseconds, sequence = self.view.command_stream(PLACE).last_id
            asked = self.redis.milliseconds() + int(send.ahead * 1000)
            following = f"{milliseconds}-{sequence + 1}"
            wanted = max(f"{asked}-0", following, key=lambda i: parse_id(i.encode()))
        stream = str(CommandStream(CONNECTOR, PLACE))
        entry_id = self.redis.do("XADD", stream, wanted, "data", send.data)
        self.say(f"bot sends {entry_id.decode()} {send.data!r}")

    def _trim(self) -> None:
        self.say("a bot empties the command stream")
        self.redis.do("XTRIM", str(CommandStream(CONNECTOR, PLACE)), "MAXLEN", 0)

    def _trouble(self, trouble: RedisTrouble) -> None:
        answered = set(self.view.responses)
        self.redis.suffer(trouble.fate, trouble.down_for)
        self._to_come -= 1
        if answered - set(self.view.responses) or trouble.fate != "restart":
            self._to_come += 1
            self._timers.after(self.plan.resend_after, self._send_again)

    def _send_again(self) -> None:
        """The bot finds no answer to what it sent, and sends it again."""
        self._to_come -= 1
        told = b"\n".join(self.view.responses)
        for send in dict.fromkeys(self.plan.sends):
            asked_for = send.data.partition(b",")[0].strip(b"{")  # "client_order_id": "…"
            if send.at < self._loop.time() and asked_for.replace(b": ", b":") not in told:
                self._to_come += 1
                self._send(Send(0.0, send.data))

    def _account_event(self, order: Order) -> None:
        """The account's stream tells of an order after a while; or it is cut just then."""
        if self._rng.random() < TOLD:
            self._timers.after(self._rng.uniform(0.01, LONGEST_UNTOLD), self._tell, order)
        if order.command.type == "market":
            self._fill(order)
        else:
            self._timers.after(self._rng.uniform(0.5, 60), self._fill, order)

    def _fill(self, order: Order) -> None:
        order.fill_whole(int(self.venue.milliseconds()))

    def _tell(self, order: Order) -> None:
        for connector in self._running.values():
            if isinstance(connector, Connector):
                connector.hear(order)

    def _switch_off(self) -> None:
        """Everything is down for days, once all is answered."""
        assert self.rest is not None
        if self.view.unanswered() or self.view.pending() or self.view.undelivered():
            self._timers.after(LOOK_EVERY, self._switch_off)
            return
        self.say("everything is switched off")
        self.rest.switch_off()
        for process in self._running:
            process.kill()
        self._running.clear()
        for number in range(len(self.plan.starts)):
            self._start(f"instance-{number}")

    def _start(self, consumer: str) -> None:
        down_for = self.rest.down_for() if self.rest else 0.0
        if down_for:
            self._timers.after(down_for, self._start, consumer)
            return
        self._runs += 1
        process = Process(self, f"{consumer}#{self._runs}")
        self.say(f"{process.name} starts as {consumer}")
        connector = self._connector(process, consumer)
        self._running[process] = connector
        process_done = self._ended
        connector.task.add_done_callback(
            lambda done: process_done(process, done), context=self._timers.context
        )

    def _connector(self, process: Process, consumer: str) -> Connector | WholeConnector:
        if self.rest:
            return self.rest.connector(process, consumer)
        skewed = self._rng.random() < self.plan.faults.skewed
        most = CLOCK_ERROR_MS if skewed else 50
        error = self._rng.uniform(-most, most)
        return Connector(process, consumer, self.plan, self._core, self.redis, self.venue, error)

    def _stopped(self, process: Process) -> None:
        if process.alive and not process.frozen and process in self._running:
            self._faults.append(f"{process.name} didn't stop in {LONGEST_STOP:g} s")

    def _ended(self, process: Process, task: asyncio.Task[None]) -> None:
        self._running.pop(process, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._faults.append(f"{process.name} ended with {_innermost(error)!r}")

    def reached(self, process: Process, label: str) -> None:
        """A process has come to a point: see whether something befalls it there."""
        self._passed[""] += 1
        self._passed[label] += 1
        if self._trace:
            self.say(f"{process.name} {label}")
        for name in ("", label):
            trigger = self._triggers.get((name, self._passed[name]))
            if trigger is not None and process.alive:
                self._befall(process, trigger)

    def _befall(self, process: Process, trigger: Trigger) -> None:
        self.say(f"{process.name}: {trigger.action}, {trigger.seconds:.1f} s")
        if trigger.action == "freeze":
            process.freeze(trigger.seconds)
            return
        consumer = process.name.partition("#")[0]
        if not trigger.same_name:
            consumer = f"other-{consumer}"
        if trigger.action == "kill":
            process.kill()
            self._running.pop(process, None)
        elif process in self._running:
            self._running[process].task.cancel()
            self._timers.after(LONGEST_STOP, self._stopped, process)
        self._timers.after(trigger.seconds, self._start, consumer)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
