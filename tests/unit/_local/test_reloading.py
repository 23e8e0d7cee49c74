"""A user's own code that changes: which files count, and what is not started."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services._local import reloading
from services._local.processes import ManagedProcess
from services._local.reloading import plugin_files, plugin_paths, reload_on_change
from tests.support.eventually import eventually
from tests.support.processes import ROOT


class Counted(ManagedProcess):
    """A part that only counts."""

    reloads = 0

    async def reload(self) -> None:
        """One more."""
        self.reloads += 1


@pytest.fixture
async def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    """The bot, with the strategy `mine.Dip` in the test's folder, being watched."""
    monkeypatch.setattr(reloading, "POLL_INTERVAL", 0.02)
    (tmp_path / "mine.py").write_text("class Dip: ...\n")
    part = Counted("bot", 1, tmp_path)
    environment = {
        "STRATEGIES": "mine.Dip:binance:BTC/USDT:0.001",
        "PYTHONPATH": f"{ROOT}:{tmp_path}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    watching = asyncio.create_task(reload_on_change(part, "STRATEGIES", environment))
    await asyncio.sleep(0)  # the first look is at the files as they are now
    yield part
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_dotted_paths_are_plugins() -> None:
    """Ours and entry points are no files of the user's."""
    strategies = "mine.Dip:binance:BTC/USDT:1?share=0.5, rsi_reversion:luno:XBT/ZAR:1,mine.Dip:x"
    given = {"STRATEGIES": strategies, "INDICATOR_PLUGINS": "a.b.Vwma"}
    assert plugin_paths(given, "STRATEGIES") == ["mine.Dip"]
    assert plugin_paths(given, "INDICATOR_PLUGINS") == ["a.b.Vwma"]
    assert plugin_paths({}, "INDICATOR_PLUGINS") == []


def test_a_package_counts_whole_and_a_module_with_those_beside_it(tmp_path: Path) -> None:
    """A strategy imports its helpers; another folder's code is none of its."""
    for name in ("mine.py", "helper.py", "pack/__init__.py", "pack/deep/one.py", "other/two.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [path.name for path in plugin_files(["mine.Dip"], [tmp_path / "none", tmp_path])]
    assert names == ["helper.py", "mine.py"]
    names = [path.name for path in plugin_files(["pack.deep.one.Dip"], [tmp_path])]
    assert names == ["__init__.py", "one.py"]


async def test_a_changed_file_starts_the_part_again(
    part: Counted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So does a helper that is new."""
    (tmp_path / "mine.py").write_text("class Dip: share = 1\n")
    await eventually(lambda: part.reloads == 1)
    (tmp_path / "helper.py").write_text("")
    await eventually(lambda: part.reloads == 2)
    assert capsys.readouterr().out.splitlines() == [
        "mine.py changed: restarting bot.",
        "helper.py changed: restarting bot.",
    ]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("class Dip:\n    share = \n", "SyntaxError: invalid syntax"),
        ("x = 1\nraise ValueError('no')\n", "ValueError: no"),
        ("class Other: ...\n", "has no attribute 'Dip'"),
    ],
)
async def test_code_that_cannot_be_imported_is_not_started(
    part: Counted, tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, fault: str
) -> None:
    """It says why and where; the next version is tried again."""
    (tmp_path / "mine.py").write_text(code)
    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return said.endswith("\n")

    await eventually(told)
    assert said.startswith("mine.py changed: bot continues with the old code. ")
    assert fault in said
    assert ", line 2" in said or "attribute" in said
    assert part.reloads == 0
    (tmp_path / "mine.py").write_text("class Dip: share = 100\n")
    await eventually(lambda: part.reloads == 1)
