"""A process that a signal kills is restarted; one that exits by itself is an error."""

from pathlib import Path

import pytest

from services._local import restart
from services._local.processes import ManagedProcessError
from services._local.restart import restart_when_killed


class Killed:
    """A process that ends with these codes, one after the other."""

    def __init__(self, *codes: int) -> None:
        self._codes = iter(codes)
        self.starts = 0

    async def ended(self) -> int:
        """Its next end."""
        return next(self._codes)

    async def restart(self) -> None:
        """One more time."""
        self.starts += 1


async def test_it_is_started_again_until_it_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says how it ended, why, and where its log is."""
    monkeypatch.setattr(restart, "MIN_LIFETIME", 0.0)
    log = tmp_path / "bot.log"
    log.write_text("no such luck")
    bot = Killed(-9, -15, 3)
    with pytest.raises(ManagedProcessError) as failure:
        await restart_when_killed("bot", log, bot.ended, bot.restart)
    assert str(failure.value) == f"bot ended with exit code 3: no such luck\n  Its log: {log}"
    assert bot.starts == 2
    assert capsys.readouterr().out.splitlines() == [
        "bot was killed by SIGKILL: restarting it.",
        "bot was killed by SIGTERM: restarting it.",
    ]


async def test_what_is_killed_as_soon_as_it_starts_is_not_started_for_ever(tmp_path: Path) -> None:
    """As on a machine without memory."""
    bot = Killed(-9, -9)
    with pytest.raises(ManagedProcessError, match="bot was killed by SIGKILL"):
        await restart_when_killed("bot", tmp_path / "bot.log", bot.ended, bot.restart)
    assert bot.starts == 0
