"""`tradectl halt` holds, however its reason is spelled and whatever else is wrong."""

import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models.stream_names import HALT, TRADING
from services._local.redis_server import RedisServer
from tests.integration.tradectl.hand import ended, started, tradectl

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
    await redis.set(TRADING, "allowed")
    script = f'"$0" -m services.tradectl halt {typed} --json'
    async with started(tmp_path, redis_server.url, "bash", "-c", script, sys.executable) as process:
        halted = await ended(process)
    assert (halted.code, halted.json["halted"]) == (0, kept), halted
    assert await redis.get(HALT) == kept.encode()
    assert not await redis.exists(TRADING)
    again = await tradectl(redis_server.url, "halt", "again")
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
    halted = await tradectl("", "halt", "x")
    assert halted.code == 0, halted
    assert await redis.get(HALT) == b"x"


async def test_a_redis_url_in_another_encoding_is_one_clear_line() -> None:
    """Then nobody knows which Redis is meant; the password isn't shown."""
    for command in (("halt", "x"), ("orders",)):
        refused = await tradectl("redis://:s3cr\udce9t@127.0.0.1", *command)
        assert refused.code == 2
        assert refused.err.startswith("tradectl: settings: REDIS_URL: isn't text in UTF-8")
        assert len(refused.err.splitlines()) == 1
        assert "s3cr" not in refused.err


async def test_whoever_resumes_may_have_any_name(
    redis_server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's name comes from the environment."""
    client: Any = redis
    resumed = await tradectl(redis_server.url, "resume", LOGNAME="Ren\udce9")
    assert resumed.code == 0, resumed
    assert b"Ren\\\\xe9" in await client.get(TRADING)
