"""The access list on a real server: each service's real traffic passes, and nothing else does."""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from common_models.stream_names import HALT, TRADING
from services._local.access_list import ADMIN, OPERATOR, USERS
from services._runtime.exchanges import EXCHANGES
from services._runtime.redis_client import open_redis
from tests.integration.tradectl.hand import play_connector
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, TradingDesk
from tests.support.ports import quiet_port
from tests.support.processes import ROOT, running
from tests.support.redis.secure import Guarded
from tests.support.venues.simulated import BINANCE, LUNO, all_move_on, is_ready, newest, simulator

pytestmark = pytest.mark.timeout(240)

# What services do only now and then, and so may not happen in the run below.
ALLOWED = [
    *[
        (f"{name}_connector", command)
        for name in EXCHANGES
        for command in (
            f"XTRIM {name}_connector:commands:place_order MINID 1-0",
            f"XPENDING {name}_connector:commands:place_order {name}_connector",
            f"XADD {name}_connector:dead_letter:place_order * data x",
            f"WATCH {name}_connector:commands:cancel_order",
            f"XTRIM {name}_connector:operator:cancel_all_orders MAXLEN = 0",
            f"XSETID {name}_connector:commands:cancel_order 1-0",
            f"XGROUP SETID {name}_connector:operator:cancel_order g 1-0",
            f"HSET {name}_connector:state:deleted_commands stream 1",
            f"ZADD {name}_connector:state:ghosts 1 id",
            f"ZREM {name}_connector:state:ghosts id",
            f"ZSCORE {name}_connector:state:unanswered id",
            f"ZRANGE {name}_connector:state:ghosts 0 -1",
            f"ZREMRANGEBYSCORE {name}_connector:state:ghosts -inf 1",
            f"SREM {name}_connector:state:open_orders id",
            f"HDEL {name}_connector:state:accepted_orders id",
            f"SET {name}_connector:state:order:x x NX GET",
        )
    ],
    ("indicators", "DEL indicator_host:state:binance:BTCUSDT:trades:1m"),
    ("indicators", "LTRIM indicator_host:state:binance:BTCUSDT:trades:1m -5 -1"),
    ("indicators", "HSET indicator_host:state:progress indicators:sma_3:binance:BTCUSDT x"),
    ("bot", "HMGET indicator_host:state:progress indicators:sma_3:binance:BTCUSDT"),
    ("bot", "XADD binance_connector:commands:cancel_order * data x"),
    ("bot", "WATCH bot:state:books control:trading control:halt"),
    *[("bot", f"HGET {name}_connector:state:instruments BTC/USDT") for name in EXCHANGES],
    *[
        (f"{name}_connector", command)
        for name in EXCHANGES
        for command in (
            "WATCH control:halt control:trading",
            "DEL control:trading",
            "SETNX control:trading x",
            "SETNX control:halt why",
            "PERSIST control:halt",
            f"INCRBY {name}_connector:state:beat 1",
        )
    ],
    (OPERATOR, "SET control:halt why"),
    (OPERATOR, "DEL control:halt"),
    (OPERATOR, "SET control:trading ann"),
    (OPERATOR, "DEL control:trading"),
    *[
        (OPERATOR, f"XADD {name}_connector:operator:{command} * data x")
        for name in EXCHANGES
        for command in ("cancel_order", "cancel_all_orders")
    ],
    (OPERATOR, "SCAN 0"),
    (OPERATOR, "XREVRANGE luno_connector:commands:place_order + -"),
    (OPERATOR, "GET binance_connector:state:world"),
    (ADMIN, "FLUSHALL"),
    ("health", "PING"),
]

FORBIDDEN = [
    # Nobody but who owns a stream writes to it.
    ("bot", "XADD binance_connector:events:order_status * data x"),
    ("bot", "XADD binance:BTCUSDT:trades * data x"),
    ("bot", "XADD indicators:rsi_14:binance:BTCUSDT * data x"),
    ("binance_connector", "XADD binance_connector:commands:place_order * data x"),
    ("binance_connector", "XADD luno_connector:commands:place_order * data x"),
    ("binance_connector", "XADD luno_connector:events:order_status * data x"),
    ("binance_connector", "XADD luno:XBTZAR:trades * data x"),
    ("luno_connector", "XADD binance:BTCUSDT:trades * data x"),
    ("luno_connector", "XREADGROUP GROUP g c STREAMS binance_connector:commands:place_order >"),
    ("indicators", "XADD binance_connector:commands:place_order * data x"),
    ("indicators", "XADD binance:BTCUSDT:trades * data x"),
    (OPERATOR, "XADD binance_connector:events:order_status * data x"),
    # The operator's streams are the operator's: else a bot could block what stops it.
    *[
        (user, f"XADD {name}_connector:operator:{command} * data x")
        for user in USERS
        if user != OPERATOR
        for name in EXCHANGES
        for command in ("cancel_order", "cancel_all_orders")
    ],
    ("bot", "XSETID binance_connector:commands:cancel_order 1-0"),
    ("bot", "XGROUP SETID binance_connector:commands:cancel_order binance_connector 1-0"),
    # Nor to another's memory.
    ("bot", "SET binance_connector:state:order:x x"),
    ("bot", "HSET binance_connector:state:instruments x x"),
    ("bot", "GET binance_connector:state:order:x"),
    ("luno_connector", "GET binance_connector:state:order:x"),
    ("indicators", "SET bot:state:books x"),
    (OPERATOR, "SET binance_connector:state:order:x x"),
    # Only a person lifts a halt.
    *[
        (user, f"{command} {HALT}")
        for user in USERS
        if user != OPERATOR
        for command in ("DEL", "UNLINK", "GETDEL", "GETEX")
    ],
    *[
        (f"{name}_connector", command)
        for name in EXCHANGES
        for key in (HALT, TRADING)
        for command in (f"SET {key} x", f"SET {key} x NX PX 1", f"GETSET {key} x")
    ],
    *[
        (user, command)
        for user in ("bot", "indicators")
        for key in (HALT, TRADING)
        for command in (f"SET {key} x", f"SET {key} x EX 1", f"PERSIST {key}", f"DEL {key}")
    ],
    *[(user, f"RENAME {key} bot:state:x") for user in USERS for key in (HALT, TRADING)],
    *[(user, f"EXPIRE {HALT} 1") for user in USERS],
    *[(user, f"COPY {HALT} {TRADING}") for user in USERS],
    # What is journaled or published isn't taken back.
    *[(f"{name}_connector", f"DEL {name}_connector:state:order:x") for name in EXCHANGES],
    *[(f"{name}_connector", f"XTRIM {name}_connector:events:x MAXLEN 0") for name in EXCHANGES],
    ("bot", "DEL binance_connector:commands:place_order"),
    ("bot", "XTRIM binance_connector:commands:place_order MAXLEN 0"),
    ("bot", "XDEL binance_connector:commands:place_order 1-0"),
    # Nobody touches the server.
    *[
        (user, command)
        for user in (*USERS, "health")
        for command in (
            "FLUSHALL",
            "FLUSHDB",
            "KEYS *",
            "CONFIG SET appendonly no",
            "CONFIG GET *",
            "ACL SETUSER x",
            "ACL LIST",
            "DEBUG SLEEP 1",
            "EVAL x 0",
            "SCRIPT LOAD x",
            "FUNCTION LOAD x",
            "SAVE",
            "BGREWRITEAOF",
            "SHUTDOWN",
            "REPLICAOF NO ONE",
            "MONITOR",
            "MIGRATE h 1 k 0 1",
            "PUBLISH c x",
            "SUBSCRIBE c",
        )
    ],
    ("health", "INFO"),
    ("health", f"GET {HALT}"),
]


# What Redis can't refuse.
TRIM = "trim a command stream by adding to it"
CLOSE = "close other clients' connections"


async def test_the_server_judges_as_the_list_means_it(guarded: Guarded, attempt: Attempts) -> None:
    """What each may do rarely, and what nobody may do."""
    refused = [each for each in ALLOWED if not await guarded.judged(*each)]
    allowed = []
    for user, command in FORBIDDEN:
        succeeded = await guarded.judged(user, command)
        attempt(f"{user} (secure mode)", _harm(command), succeeded)
        if succeeded:
            allowed.append((user, command))
    assert (refused, allowed) == ([], [])


def _harm(command: str) -> str:
    """What a command that nobody may give would do."""
    if f"{HALT} " in f"{command} " or f"{TRADING} " in f"{command} ":
        return "change the halt switch as its user may not"
    if ":" in command:
        return "write, read or take back what its user may not"
    return "change, copy or stop the server"


async def test_what_the_list_cannot_refuse_is_named_as_accepted(
    guarded: Guarded, attempt: Attempts
) -> None:
    """Redis has no right for it: each of these is a part of a command that its user needs."""
    for name in EXCHANGES:
        command = f"XADD {name}_connector:commands:place_order MAXLEN 0 * data x"
        attempt("bot (secure mode)", TRIM, await guarded.judged("bot", command))
        connector = f"{name}_connector"
        succeeded = await guarded.judged(connector, "CLIENT KILL TYPE normal")
        attempt(f"{connector} (secure mode)", CLOSE, succeeded)
    assert [row.succeeded for row in attempt.rows] == [1, 2, 1]


async def test_nothing_is_done_without_a_password_or_beyond_the_rules(
    guarded: Guarded, attempt: Attempts
) -> None:
    """For real, not only asked: the server refuses, and nothing is changed."""
    for user in ("", ":wrong@", *(f"{user}:wrong@" for user in (*USERS, ADMIN))):
        url = f"redis://{user}127.0.0.1:{guarded.server.port}/0"
        async with open_redis(url, "test") as nobody:
            refused = await _is_refused(nobody)
            attempt("process that reaches Redis without a password", "read or write", not refused)
            assert refused, user
    await guarded.admin.set(HALT, "a reason")
    async with open_redis(guarded.url("bot"), "test") as bot:
        assert await bot.get(HALT) == b"a reason"
        for forbidden in (bot.delete(HALT), bot.set(HALT, "x"), bot.flushall()):
            with pytest.raises(NoPermissionError):
                await forbidden
        with pytest.raises(NoPermissionError):
            await bot.xadd("binance_connector:events:order_status", {"data": "x"})
    assert await guarded.admin.get(HALT) == b"a reason"
    assert not await guarded.admin.exists("binance_connector:events:order_status")


async def test_a_bot_can_neither_resume_nor_lift_a_halt(
    guarded: Guarded, attempt: Attempts
) -> None:
    """By no command that changes a key; what a person said stands."""
    await guarded.admin.set(HALT, "a reason")
    tries = [
        command
        for key in (HALT, TRADING)
        for command in (
            ("SET", key, "x"),
            ("SET", key, "x", "PX", "1"),
            ("DEL", key),
            ("EXPIRE", key, "0"),
            ("RENAME", key, "bot:state:x"),
            ("COPY", "bot:state:x", key, "REPLACE"),
        )
    ]
    async with open_redis(guarded.url("bot"), "test") as client:
        bot: Any = client
        await bot.set("bot:state:x", "x")
        for words in tries:
            with pytest.raises(NoPermissionError):
                await bot.execute_command(*words)
            found = await guarded.admin.mget(HALT, TRADING)
            lifted = found != [b"a reason", None] or await guarded.admin.ttl(HALT) != -1
            attempt("bot", f"lift a halt or resume: {words[0]}", lifted)
            assert not lifted


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_connectors_password_lifts_no_halt(
    guarded: Guarded, attempt: Attempts, exchange: str
) -> None:
    """By no command, whatever came before it: the reason stays, and stays for good."""
    await guarded.admin.set(HALT, "a reason")
    name = f"{exchange}_connector"
    own = f"{name}:state:x"
    tries = [
        words.split()
        for key in (HALT, TRADING)
        for words in (
            *(f"SET {key} x{how}" for how in ("", " PX 1", " NX PX 1", " XX EX 1", " GET")),
            *(f"SETNX {key} x", f"SETEX {key} 1 x", f"PSETEX {key} 1 x", f"GETSET {key} x"),
            *(f"MSET {key} x", f"MSETNX {key} x", f"APPEND {key} x", f"SETRANGE {key} 0 x"),
            *(f"INCR {key}", f"SETBIT {key} 0 1", f"BITOP NOT {key} {own}", f"PERSIST {key}"),
            *(f"DEL {key}", f"UNLINK {key}", f"GETDEL {key}", f"GETEX {key} PX 1"),
            *(f"EXPIRE {key} 0", f"PEXPIRE {key} 1", f"EXPIREAT {key} 1", f"PEXPIREAT {key} 1"),
            *(f"RENAME {key} {own}", f"RENAME {own} {key}", f"RENAMENX {key} {own}"),
            *(f"COPY {own} {key} REPLACE", f"RESTORE {key} 1 x REPLACE", f"MOVE {key} 1"),
            *(f"SORT {own} STORE {key}", f"SUNIONSTORE {key} {own}", f"ZUNIONSTORE {key} 1 {own}"),
            *(f"SETNX {TRADING} x", f"DEL {TRADING}", f"SETNX {TRADING} y"),
        )
    ]
    async with guarded.user(name) as connector:
        await connector.set(own, "x")
        for words in tries:
            with suppress(NoPermissionError):
                await connector.execute_command(*words)
            lifted = (await guarded.admin.get(HALT), await guarded.admin.ttl(HALT)) != (
                b"a reason",
                -1,
            )
            attempt(f"{name} (secure mode)", "lift a halt", lifted)
            assert not lifted, words


async def _is_refused(nobody: Redis) -> bool:
    try:
        await nobody.get(HALT)
    except AuthenticationError:
        return True
    return False


async def test_tradectl_works_as_the_operator(guarded: Guarded, tmp_path: Path) -> None:
    """It looks at everything, halts and resumes, and nothing of it is refused."""
    await play_connector(guarded.admin)
    await _by_hand(guarded, tmp_path, "doctor")
    await _by_hand(guarded, tmp_path, "halt", "a reason", "--keep-orders")
    assert await guarded.admin.get(HALT) == b"a reason"
    await _by_hand(guarded, tmp_path, "resume")
    assert await guarded.admin.get(HALT) is None
    assert await guarded.admin.acl_log() == []


async def _by_hand(guarded: Guarded, folder: Path, *arguments: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": guarded.url(OPERATOR),
    }
    tool = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.tradectl", *arguments),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60.0):
        said = (await tool.communicate())[0].decode()
    # 1: it found something amiss, which is its own business. 3: Redis refuses.
    assert tool.returncode in (0, 1), (arguments, said)


async def test_the_whole_suite_works_within_the_rules(guarded: Guarded, tmp_path: Path) -> None:
    """Orders by hand and by the bot, fills, cancels, a cut connection: no command is refused."""
    port = quiet_port()
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(open_redis(guarded.url(OPERATOR), "test"))
        await stack.enter_async_context(
            simulator(
                port,
                tmp_path,
                SIMULATOR_SYMBOLS=",".join((*BINANCE.symbols, *LUNO.symbols)),
                SIMULATOR_RATE="10",
            )
        )
        desks = [
            TradingDesk(
                market,
                operator,
                guarded.server.url,
                port,
                tmp_path,
                {"REDIS_URL": guarded.url(market.venue.module)},
            )
            for market in MARKETS
        ]
        for desk in desks:
            await stack.enter_async_context(desk.connector())
        await _start(
            stack, guarded, tmp_path, "indicators", INDICATORS="binance:BTC/USDT:sma_3@trade"
        )
        await _start(
            stack,
            guarded,
            tmp_path,
            "bot",
            BOT_MODE="paper",
            STRATEGIES="tests.support.bot.strategies.Restless:binance:BTC/USDT:0.002",
        )
        for desk in desks:
            await _trade(desk)
        await _bot_trades(operator)
        await guarded.admin.execute_command("CLIENT", "KILL", "TYPE", "normal")
        for desk in desks:
            venue = desk.market.venue
            seen = await newest(operator, venue.streams)
            await eventually_async(partial(all_move_on, operator, venue, seen))
            await _trade(desk)
        assert await operator.xlen("indicators:sma_3:binance:BTCUSDT")
    log = await guarded.admin.execute_command("ACL", "LOG")
    assert log == []


async def _start(
    stack: AsyncExitStack, guarded: Guarded, folder: Path, service: str, **settings: str
) -> None:
    health_port = quiet_port()
    environment = {
        "REDIS_URL": guarded.url(service),
        "HEALTH_PORT": str(health_port),
        "BINANCE_SYMBOLS": ",".join(BINANCE.symbols),
        "LUNO_SYMBOLS": ",".join(LUNO.symbols),
        **settings,
    }
    await stack.enter_async_context(running(service, environment, folder))
    await eventually_async(lambda: is_ready(health_port), within=40.0)


async def _trade(desk: TradingDesk) -> None:
    """An order that fills, one that is cancelled, a question, and a command nobody can read."""
    bought = await desk.order(price=await desk.marketable())
    assert (await desk.response(bought)).status == "accepted"
    await desk.status(bought, "filled")
    resting = await desk.order(price=await desk.far_below())
    await desk.status(resting, "open")
    symbol = desk.market.symbol
    answer = await desk.request("cancel_order", symbol=symbol, client_order_id=resting)
    assert answer.status == "done"
    answer = await desk.request("request_balance", exchange=desk.market.venue.exchange)
    assert answer.status == "done"
    letters = f"{desk.name}:dead_letter:place_order"
    before = await desk.redis.xlen(letters)
    await desk.send("place_order", b"not JSON")

    async def buried() -> bool:
        return bool(await desk.redis.xlen(letters) > before)

    await eventually_async(buried)


async def _bot_trades(operator: Redis) -> None:
    """The bot's own order is filled, and its chain told."""

    async def filled() -> bool:
        entries: Any = await operator.xrange("bot:events:decision")
        told = [json.loads(fields[b"data"]) for _, fields in entries]
        return any(each["order_status"] == "filled" for each in told)

    await eventually_async(filled, within=60.0)
