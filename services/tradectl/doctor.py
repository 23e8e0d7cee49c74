"""`tradectl doctor`: what would keep the suite from working or from being safe, and the fix."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import (
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from common_models.stream_names import HALT, TRADING, CommandStream, OperatorStream, state_key
from services._runtime.exchanges import MANIFESTS
from services._runtime.halt import read_halt_reason
from services._runtime.redis_client import explain
from services.tradectl import show
from services.tradectl.checks import Check, file_checks, not_ready_checks
from services.tradectl.exit_codes import ExitCode
from services.tradectl.reading import COMMANDS, connectors
from services.tradectl.sending import OPERATOR_COMMANDS
from services.tradectl.settings import TradectlSettings
from services.tradectl.status import latest_statuses
from services.tradectl.tables import table

MIN_VERSION = (7, 0)
# Why a connector takes no orders, and what to do.
REMEDIES = {
    "no_credentials": "set its keys to trade",
    "trading_disabled": "set LIVE_TRADING to trade",
    "halted": "`tradectl resume`, once what it was halted for is over",
    "key_refused": "mend the key (docs/troubleshooting.md); it is tried again by itself",
    "account_unavailable": "look at its /ready; it is tried again by itself",
}
# Redis's clock decides how old an order is; a bot's own clock only stamps its messages.
MAX_CLOCK_DIFFERENCE = 1.0
# Commands that are read but not acknowledged: more than can be under way means trouble.
MAX_PENDING = 50
KEYS = {
    name: [variable.lower() for variable in each.credentials] for name, each in MANIFESTS.items()
}


async def doctor(redis: Redis, settings: TradectlSettings, *, as_json: bool) -> ExitCode:
    """Look at everything; NO where something fails. Nothing is changed."""
    await _require_answer(redis)
    checks = await examine(redis, settings)
    if as_json:
        show.as_json([{name: getattr(check, name) for name in check.__slots__} for check in checks])
    else:
        rows = [(c.state, c.check, c.what, c.fix) for c in checks]
        table("doctor", ("", "check", "found", "what to do"), rows)
    return ExitCode.NO if any(check.state == "fail" for check in checks) else ExitCode.DONE


Examination = Callable[[Redis, TradectlSettings], AsyncIterator[Check]]


async def _require_answer(redis: Redis) -> None:
    """Without any answer there is nothing to examine; an error is an answer.

    Raises:
        RedisError, OSError: nothing answers, or the password is refused.
    """
    with contextlib.suppress(ResponseError, BusyLoadingError):
        await redis.ping()


async def examine(redis: Redis, settings: TradectlSettings) -> list[Check]:
    """What every look found; one that Redis refuses is a row that says so."""
    checks = []
    for name, look in EXAMINATIONS.items():
        try:
            async for check in look(redis, settings):
                checks.append(check)  # noqa: PERF401 - what came before an error is kept
        except NoPermissionError as e:
            checks.append(Check(name, "warn", explain(e), "let this user do that"))
        except BusyLoadingError as e:
            checks.append(Check(name, "fail", explain(e), "wait until it has read its data"))
        except (RedisError, OSError) as e:
            checks.append(Check(name, "fail", explain(e), "look at the server and its log"))
    return checks


async def _server(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """Version, and whether what is acknowledged is kept."""
    info: Any = await redis.info()
    yield version_check(info)
    yield role_check(info)
    policy = str(info.get("maxmemory_policy"))
    yield Check(
        "maxmemory-policy",
        "ok" if policy == "noeviction" else "fail",
        policy,
        ""
        if policy == "noeviction"
        else "CONFIG SET maxmemory-policy noeviction: else orders' journals may be evicted",
    )
    appends = bool(info.get("aof_enabled"))
    yield Check(
        "appendonly",
        "ok" if appends else "fail",
        "yes" if appends else "no",
        "" if appends else "CONFIG SET appendonly yes: else a restart forgets orders",
    )
    written = str(info.get("aof_last_write_status", "ok"))
    if written != "ok":
        yield Check("last write to disk", "fail", written, "look at the server's disk and log")
    yield memory_check(info)


def version_check(info: dict[str, Any]) -> Check:
    """Redis 7.0 and Valkey (which calls itself Redis 7.2.4) or newer."""
    valkey = info.get("valkey_version")
    version = str(info.get("redis_version", "0"))
    parts = [int(part) if part.isdecimal() else 0 for part in version.split(".")[:2]]
    new_enough = tuple(parts) >= MIN_VERSION
    return Check(
        "version",
        "ok" if new_enough else "fail",
        f"Valkey {valkey}" if valkey else f"Redis {version}",
        "" if new_enough else "want Redis 7.0 or newer, or Valkey 8 or newer",
    )


def role_check(info: dict[str, Any]) -> Check:
    """A replica takes nothing, and one that loads answers nothing."""
    if info.get("loading"):
        done = info.get("loading_loaded_perc", "?")
        found = f"it is reading its data: {done} %"
        return Check("role", "fail", found, "wait until it has read its data")
    if info.get("role") == "slave":
        found = f"a replica of {info.get('master_host')}"
        return Check("role", "fail", found, "let REDIS_URL name its primary")
    return Check("role", "ok", str(info.get("role", "unknown")))


def memory_check(info: dict[str, Any]) -> Check:
    """A full Redis takes no orders."""
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        return Check("memory", "ok", f"{used / 2**20:.0f} MiB used, no limit")
    share = used / most
    found = f"{used / 2**20:.0f} of {most / 2**20:.0f} MiB used"
    if share < 0.8:
        return Check("memory", "ok", found)
    return Check("memory", "warn" if share < 0.95 else "fail", found, "raise maxmemory")


async def _clock(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """Redis's clock against this machine's, half the round trip taken off."""
    before = time.time()
    seconds, micro = await redis.time()
    after = time.time()
    apart = seconds + micro / 1e6 - (before + after) / 2
    off = abs(apart) > MAX_CLOCK_DIFFERENCE + (after - before) / 2
    yield Check(
        "clocks",
        "warn" if off else "ok",
        f"Redis is {show.span(abs(apart))} {'ahead of' if apart > 0 else 'behind'} this machine",
        "let both follow NTP: bots that look at timestamps see old or future data" if off else "",
    )


async def _permissions(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """What this user may do, asked without doing it: Redis judges a queued command at once."""
    probes: list[tuple[str, tuple[str, ...]]] = [
        ("halt", ("DEL", TRADING)),
        ("halt with a reason, and resume", ("SET", HALT, "x")),
    ]
    names, unlisted = ["binance_connector"], None
    try:
        names = await connectors(redis) or names
    except NoPermissionError as e:
        unlisted = e
    for name in names:
        for command in COMMANDS:
            kind = OperatorStream if command in OPERATOR_COMMANDS else CommandStream
            stream = str(kind(name, command))
            probes.append((f"send {command} to {name}", ("XADD", stream, "*", "data", "x")))
    judged = {what: await _error_when_queued(redis, *probe) for what, probe in probes}
    yield writes_check(judged.values())
    refused = [what for what, error in judged.items() if isinstance(error, NoPermissionError)]
    if unlisted is not None:
        refused.append("list the connectors")
    yield Check(
        "permissions",
        "warn" if refused else "ok",
        "may not " + ", ".join(refused) if refused else "reads streams, sends commands, may halt",
        "ask for another Redis user, or leave that to others" if refused else "",
    )


def writes_check(judged: Iterable[RedisError | None]) -> Check:
    """Whether Redis takes what a user who may write would write."""
    troubles = [each for each in judged if each and not isinstance(each, NoPermissionError)]
    if not troubles:
        return Check("writes", "ok", "taken")
    fix = "raise maxmemory" if isinstance(troubles[0], OutOfMemoryError) else "mend the server"
    return Check("writes", "fail", explain(troubles[0]), f"{fix}: it takes no orders and no events")


async def _error_when_queued(redis: Redis, *command: str) -> RedisError | None:
    """What Redis has against *command*, which is queued and never carried out.

    Only once MULTI is answered: a user who may not queue would carry it out.
    """
    pool: Any = redis.connection_pool
    connection: Any = await pool.get_connection()
    try:
        await connection.send_command("MULTI")
        await connection.read_response()
        await connection.send_command(*command)
        try:
            await connection.read_response()
        except (ResponseError, BusyLoadingError) as e:
            return e
    finally:
        # Whatever happened above, no half transaction is left behind.
        await connection.disconnect()
        await pool.release(connection)
    return None


async def _halt(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    reason = await read_halt_reason(redis)
    if reason is None:
        yield Check("halt", "ok", "not halted")
    else:
        yield Check("halt", "warn", f"halted: {reason}", "`tradectl resume`, once that is over")


async def _keys(_: Redis, settings: TradectlSettings) -> AsyncIterator[Check]:
    """Whether keys are set here; whether they work, the connectors say."""
    for exchange, names in KEYS.items():
        there = [name.upper() for name in names if getattr(settings, name)]
        missing = [name.upper() for name in names if not getattr(settings, name)]
        half = bool(there and missing)
        yield Check(
            f"{exchange} keys",
            "warn" if half else "ok",
            f"{there[0]} is set, {missing[0]} isn't"
            if half
            else "set in this environment"
            if there
            else "none in this environment",
            f"set {missing[0]} too" if half else "",
        )


async def _files(_: Redis, __: TradectlSettings) -> AsyncIterator[Check]:
    """`.env` and `suite.toml` may hold keys: then they are nobody else's to read."""
    for check in await asyncio.to_thread(file_checks, Path()):
        yield check


async def _connectors(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """Do they speak, trade, and belong to one world?"""
    statuses = await latest_statuses(redis)
    worlds: dict[str, str] = {}
    for each in statuses:
        claimed: Any = await redis.get(state_key(each.name, "world"))
        worlds[each.name] = "none" if claimed is None else claimed.decode("utf-8", "replace")
        if each.gone or each.event is None:
            found = f"silent for {show.span(each.age)}" if each.gone else "its status is unreadable"
            yield Check(each.name, "fail", found, "start it, or look at its log")
        elif not each.event.trading:
            why = ": ".join(filter(None, (each.event.reason_code, each.event.reason)))
            found = f"{each.event.world}, takes no orders: {why}"
            fix = REMEDIES.get(each.event.reason_code or "", "look at its /ready")
            yield Check(each.name, "warn", found, fix)
        else:
            yield Check(each.name, "ok", f"{each.event.world}, takes orders")
        if each.event and not each.gone:
            for check in not_ready_checks(each.event):
                yield check
    if not statuses:
        yield Check("connectors", "warn", "none has spoken on this Redis", "start one")
        return
    yield world_check(worlds)


def world_check(worlds: dict[str, str]) -> Check:
    """One Redis holds one world's data. *worlds*: what each connector has claimed."""
    found = ", ".join(f"{name}: {world}" for name, world in worlds.items())
    if len(set(worlds.values())) == 1 and "none" not in worlds.values():
        return Check("world", "ok", found)
    return Check("world", "fail", found, "real and simulated money don't mix: use two Redises")


async def _groups(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """Commands that nobody reads, or that are read and not done."""
    client: Any = redis
    for name in await connectors(redis):
        waiting = pending = 0
        missing: list[str] = []
        streams = [str(CommandStream(name, command)) for command in COMMANDS]
        operators = [str(OperatorStream(name, command)) for command in OPERATOR_COMMANDS]
        # Connectors of an earlier release haven't got these.
        streams += [stream for stream in operators if await client.exists(stream)]
        for stream in streams:
            try:
                groups = await client.xinfo_groups(stream)
            except NoPermissionError:
                raise
            except ResponseError:  # no such stream
                groups = []
            if not groups:
                missing.append(stream.partition(":")[2].removeprefix("commands:"))
            pending += sum(group["pending"] for group in groups)
            waiting += sum(group["lag"] or 0 for group in groups)
        yield group_check(name, missing, pending, waiting)


def group_check(name: str, missing: list[str], pending: int, waiting: int) -> Check:
    """*missing* command streams have no group; *waiting* entries are unread."""
    check = f"{name} commands"
    found = f"{waiting} unread, {pending} under way"
    if missing:
        unread = f"{found}; nobody reads {', '.join(missing)}"
        return Check(check, "fail", unread, f"start {name}: it makes its groups itself")
    if waiting > 0 or pending > MAX_PENDING:
        return Check(check, "warn", found, "if that stays so, look at the connector's log")
    return Check(check, "ok", found)


# What is looked at, by the name of the row that says that it couldn't be.
EXAMINATIONS: dict[str, Examination] = {
    "Redis": _server,
    "clocks": _clock,
    "permissions": _permissions,
    "halt": _halt,
    "keys": _keys,
    ".env": _files,
    "connectors": _connectors,
    "commands": _groups,
}
