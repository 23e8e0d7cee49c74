"""Completion in a real shell, on a real server."""

import shlex
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.integration.tradectl.hand import TRADECTL, ended, play_connector, started

pytestmark = pytest.mark.timeout(240)
# As bash calls it when somebody presses Tab behind the last of the words.
PRESS_TAB = """
eval "$(tradectl --show-completion)"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p tradectl | sed 's/.*-F \\([^ ]*\\).*/\\1/') tradectl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder that holds `tradectl`, as `.venv/bin` does."""
    script = tmp_path / "bin" / "tradectl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {shlex.join(TRADECTL)} "$@"\n')
    script.chmod(0o755)
    return script.parent


async def offered(folder: Path, url: str, program: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    quoted = " ".join(shlex.quote(word) for word in ("tradectl", *words))
    script = f"PATH={program}:$PATH\n" + PRESS_TAB.format(words=quoted)
    async with started(folder, url, "bash", "--norc", "-c", script) as process:
        end = await ended(process)
    assert (end.code, end.err) == (0, ""), end
    return end.out.split()


async def test_bash_offers_commands_options_exchanges_and_symbols(
    tmp_path: Path, program: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """Exchanges and symbols are those of the connectors on this Redis."""
    await play_connector(redis)
    await play_connector(redis, "luno")
    for words, wanted in (
        (("pl",), ["place"]),
        (("dead-letters", ""), ["list", "show"]),
        (("orders", "--sy"), ["--symbol"]),
        (("orders", "--exchange", ""), ["binance", "luno"]),
        (("place", "lu"), ["luno"]),
        (("place", "luno", "s"), ["sell"]),
        (("place", "luno", "sell", "btc"), ["btc/USDT"]),
        (("orders", "--exchange", "binance", "--symbol", ""), ["BTC/USDT"]),
    ):
        found = await offered(tmp_path, redis_server.url, program, *words)
        assert found == wanted, words


async def test_without_a_redis_bash_offers_what_needs_none(tmp_path: Path, program: Path) -> None:
    """Nothing is said at the prompt."""
    nowhere = "redis://127.0.0.1:1"
    assert await offered(tmp_path, nowhere, program, "orders", "--exchange", "") == []
    assert await offered(tmp_path, nowhere, program, "hal") == ["halt"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
async def test_other_shells_are_offered_the_same(tmp_path: Path, shell: str) -> None:
    """By the call that their own scripts make."""
    asks = f"_TRADECTL_COMPLETE=complete_{shell} _TYPER_COMPLETE_FISH_ACTION=get-args"
    script = f"{asks} _TYPER_COMPLETE_ARGS='tradectl hal' $0 -m services.tradectl"
    command = ("bash", "--norc", "-c", script, sys.executable)
    async with started(tmp_path, "redis://127.0.0.1:1", *command) as process:
        end = await ended(process)
    assert (end.code, end.err) == (0, ""), end
    assert "halt" in end.out
