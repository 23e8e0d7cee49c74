"""`tradectl doctor`: finds what prevents the suite from working safely, and the remedies."""

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
# Remedies by the reason code of a connector that accepts no orders.
REMEDIES = {
    "no_credentials": "set its keys to trade",
    "trading_disabled": "set LIVE_TRADING to trade",
    "halted": "`tradectl resume`, once the reason for the halt is over",
    "key_refused": "fix the key (docs/troubleshooting.md); the connector retries by itself",
    "account_unavailable": "check its /ready; the connector retries by itself",
}
# In seconds. Redis's clock decides the age of an order; a bot's clock only stamps its messages.
MAX_CLOCK_DIFFERENCE = 1.0
# Commands that are read and not acknowledged: more than this are not being processed normally.
MAX_PENDING = 50
KEYS = {
    name: [variable.lower() for variable in each.credentials] for name, each in MANIFESTS.items()
}


async def doctor(redis: Redis, settings: TradectlSettings, *, as_json: bool) -> ExitCode:
    """Run every examination and show the results; NO if a check fails. It changes nothing.

    Raises:
        RedisError, OSError: Redis does not answer.
    """
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
    """Require that Redis answers at all; an error reply is an answer.

    Raises:
        RedisError, OSError: no answer, or the password is refused.
    """
    with contextlib.suppress(ResponseError, BusyLoadingError):
        await redis.ping()


async def examine(redis: Redis, settings: TradectlSettings) -> list[Check]:
    """The results of all examinations; one that Redis refuses becomes a row with the error."""
    checks = []
    for name, examination in EXAMINATIONS.items():
        try:
            async for check in examination(redis, settings):
                checks.append(check)  # noqa: PERF401 - keeps the checks before an error
        except NoPermissionError as e:
            checks.append(Check(name, "warn", explain(e), "grant this user the permission"))
        except BusyLoadingError as e:
            checks.append(Check(name, "fail", explain(e), "wait until it has read its data"))
        except (RedisError, OSError) as e:
            checks.append(Check(name, "fail", explain(e), "check the server and its log"))
    return checks


async def _server(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """The version, role and memory, and whether acknowledged writes survive."""
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
        "" if appends else "CONFIG SET appendonly yes: else a restart loses orders",
    )
    written = str(info.get("aof_last_write_status", "ok"))
    if written != "ok":
        yield Check("last write to disk", "fail", written, "check the server's disk and log")
    yield memory_check(info)


def version_check(info: dict[str, Any]) -> Check:
    """Redis 7.0 or newer, or Valkey (which reports itself as Redis 7.2.4) or newer."""
    valkey = info.get("valkey_version")
    version = str(info.get("redis_version", "0"))
    parts = [int(part) if part.isdecimal() else 0 for part in version.split(".")[:2]]
    new_enough = tuple(parts) >= MIN_VERSION
    return Check(
        "version",
        "ok" if new_enough else "fail",
        f"Valkey {valkey}" if valkey else f"Redis {version}",
        "" if new_enough else "expected Redis 7.0 or newer, or Valkey 8 or newer",
    )


def role_check(info: dict[str, Any]) -> Check:
    """A replica refuses writes, and a server that loads its data answers nothing."""
    if info.get("loading"):
        done = info.get("loading_loaded_perc", "?")
        found = f"it is reading its data: {done} %"
        return Check("role", "fail", found, "wait until it has read its data")
    if info.get("role") == "slave":
        found = f"a replica of {info.get('master_host')}"
        return Check("role", "fail", found, "let REDIS_URL name its primary")
    return Check("role", "ok", str(info.get("role", "unknown")))


def memory_check(info: dict[str, Any]) -> Check:
    """A full Redis refuses orders."""
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        return Check("memory", "ok", f"{used / 2**20:.0f} MiB used, no limit")
    share = used / most
    found = f"{used / 2**20:.0f} of {most / 2**20:.0f} MiB used"
    if share < 0.8:
        return Check("memory", "ok", found)
    return Check("memory", "warn" if share < 0.95 else "fail", found, "raise maxmemory")


async def _clock(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """The difference between Redis's clock and this machine's, less half the round trip."""
    before = time.time()
    seconds, micro = await redis.time()
    after = time.time()
    apart = seconds + micro / 1e6 - (before + after) / 2
    off = abs(apart) > MAX_CLOCK_DIFFERENCE + (after - before) / 2
    yield Check(
        "clocks",
        "warn" if off else "ok",
        f"Redis is {show.span(abs(apart))} {'ahead of' if apart > 0 else 'behind'} this machine",
        "synchronise both with NTP: bots that compare timestamps see old or future data"
        if off
        else "",
    )


async def _permissions(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """What this Redis user may do. Redis checks a command when queued, so none is executed."""
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
        "use a Redis user with these permissions, if you need them" if refused else "",
    )


def writes_check(judged: Iterable[RedisError | None]) -> Check:
    """Whether Redis accepts the writes that this user is allowed to make."""
    errors = [each for each in judged if each and not isinstance(each, NoPermissionError)]
    if not errors:
        return Check("writes", "ok", "accepted")
    fix = "raise maxmemory" if isinstance(errors[0], OutOfMemoryError) else "fix the server"
    return Check("writes", "fail", explain(errors[0]), f"{fix}: it accepts no orders and no events")


async def _error_when_queued(redis: Redis, *command: str) -> RedisError | None:
    """The error of *command* when it is queued; None if it is accepted. It is never executed.

    It waits for MULTI's answer: for a user who may not use MULTI, Redis would execute the command.
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
        # Disconnecting discards the transaction, also after an error.
        await connection.disconnect()
        await pool.release(connection)
    return None


async def _halt(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    reason = await read_halt_reason(redis)
    if reason is None:
        yield Check("halt", "ok", "not halted")
    else:
        yield Check(
            "halt", "warn", f"halted: {reason}", "`tradectl resume`, once the reason is over"
        )


async def _keys(_: Redis, settings: TradectlSettings) -> AsyncIterator[Check]:
    """Whether API keys are set here; whether they work is in the connectors' status."""
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
    """`.env` and `suite.toml` may hold keys: then only their owner may read them."""
    for check in await asyncio.to_thread(file_checks, Path()):
        yield check


async def _connectors(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """Whether the connectors run, accept orders, and belong to one world."""
    statuses = await latest_statuses(redis)
    worlds: dict[str, str] = {}
    for each in statuses:
        claimed: Any = await redis.get(state_key(each.name, "world"))
        worlds[each.name] = "none" if claimed is None else claimed.decode("utf-8", "replace")
        if each.gone or each.event is None:
            found = f"silent for {show.span(each.age)}" if each.gone else "its status is unreadable"
            yield Check(each.name, "fail", found, "start it, or check its log")
        elif not each.event.trading:
            why = ": ".join(filter(None, (each.event.reason_code, each.event.reason)))
            found = f"{each.event.world}, accepts no orders: {why}"
            fix = REMEDIES.get(each.event.reason_code or "", "check its /ready")
            yield Check(each.name, "warn", found, fix)
        else:
            yield Check(each.name, "ok", f"{each.event.world}, accepts orders")
        if each.event and not each.gone:
            for check in not_ready_checks(each.event):
                yield check
    if not statuses:
        yield Check("connectors", "warn", "none has published a status on this Redis", "start one")
        return
    yield world_check(worlds)


def world_check(worlds: dict[str, str]) -> Check:
    """A Redis holds the data of one world. *worlds*: the world that each connector has claimed."""
    found = ", ".join(f"{name}: {world}" for name, world in worlds.items())
    if len(set(worlds.values())) == 1 and "none" not in worlds.values():
        return Check("world", "ok", found)
    return Check("world", "fail", found, "real and simulated money don't mix: use two Redises")


async def _groups(redis: Redis, _: TradectlSettings) -> AsyncIterator[Check]:
    """Command streams without a reader, and commands that are not processed."""
    client: Any = redis
    for name in await connectors(redis):
        waiting = pending = 0
        missing: list[str] = []
        streams = [str(CommandStream(name, command)) for command in COMMANDS]
        operators = [str(OperatorStream(name, command)) for command in OPERATOR_COMMANDS]
        # Connectors of an earlier release do not have these streams.
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
    """*missing*: streams without a consumer group; *pending*: read, and not acknowledged."""
    check = f"{name} commands"
    found = f"{waiting} unread, {pending} in progress"
    if missing:
        unread = f"{found}; no consumer of {', '.join(missing)}"
        return Check(check, "fail", unread, f"start {name}: it creates its consumer groups itself")
    if waiting > 0 or pending > MAX_PENDING:
        return Check(check, "warn", found, "if this persists, check the connector's log")
    return Check(check, "ok", found)


# The examinations, by the name of the row that reports an error in one.
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
