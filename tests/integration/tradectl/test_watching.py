"""Watching by hand: tail, dead letters, status and doctor on a real server."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.health import Readiness, health_server
from services._runtime.metrics import Metrics
from services._runtime.settings import ServiceSettings
from tests.integration.tradectl.hand import TRADECTL, ended, play_connector, started, tradectl
from tests.support.ports import quiet_port
from tests.support.redis.unwritable import UNWRITABLE

# A process takes its time to start where the machine has other work.
pytestmark = pytest.mark.timeout(240)

TRADE = (
    '{"symbol":"BTC/USDT","timestamp":"2026-11-22T12:00:00Z","price":91000.5,'
    '"quantity":0.00001,"side":"buy","trade_id":"7","exchange":"binance"}'
)
OTHER = TRADE.replace("BTC", "ETH").replace('"7"', '"8"')
# What a terminal would obey: it clears the screen.
EVIL = '{"client_order_id":"evil\\u001b[2J","symbol":"\u009b2J"}'


@pytest.fixture
async def url(redis_server: RedisServer, redis: Redis) -> str:
    """A Redis with two markets' trades and a status that isn't one."""
    await redis.xadd("binance:BTCUSDT:trades", {"data": TRADE}, id="1000-0")
    await redis.xadd("binance:ETHUSDT:trades", {"data": OTHER}, id="2000-0")
    await redis.xadd("luno_connector:events:order_status", {"data": EVIL}, id="3000-0")
    await redis.set("not:a:stream", "x")
    return redis_server.url


async def test_what_is_there_is_shown_decoded_and_in_order(url: str) -> None:
    """All streams that match, as JSON lines; what isn't what it should be has its fault named."""
    shown = await tradectl(url, "tail", "*", "--from", "all", "--no-follow", "--json")
    assert shown.code == 0, shown
    assert [line["id"] for line in shown.lines] == ["1000-0", "2000-0", "3000-0"]
    trade, _, status = shown.lines
    assert (trade["data"]["price"], trade["data"]["trade_id"]) == (91000.5, "7")
    assert "fault" not in trade
    assert status["fault"] == "order_id: Field required"


async def test_an_exchange_that_was_never_here_is_said_to_be_none(url: str) -> None:
    """An empty table would read as "no orders"."""
    for command in (("orders",), ("balances",), ("why", "x"), ("cancel", "--all")):
        found = await tradectl(url, *command, "--exchange", "kraken")
        assert (found.code, found.out) == (1, ""), (command, found)
        assert "kraken_connector was never on this Redis; there: " in found.err


async def test_a_terminal_never_obeys_what_lies_in_redis(url: str) -> None:
    """Escape sequences are spelled out, in text and in JSON."""
    arguments = ("tail", "luno*", "--from", "all", "--no-follow")
    for more in ((), ("--json",)):
        shown = await tradectl(url, *arguments, *more)
        assert "evil" in shown.out
        assert not {"\x1b", "\x9b"} & set(shown.out)
    assert "NOT VALID (order_id: Field required)" in (await tradectl(url, *arguments)).out


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--symbol", "eth/usdt"), ["2000-0"]),
        (("--symbol", "BTCUSDT"), ["1000-0"]),
        (("--id", "8"), ["2000-0"]),
        (("--id", "8", "--symbol", "BTC/USDT"), []),
        (("--from", "1000-0"), ["2000-0", "3000-0"]),
        (("--from", "1970-01-01T00:00:02Z"), ["2000-0", "3000-0"]),
        (("--count", "1"), ["1000-0"]),
        (("--from", "5m"), []),
    ],
)
async def test_only_what_is_asked_for_is_shown(
    url: str, arguments: tuple[str, ...], ids: list[str]
) -> None:
    """Filters, and where to begin."""
    start = () if "--from" in arguments else ("--from", "all")
    shown = await tradectl(url, "tail", "*", *start, "--no-follow", "--json", *arguments)
    assert shown.code == 0, shown
    assert [line["id"] for line in shown.lines] == ids


async def test_what_comes_is_shown_as_it_comes_also_from_streams_that_are_new(
    tmp_path: Path, url: str, redis: Redis
) -> None:
    """Nothing old; a stream that a glob matches later from its beginning; Ctrl-C ends it."""
    arguments = ("tail", "binance:*", "indicators:*", "--json")
    async with started(tmp_path, url, *TRADECTL, *arguments) as process:
        assert process.stdout is not None
        # It reads from now on: an entry is added until the first is seen.
        first = asyncio.ensure_future(process.stdout.readline())
        while not first.done():
            await redis.xadd("binance:BTCUSDT:trades", {"data": TRADE})
            await asyncio.wait([first], timeout=0.05)
        assert b"binance:BTCUSDT:trades" in await first
        value = '{"value":1.5,"indicator_name":"rsi_14","symbol":"BTC/USDT","exchange":"binance"}'
        await redis.xadd("indicators:rsi_14:binance:BTCUSDT", {"data": value})
        while b"indicators:rsi_14" not in (line := await process.stdout.readline()):
            assert b"2000-0" not in line
        process.send_signal(signal.SIGINT)
        assert (await ended(process)).code == 130


async def test_a_reader_that_has_seen_enough_ends_it_quietly(
    tmp_path: Path, url: str, redis: Redis
) -> None:
    """`tradectl tail | head -1` is no error."""
    script = "$0 -m services.tradectl tail '*' --from all | head -1; exit ${PIPESTATUS[0]}"
    async with started(tmp_path, url, "bash", "-c", script, sys.executable) as process:
        end = asyncio.ensure_future(ended(process))
        while not end.done():  # it notices only when it writes again
            await redis.xadd("binance:BTCUSDT:trades", {"data": TRADE})
            await asyncio.wait([end], timeout=0.1)
        end_of_it = await end
    assert (end_of_it.code, end_of_it.err) == (0, "")
    assert len(end_of_it.out.splitlines()) == 1


async def test_dead_letters_are_listed_and_shown_whole(
    redis_server: RedisServer, redis: Redis
) -> None:
    """By the letter's own id, and by the id of the command that it was."""
    nothing = await tradectl(redis_server.url, "dead-letters", "list")
    assert (nothing.code, nothing.out.strip()) == (0, "no dead letters")
    stream = "binance_connector:dead_letter:place_order"
    letter = '{"entry_id":"5-0","error":"no JSON","encoding":"utf-8","content":"{\\u001b[2J"}'
    await redis.xadd(stream, {"data": letter}, id="9-1")
    listed = await tradectl(redis_server.url, "dead-letters", "list")
    assert "no JSON" in listed.out
    assert "\x1b" not in listed.out
    for wanted in ("9-1", "5-0"):
        shown = await tradectl(redis_server.url, "dead-letters", "show", wanted, "--json")
        assert shown.code == 0, shown
        assert shown.json[0]["content"] == "{\x1b[2J"
    missing = await tradectl(redis_server.url, "dead-letters", "show", "6-0")
    assert missing.code == 1


async def test_status_says_what_is_not_ready_not_there_and_not_spoken_of_any_more(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Exit code 1, and why, for each part of it."""
    settings = ServiceSettings(health_port=0)
    await play_connector(redis)
    async with health_server("bot", settings, Readiness("redis"), Metrics("bot")) as port:
        urls = f"bot=http://127.0.0.1:{port},indicators=http://127.0.0.1:{quiet_port()}"
        status = await tradectl(redis_server.url, "status", "--json", HEALTH_URLS=urls)
    assert status.code == 1, status
    states = {each["service"]: (each["state"], each["why"]) for each in status.json["services"]}
    assert states["bot"] == ("not ready", "redis: starting")
    assert states["indicators"][0] == "no answer"
    (feed,) = status.json["feeds"]
    assert (feed["symbol"], feed["state"]) == ("BTC/USDT", "live")
    assert {each["stream"]: each["entries"] for each in status.json["streams"]} == {
        "binance:BTCUSDT:ticker": 0,
        "binance:BTCUSDT:orderbook": 0,
        "binance:BTCUSDT:trades": 0,
    }


async def test_the_doctor_finds_a_server_that_evicts_and_loses_data(tmp_path: Path) -> None:
    """Each fault is named with its fix; the exit code says that there is one."""
    options = ("--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
    server = RedisServer(tmp_path / "redis", quiet_port(), *options)
    await server.start()
    try:
        examined = await tradectl(server.url, "doctor", "--json", BINANCE_API_KEY="k3y")
    finally:
        await server.stop()
    assert examined.code == 1, examined
    checks = {check["check"]: check for check in examined.json}
    assert checks["maxmemory-policy"]["state"] == checks["appendonly"]["state"] == "fail"
    assert "CONFIG SET maxmemory-policy noeviction" in checks["maxmemory-policy"]["fix"]
    assert checks["binance keys"]["what"] == "BINANCE_API_KEY is set, BINANCE_API_SECRET isn't"
    assert checks["version"]["state"] == "ok"
    assert "k3y" not in examined.out + examined.err


async def test_the_doctor_minds_who_may_read_the_keys(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """`.env` where it is started; without one there is nothing to say."""
    states = []
    for mode in (None, 0o600, 0o640):
        if mode is not None:
            (tmp_path / ".env").touch()
            (tmp_path / ".env").chmod(mode)
        checks = (await tradectl(redis_server.url, "doctor", "--json")).json
        states.append([check["state"] for check in checks if check["check"] == ".env"])
    assert states == [[], ["ok"], ["warn"]]


async def test_the_doctor_says_what_a_redis_user_may_not_do_and_does_nothing_itself(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Asked by queueing commands that are thrown away: not one is carried out."""
    await play_connector(redis)
    before = await redis.keys()
    client: Any = redis
    may_write = ["%RW~*:commands:cancel_order", "%RW~*:operator:cancel_order"]
    rules = ["on", ">pw", "%R~*", *may_write, "+@all", "-info"]
    await client.execute_command("ACL", "SETUSER", "guest", *rules)
    guest = redis_server.url.replace("//", "//guest:pw@")
    examined = await tradectl(guest, "doctor", "--json")
    checks = {check["check"]: check for check in examined.json}
    refused = checks["permissions"]
    assert refused["state"] == "warn"
    assert "may not halt, halt with a reason, and resume" in refused["what"]
    assert "send place_order to binance_connector" in refused["what"]
    assert "send cancel_order to" not in refused["what"]
    assert checks["Redis"]["state"] == "warn"
    assert sorted(await redis.keys()) == sorted(before)
    assert "pw" not in examined.out


@pytest.mark.parametrize("trouble", UNWRITABLE)
async def test_the_doctor_shows_every_row_of_a_redis_that_takes_nothing(
    redis_server: RedisServer, redis: Redis, trouble: str
) -> None:
    """That it is the fault is one row of the table, as is each look that it refused."""
    await play_connector(redis)
    rows = {each["check"] for each in (await tradectl(redis_server.url, "doctor", "--json")).json}
    harm, mend, says = UNWRITABLE[trouble]
    await harm(redis)
    examined = await tradectl(redis_server.url, "doctor", "--json")
    await mend(redis)
    assert examined.code == 1, examined
    checks = {check["check"]: check for check in examined.json}
    assert checks.keys() >= rows
    if trouble == "half-permitted":
        assert "may not halt" in checks["permissions"]["what"]
    else:
        assert checks["writes"]["state"] == "fail"
        assert says in checks["writes"]["what"]


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("nonsense", 2, "tradectl: settings: REDIS_URL: can't be parsed"),
        ("redis://:s3cr#t@host", 2, "tradectl: settings: REDIS_URL: "),
        ("redis://:s3cret@127.0.0.1:1/0", 3, "tradectl: Redis can't be reached: "),
    ],
)
async def test_a_redis_that_cannot_be_used_is_one_clear_line(
    url: str, code: int, said: str
) -> None:
    """No traceback, no part of the password."""
    for command in (("orders",), ("halt", "x"), ("doctor",), ("why", "x")):
        refused = await tradectl(url, *command)
        assert (refused.code, refused.out) == (code, "")
        assert said in refused.err or "NOT halted" in refused.err
        assert len(refused.err.splitlines()) == 1
        assert "s3cr" not in refused.err
