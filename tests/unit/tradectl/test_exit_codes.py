"""How a command ends where something fails that nobody foresaw."""

from typing import Never

import pytest
import typer
from redis.asyncio import Redis

from services.tradectl.exit_codes import ExitCode, print_message
from services.tradectl.running import run


def test_a_fault_of_its_own_is_neither_yes_nor_no(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own exit code for it is 1, which says "rejected"."""

    async def fails(redis: Redis) -> Never:
        raise KeyError("unforeseen")

    with pytest.raises(typer.Exit) as stopped:
        run(fails)
    assert stopped.value.exit_code == ExitCode.UNKNOWN
    assert "KeyError: 'unforeseen'" in capsys.readouterr().err


def test_messages_have_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """It may hold what lies in Redis: the reason of an earlier halt."""
    print_message("first\x1b[2J\nsecond\udce9")
    assert capsys.readouterr().err == "first\\x1b[2J\nsecond\\udce9\n"
