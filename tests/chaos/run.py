"""One chaos run, from the first process to the verdict."""

import asyncio
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from redis.exceptions import RedisError

from tests.chaos.check import final_answers, violations
from tests.chaos.evidence import Evidence, gather
from tests.chaos.plan import HIDDEN_LONG_MS, Plan
from tests.chaos.stage import (
    Stage,
    instance,
    is_down,
    let_time_pass,
    meet_fate,
    remember_for_long,
    send,
    send_again,
    set_up,
    wake,
)
from tests.support.eventually import eventually
from tests.support.orders.halt import resuming
from tests.support.processes import Service

SETTLED_WITHIN = 45.0
STOPPED_WITHIN = 45.0  # how fast a stop is, is tested elsewhere; here the machine may be swamped
LOOK_EVERY = 0.5
LOG_END = 6_000


@dataclass(frozen=True)
class Outcome:
    """What came of a run; `report` tells what is needed to understand a failure."""

    plan: Plan
    violations: list[str]
    struck: bool  # the failpoint was reached
    faulted: bool  # the exchange's fault struck
    seconds: float
    answers: Counter[str] = field(default_factory=Counter)
    report: str = ""


async def carry_out(plan: Plan, folder: Path) -> Outcome:
    """Run it in *folder*."""
    started = time.monotonic()
    async with set_up(plan, folder) as stage:
        struck, wrong = await _play(stage)
        evidence = await gather(plan, stage.redis, stage.simulator_port)
        found = [*wrong, *violations(evidence)]
    return Outcome(
        plan,
        found,
        struck,
        plan.fault != "none" and bool(evidence.faults[0]["used"]),
        time.monotonic() - started,
        final_answers(evidence),
        _report(evidence, folder) if found else "",
    )


async def _play(stage: Stage) -> tuple[bool, list[str]]:
    """All that happens; whether the failpoint was reached, and what went wrong on the way."""
    plan = stage.plan
    wrong: list[str] = []
    if plan.settled_before:
        await remember_for_long(stage)
    async with resuming(stage.redis), AsyncExitStack() as lives:
        first = await lives.enter_async_context(instance(stage, "one", _failpoint(plan)))
        alive = [first]
        if plan.replicas:
            alive.append(await lives.enter_async_context(instance(stage, "two")))
        await send(stage)
        _cut_connections(stage)
        struck = await _until_struck(stage, first)
        await meet_fate(stage)
        if plan.fate == "emptied" and plan.resends_at_once:
            await send_again(stage)
        if struck:
            alive = await _go_on(stage, lives, first, alive, wrong)
        if plan.fate == "emptied" and not plan.resends_at_once:
            await send_again(stage)
        await _settle(stage, alive)
        await asyncio.sleep(plan.late)  # until the exchange has done what it is slow with
        if not struck and is_down(first):  # reached at last, perhaps by what was sent again
            struck = True
            alive = await _go_on(stage, lives, first, alive, wrong)
        await stage.ask("request_balance", f"c{plan.seed}-probe", exchange=plan.venue)
        ghosts = await _settle(stage, alive)
        if not struck and is_down(first):  # by this last question
            struck = True
            alive = await _go_on(stage, lives, first, alive, wrong)
            ghosts = await _settle(stage, alive)
        wrong += await _end(alive, None if struck else first)
    if ghosts:
        await _let_ghosts_appear(stage)
    # What was frozen may carry out a cancel while it is stopped: the next process publishes that.
    if ghosts or await _look(stage):
        async with instance(stage, "one") as last:
            await _settle(stage, [last], ghosts_too=True)
            wrong += await _end([last])
    return struck, wrong


def _failpoint(plan: Plan) -> str:
    how = {"replica_killed": "kill", "replica_stopped": "stop"}.get(plan.how, plan.how)
    return f"{plan.failpoint}:{how}:{plan.nth}" if plan.failpoint else ""


def _cut_connections(stage: Stage) -> None:
    """The next connections to Redis break: one with a reply on its way, one with a request."""
    if stage.proxy is not None:
        chance = Random(f"cuts {stage.plan.seed} {stage.proxy.cuts}")
        stage.proxy.cut_replies_after = chance.randrange(3_000)
        stage.proxy.cut_requests_after = chance.randrange(12_000)


async def _until_struck(stage: Stage, first: Service) -> bool:
    """Wait for the failpoint; False where all is settled without it, or there is none."""
    if not stage.plan.failpoint:
        await _first_post(stage)
        return False
    deadline = time.monotonic() + SETTLED_WITHIN
    while time.monotonic() < deadline:
        if is_down(first):
            return True
        if await _look(stage) == []:
            break
        await asyncio.sleep(LOOK_EVERY)
    return is_down(first)


async def _first_post(stage: Stage) -> None:
    """Wait until an order has arrived at the exchange: in the midst of it."""
    deadline = time.monotonic() + SETTLED_WITHIN
    while time.monotonic() < deadline:
        evidence = await gather(stage.plan, stage.redis, stage.simulator_port)
        if evidence.ledger["arrivals"]:
            return
        await asyncio.sleep(0.02)


async def _go_on(
    stage: Stage, lives: AsyncExitStack, first: Service, alive: list[Service], wrong: list[str]
) -> list[Service]:
    """After the failpoint: the process is started again, or wakes, or another takes over."""
    plan = stage.plan
    if plan.how == "term":
        code = await asyncio.wait_for(first.process.wait(), SETTLED_WITHIN)
        wrong += [f"EXIT: {code} on SIGTERM"] * (code != 0)
    elif first.exited and first.process.returncode != -signal.SIGKILL:
        wrong.append(f"CRASH: exit code {first.process.returncode}")
    if plan.replicas:
        await let_time_pass(stage)
        if not first.exited:
            await _settle(stage, alive[1:])
            wake(first)
            return alive
        return alive[1:]
    if not first.exited:
        if plan.long_pause:
            await asyncio.sleep(
                plan.validity + 0.5
            )  # the length of the pause, not a wait for anything
        wake(first)
        return alive
    again = await lives.enter_async_context(instance(stage, "one"))
    _cut_connections(stage)
    return [again]


async def _settle(stage: Stage, alive: list[Service], *, ghosts_too: bool = False) -> list[str]:
    """Wait until nothing is missing any more, or too long; the ghosts that are left."""
    deadline = time.monotonic() + SETTLED_WITHIN
    found: list[str] | None = None
    while time.monotonic() < deadline and not any(is_down(service) for service in alive):
        found = await _look(stage)
        if found is not None and all(v.startswith("GHOST") and not ghosts_too for v in found):
            return found
        await asyncio.sleep(LOOK_EVERY)
    return [v for v in found or [] if v.startswith("GHOST")]


async def _look(stage: Stage) -> list[str] | None:
    """What is wrong or missing at the moment; None where it can't be told."""
    try:
        return violations(await gather(stage.plan, stage.redis, stage.simulator_port))
    except (RedisError, OSError):
        return None


async def _let_ghosts_appear(stage: Stage) -> None:
    """Wait until the exchange shows every order."""
    evidence = await gather(stage.plan, stage.redis, stage.simulator_port)
    shown = max(order["created_ms"] for order in evidence.ledger["orders"]) + HIDDEN_LONG_MS
    await eventually(lambda: time.time() * 1000 > shown + 500)


async def _end(alive: list[Service], armed: Service | None = None) -> list[str]:
    """Ask them to stop; whoever didn't, or had ended before. *armed* may be struck just now."""
    wrong = []
    for service in alive:
        fine = (0, -signal.SIGKILL) if service is armed else (0,)
        if service is armed and service.process.returncode == -signal.SIGKILL:
            continue
        if service.exited:
            wrong.append(f"CRASH: exit code {service.process.returncode}")
            continue
        try:
            service.process.send_signal(signal.SIGTERM)
            wake(service)
            code = await asyncio.wait_for(service.process.wait(), STOPPED_WITHIN)
        except TimeoutError:
            wrong.append("EXIT: it didn't stop")
        else:
            wrong += [f"EXIT: {code} on SIGTERM"] * (code not in fine)
    return wrong


def _report(evidence: Evidence, folder: Path) -> str:
    lines = [f"plan: {evidence.plan}", "commands:"]
    for command, entries in evidence.commands.items():
        lines += [f"  {command} {i} {data.decode()}" for i, data in entries.items()]
    for title, events in (
        ("order_response", evidence.responses),
        ("order_status", evidence.statuses),
        ("command_response", evidence.replies),
        ("account_balance", evidence.balances),
    ):
        lines += [f"{title}:", *(f"  {e.model_dump_json(exclude_none=True)}" for e in events)]
    lines += ["dead letters:", *(f"  {letter}" for letter in evidence.letters)]
    lines += ["ledger:", *(f"  {order}" for order in evidence.ledger["orders"])]
    lines += [f"  arrivals {evidence.ledger['arrivals']}", f"  {evidence.ledger['balances']}"]
    lines += ["faults:", *(f"  {fault}" for fault in evidence.faults)]
    for log in sorted(folder.rglob("*_connector.log")):
        lines += [f"{log.parent.name}'s log ends:", log.read_text()[-LOG_END:]]
    lines.append(f"repeat: python -m tests.chaos --only {evidence.plan.seed}")
    return "\n".join(lines)
