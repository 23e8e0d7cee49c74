"""Output that can't be written: the exit code is that of what was done."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import OrderResponseEvent
from common_models.stream_names import HALT, TRADING
from services._local.redis_server import RedisServer
from services.tradectl import halting
from tests.integration.tradectl.hand import (
    Ended,
    commands,
    ended,
    play_connector,
    started,
    tradectl,
)
from tests.support.eventually import eventually_async
from tests.support.network.fault_proxy import fault_proxy

# A process takes its time to start where the machine has other work.
pytestmark = pytest.mark.timeout(240)

PLACES = "binance_connector:commands:place_order"
STATUS_BY_ID = {"good": "accepted", "bad": "rejected", "unclear": "unknown"}

# What the shell does with the output, and what tradectl says of it.
OUTPUTS = {
    "> /dev/full": "tradectl: stdout can't be written: No space left on device",
    ">&-": "tradectl: stdout can't be written: Bad file descriptor",
    "| true": None,
    "2> /dev/full": None,
    "2>&-": None,
}


async def in_a_shell(folder: Path, url: str, output: str, *arguments: str) -> Ended:
    """Run it as a process, its output led elsewhere."""
    script = f'"$0" -m services.tradectl "$@" {output}; exit ${{PIPESTATUS[0]}}'
    async with started(folder, url, "bash", "-c", script, sys.executable, *arguments) as process:
        return await ended(process)


@pytest.fixture
async def answering(redis: Redis) -> AsyncIterator[None]:
    """A connector that answers each order as its id says."""
    await play_connector(redis)
    client: Any = redis

    async def answer() -> None:
        last = "0-0"
        while True:
            await play_connector(redis)  # again and again, as a connector that lives
            for _, entries in await client.xread({PLACES: last}, block=1000):
                for entry_id, _ in entries:
                    last = entry_id.decode()
                    order_id = (await commands(redis, "place_order"))[-1]["client_order_id"]
                    if order_id in STATUS_BY_ID:
                        await said(order_id, last)

    async def said(order_id: str, command_id: str) -> None:
        event = OrderResponseEvent(
            client_order_id=order_id,
            symbol="BTC/USDT",
            requested_quantity=0.001,
            side="buy",
            type="market",
            status=STATUS_BY_ID[order_id],
            command_id=command_id,
        )
        stream = "binance_connector:events:order_response"
        await client.xadd(stream, {"data": event.model_dump_json()})

    task = asyncio.create_task(answer())
    yield
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.usefixtures("answering")
async def test_an_orders_outcome_decides_whatever_becomes_of_the_output(
    tmp_path: Path, redis_server: RedisServer, output: str
) -> None:
    """Accepted, rejected, unknown, unanswered; an error of stdout isn't called Redis's."""
    buy = ("place", "binance", "buy", "BTC/USDT", "0.001")
    for order_id, code, more in (
        ("good", 0, ("--json",)),
        ("bad", 1, ()),
        ("unclear", 4, ("--timeout", "1")),
        ("unheard", 5, ("--timeout", "1", "--json")),
    ):
        arguments = (*buy, "--id", order_id, *more)
        placed = await in_a_shell(tmp_path, redis_server.url, output, *arguments)
        assert placed.code == code, (order_id, placed)
        assert "Redis" not in placed.err
        assert "Traceback" not in placed.err
        if (said := OUTPUTS[output]) is not None:
            assert said in placed.err


@pytest.mark.parametrize("output", OUTPUTS)
async def test_a_halt_and_a_resume_hold_whatever_becomes_of_the_output(
    tmp_path: Path, redis_server: RedisServer, redis: Redis, output: str
) -> None:
    """Code 0, because they were done; what can only be shown and wasn't is unknown."""
    lost = output in ("> /dev/full", ">&-")
    await play_connector(redis)
    for arguments, code in (
        (("halt", "x", "--keep-orders", "--json"), 0),
        (("orders",), 4 if lost else 0),
        (("dead-letters", "list", "--json"), 4 if lost else 0),
        (("tail", "nosuch:*", "--from", "all", "--no-follow"), 1),
        (("orders", "--exchange", "kraken"), 1),
        (("place", "binance", "byu", "BTC/USDT", "1"), 2),
    ):
        found = await in_a_shell(tmp_path, redis_server.url, output, *arguments)
        assert found.code == code, (arguments, found)
        assert "Traceback" not in found.err
    assert await redis.get(HALT) == b"x"
    resumed = await in_a_shell(tmp_path, redis_server.url, output, "resume")
    assert (resumed.code, await redis.get(HALT)) == (0, None), resumed
    assert await redis.exists(TRADING)


async def test_a_text_that_the_terminal_has_no_letters_for_is_spelled_out(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """A Cyrillic reason on an ASCII terminal: no traceback, which would read as "no"."""
    await play_connector(redis)
    await redis.set(HALT, "цена")
    script = 'PYTHONIOENCODING=ascii "$0" -m services.tradectl "$@"'
    shell = ("bash", "-c", script, sys.executable, "resume")
    async with started(tmp_path, redis_server.url, *shell) as process:
        resumed = await ended(process)
    assert resumed.code == 0, resumed
    assert "It was: \\u0446" in resumed.out


async def test_a_halt_whose_acknowledgement_is_lost_is_made_again(
    redis_server: RedisServer, redis: Redis
) -> None:
    """It does no harm twice, and nobody is told that trading may go on."""
    await play_connector(redis)
    async with fault_proxy(redis_server.port) as proxy:
        proxy.cut_replies_after = len("+OK\r\n") + 1  # after CLIENT SETNAME
        halted = await tradectl(proxy.url, "halt", "x", "--keep-orders")
    assert (halted.code, proxy.cuts) == (0, 1), halted
    assert "It was" not in halted.err
    assert await redis.get(HALT) == b"x"


async def test_what_fails_after_a_halt_is_never_called_not_halted(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Redis goes away when the connectors are looked for: what is open may not be cancelled."""
    async with fault_proxy(redis_server.port) as proxy:
        proxy.cut_replies_after = len("+OK\r\n:0\r\n$-1\r\n") + 1
        halted = await tradectl(proxy.url, "halt", "x")
    assert (halted.code, proxy.cuts) == (4, 1), halted
    assert "Halted" in halted.err
    assert "NOT halted" not in halted.err
    assert await redis.get(HALT) == b"x"


async def test_a_resume_whose_acknowledgement_is_lost_may_have_been_made(
    redis_server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code 4, and not the 3 that says that nothing was sent."""

    async def known(*_: object) -> list[str]:
        return ["binance_connector"]

    monkeypatch.setattr(halting, "_active_connectors", known)
    async with fault_proxy(redis_server.port) as proxy:
        proxy.cut_replies_after = len("+OK\r\n$-1\r\n$-1\r\n") + 1
        resumed = await tradectl(proxy.url, "resume")
    assert (resumed.code, proxy.cuts) == (4, 1), resumed
    assert await redis.exists(TRADING)


async def test_balances_that_cant_be_read_after_they_were_asked_for_are_unknown(
    redis_server: RedisServer, redis: Redis
) -> None:
    """A command was written, so it isn't "nothing was sent"."""
    await play_connector(redis)
    arguments = ("balances", "--refresh", "--timeout", "2")
    asking = asyncio.ensure_future(tradectl(redis_server.url, *arguments))
    await eventually_async(lambda: commands(redis, "request_balance"), 60.0)
    await redis_server.stop()
    asked = await asking
    assert asked.code == 4, asked


async def test_a_user_who_may_only_set_the_reason_halts_by_it(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Either of the two keys halts: this isn't "not halted"."""
    client: Any = redis
    await play_connector(redis)
    rules = ["on", ">pw", "~control:halt", "+@all"]
    await client.execute_command("ACL", "SETUSER", "guest", *rules)
    guest = redis_server.url.replace("//", "//guest:pw@")
    halted = await tradectl(guest, "halt", "x", "--keep-orders")
    assert halted.code == 0, halted
    assert await redis.get(HALT) == b"x"
