"""`--watch` on a terminal, in a pipe, and while Redis is away."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.integration.tradectl.hand import (
    TRADECTL,
    ended,
    play_connector,
    started,
    tradectl,
)
from tests.integration.tradectl.terminal import on_terminal
from tests.support.eventually import eventually_async

pytestmark = pytest.mark.timeout(240)

HOME = b"\x1b[1A"  # the cursor goes up: what follows is drawn over what was there
WATCHED = ("status", "orders", "balances", "positions", "pnl")


async def hold(redis: Redis, quantity: str) -> None:
    """A connector's books say that so much is held."""
    client: Any = redis
    value = f'{{"quantity":"{quantity}","cash":"-1"}}'
    await client.hset("binance_connector:state:positions", "BTC/USDT", value)


async def test_a_terminal_is_drawn_over_until_ctrl_c(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """What changes is seen; the end is quiet, and leaves the last look and a cursor."""
    await play_connector(redis)
    await hold(redis, "0.125")
    async with on_terminal(tmp_path, redis_server.url, "positions", "--watch", "0.1") as terminal:
        await terminal.until("0.125")
        assert "every 0.1 s; Ctrl-C ends it" in terminal.text
        await hold(redis, "0.375")
        await terminal.until("0.375")
        assert HOME in terminal.written
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 130
        await terminal.until("0.375")
    assert "Traceback" not in terminal.text
    last = terminal.text[terminal.text.rindex("UTC, every") :]
    assert "0.375" in last
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")


@pytest.mark.parametrize("command", WATCHED)
async def test_in_a_pipe_it_is_appended_and_as_json_one_document_a_line(
    tmp_path: Path, redis_server: RedisServer, redis: Redis, command: str
) -> None:
    """Without anything that steers a terminal; Ctrl-C ends it, code 130 and no word more."""
    await play_connector(redis)
    await hold(redis, "0.125")
    for arguments in (("--watch", "0.1"), ("--watch=0.1", "--json")):
        async with started(tmp_path, redis_server.url, *TRADECTL, command, *arguments) as process:
            assert process.stdout is not None
            lines: list[bytes] = []
            while sum(b" UTC" in line or line[:1] in b"[{" for line in lines) < 3:
                lines.append(await process.stdout.readline())
                assert lines[-1], lines
            process.send_signal(signal.SIGINT)
            end = await ended(process)
        assert (end.code, end.err) == (130, ""), end
        assert b"\x1b" not in b"".join(lines)
        if "--json" in arguments:
            looks = [json.loads(line) for line in lines]
            assert len(looks) == 3
            once = (await tradectl(redis_server.url, command, "--json")).json
            assert type(looks[0]) is type(once)


async def test_a_terminal_that_can_not_be_drawn_over_is_written_to(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """As a pipe is: look after look."""
    await play_connector(redis)
    await hold(redis, "0.125")
    arguments = ("positions", "--watch", "0.1")
    async with on_terminal(tmp_path, redis_server.url, *arguments, kind="dumb") as terminal:
        await terminal.until("0.125")
        await hold(redis, "0.375")
        await terminal.until("0.375")
    assert b"\x1b" not in terminal.written


async def test_a_reader_that_has_seen_enough_ends_it_quietly(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """`tradectl orders --watch | head` is no error."""
    await play_connector(redis)
    script = "$0 -m services.tradectl orders -w 0.1 | head -1; exit ${PIPESTATUS[0]}"
    async with started(tmp_path, redis_server.url, "bash", "-c", script, TRADECTL[0]) as process:
        end = await ended(process)
    assert (end.code, end.err) == (0, "")


async def test_a_redis_that_goes_away_is_waited_for(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """The last look stays, with why; then it goes on. One that is away at first is an error."""
    away = await tradectl("redis://127.0.0.1:1", "orders", "--watch")
    assert away.code == 3, away
    server = redis_server
    async with on_terminal(tmp_path, server.url, "orders", "-w", "0.1") as terminal:
        await terminal.until("open orders")
        await server.stop()
        await terminal.until("Redis can't be reached")
        assert "it is tried again" in terminal.text
        await server.start()
        told = terminal.text.count("open orders")

        async def goes_on() -> bool:
            last = terminal.text[terminal.text.rindex("UTC, every") :]
            return "tried again" not in last and terminal.text.count("open orders") > told

        await eventually_async(goes_on, within=30)


async def test_asking_the_exchange_again_and_again_is_refused(redis_server: RedisServer) -> None:
    """Connectors tell each change by themselves."""
    refused = await tradectl(redis_server.url, "balances", "--refresh", "--watch")
    assert (refused.code, refused.out) == (2, "")
    assert "--refresh asks the exchanges once" in refused.err


async def test_what_a_terminal_shows_line_by_line_fits_it_too(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """What is too long goes on below, indented; in a pipe an entry stays one line."""
    client: Any = redis
    await client.xadd("binance:BTCUSDT:trades", {"data": json.dumps({"words": "many " * 50})})
    arguments = ("tail", "binance:*", "--from", "all", "--no-follow")
    async with on_terminal(tmp_path, redis_server.url, *arguments) as terminal:
        assert await terminal.ended() == 0
        await terminal.until("NOT VALID")
    lines = terminal.text.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("    ") for line in lines[1:])
    piped = await tradectl(redis_server.url, *arguments)
    assert len(piped.out.splitlines()) == 1
