"""`tradectl halt` holds, however its reason is spelled and whatever else is wrong."""

import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models.stream_names import HALT, TRADING
from services._local.redis_server import RedisServer
from tests.integration.tradectl.hand import ended, play_connector, started, tradectl

# A process takes its time to start where the machine has other work.
pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (r"$'prix \xe9lev\xe9'", r"prix \xe9lev\xe9"),
        (r"$'\xf0\x9f\x92'", r"\xf0\x9f\x92"),
        (r"$'\e[2J'", "\x1b[2J"),
        ("цена", "цена"),
        ("prices look wrong", "prices look wrong"),
        ("'-5% in a minute'", "-5% in a minute"),
        ("''", "no reason given"),
    ],
)
async def test_a_halt_holds_whatever_its_reason_is_spelled_in(
    tmp_path: Path, redis_server: RedisServer, redis: Redis, typed: str, kept: str
) -> None:
    """Latin-1, a part of a letter, what a terminal obeys, words, a dash, nothing."""
    await play_connector(redis)
    await redis.set(TRADING, "allowed")
    script = f'"$0" -m services.tradectl halt --keep-orders --json {typed}'
    async with started(tmp_path, redis_server.url, "bash", "-c", script, sys.executable) as process:
        halted = await ended(process)
    assert (halted.code, halted.json["halted"]) == (0, kept), halted
    assert await redis.get(HALT) == kept.encode()
    assert not await redis.exists(TRADING)
    again = await tradectl(redis_server.url, "halt", "again", "--keep-orders")
    assert "\x1b" not in again.err


@pytest.mark.parametrize(
    "dotenv",
    [
        b"# cl\xe9 de Binance\nREDIS_URL=%s\n",
        b"\xef\xbb\xbfREDIS_URL=%s\r\n",
        b"BINANCE_API_KEY=\xff\nREDIS_URL=%s\nHEALTH_PORT=http\nHEALTH_URLS=nowhere\nLOG_LEVEL=loud\n",
    ],
    ids=["Latin-1", "byte order mark", "other variables"],
)
async def test_a_halt_needs_no_setting_but_where_redis_is(
    tmp_path: Path, redis_server: RedisServer, redis: Redis, dotenv: bytes
) -> None:
    """`.env` is read as far as it is needed."""
    (tmp_path / ".env").write_bytes(dotenv % redis_server.url.encode())
    await play_connector(redis)
    halted = await tradectl("", "halt", "x", "--keep-orders")
    assert halted.code == 0, halted
    assert await redis.get(HALT) == b"x"


async def test_a_redis_url_in_another_encoding_is_one_clear_line() -> None:
    """Then nobody knows which Redis is meant; the password isn't shown."""
    for command in (("halt", "x"), ("orders",)):
        refused = await tradectl("redis://:s3cr\udce9t@127.0.0.1", *command)
        assert refused.code == 2
        assert refused.err.startswith("tradectl: settings: REDIS_URL: not valid UTF-8")
        assert len(refused.err.splitlines()) == 1
        assert "s3cr" not in refused.err


async def test_the_operator_who_resumes_may_have_any_name(
    redis_server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's name comes from the environment."""
    client: Any = redis
    await play_connector(redis)
    resumed = await tradectl(redis_server.url, "resume", LOGNAME="Ren\udce9")
    assert resumed.code == 0, resumed
    assert b"Ren\\\\xe9" in await client.get(TRADING)


async def test_a_redis_without_a_connector_is_not_called_halted(
    redis_server: RedisServer, redis: Redis
) -> None:
    """The suite is on another: nothing was stopped there, nothing is resumed or cancelled here."""
    for arguments, said in (
        (("halt", "x"), "NOTHING was halted"),
        (("halt", "x", "--keep-orders"), "NOTHING was halted"),
        (("resume",), "nothing was resumed"),
        (("cancel", "--all"), "nothing was cancelled"),
        (("cancel", "mine", "-x", "binance", "-s", "BTC/USDT"), "not sent"),
    ):
        found = await tradectl(redis_server.url, *arguments)
        assert found.code == 1, (arguments, found)
        assert f"{said}: no connector was ever on the Redis at 127.0.0.1:" in found.err
        assert "set REDIS_URL" in found.err
    assert (await redis.get(HALT), await redis.get(TRADING)) == (b"x", None)
    status = await tradectl(redis_server.url, "status", HEALTH_URLS=",")
    assert (status.code, "no connector was ever on the Redis at" in status.out) == (1, True)
