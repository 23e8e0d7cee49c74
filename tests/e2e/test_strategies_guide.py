"""docs/strategies.md, as a person would follow it."""

import asyncio
import json
import re
import shlex
import signal
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import Field
from redis.asyncio import Redis

from common_models import DecisionEvent, PortfolioEvent, Ticker
from services._local.redis_server import RedisServer
from services.bot.parameters import declared, describe
from services.bot.strategies import BUILT_IN
from services.bot.strategy import Intent, Strategy
from services.bot.strategy_config import ENTRY_POINTS, read
from tests.e2e.conftest import launched
from tests.support.bot.process import running_bot
from tests.support.eventually import eventually, eventually_async
from tests.support.market_data.messages import ticker
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(180)

GUIDE = (ROOT / "docs" / "strategies.md").read_text()


def blocks(language: str) -> list[str]:
    """The guide's code blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the two files of the guide were saved, under the names that it gives them."""
    names = re.findall(r"Save (?:it|this) as `(\w+\.py)`", GUIDE)
    assert names == ["my_strategies.py", "test_my_strategies.py"]
    for name, code in zip(names, blocks("python"), strict=True):
        (tmp_path / name).write_text(code)
    return tmp_path


async def test_its_own_test_passes(folder: Path) -> None:
    """The guide's command, in the folder that holds both files."""
    program, *words = shlex.split(blocks("sh")[1])
    assert program == ".venv/bin/python"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words, "-p", "no:cacheprovider"),
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert b"1 passed" in out


async def test_it_trades_on_paper_and_its_decisions_can_be_watched(folder: Path) -> None:
    """With the guide's variables and the guide's redis-cli lines."""
    *assignments, make, target = shlex.split(blocks("sh")[2])
    assert (make, target) == ("make", "run")
    given = dict(word.split("=", 1) for word in assignments)
    path = f"{ROOT}:{folder}"
    async with launched(folder, **given, PYTHONPATH=path, SIMULATOR_RATE="80") as run:
        await run.until_ready()
        await eventually(lambda: "buy 0.001, filled" in run.out, within=90)
        async with Redis(port=run.redis_port) as redis:
            for line in (blocks("sh")[0], blocks("sh")[3]):
                ((_, entries),) = await _asked(redis, line)
                decision = DecisionEvent.model_validate_json(entries[0][1][b"data"])
                assert decision.strategy == "my_strategies.Dip:binance:BTC/USDT"
            ((_, fields),) = await _asked(redis, blocks("sh")[4])
            portfolio = PortfolioEvent.model_validate_json(fields[b"data"])
            assert portfolio.mode == "paper"
            assert [each.symbol for each in portfolio.positions] == ["BTC/USDT"]


async def test_a_change_of_the_file_is_at_work_seconds_later(folder: Path) -> None:
    """A mistake in it is told with its line, and what ran goes on."""
    file = folder / "my_strategies.py"
    code = file.read_text()
    assert code.count('"buy", f"') == 1
    given = {"STRATEGIES": "my_strategies.Dip:binance:BTC/USDT:0.001", "SIMULATOR_RATE": "80"}
    async with launched(folder, **given, PYTHONPATH=f"{ROOT}:{folder}") as run:
        await run.until_ready()
        file.write_text(code + "\nclass Dip(\n")
        await eventually(
            lambda: "bot continues with the old code. SyntaxError" in run.out, within=30
        )
        assert f'File "{file}", line' in run.out
        file.write_text(code.replace('"buy", f"', '"buy", f"as changed: '))
        await eventually(lambda: "restarting bot" in run.out, within=30)
        await eventually(lambda: ", sent: as changed: " in run.out, within=90)
        assert await run.end(signal.SIGINT) == 0


async def _asked(redis: Redis, line: str) -> Any:
    program, *words = shlex.split(line)
    assert program == "redis-cli"
    return await redis.execute_command(*words)  # type: ignore[no-untyped-call]


async def test_an_installed_package_offers_it_by_its_entry_point(
    folder: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """As the guide's pyproject.toml says."""
    (toml,) = blocks("toml")
    points = tomllib.loads(toml)["project"]["entry-points"]
    assert list(points) == [ENTRY_POINTS]
    info = folder / "my_strategies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-strategies\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points[ENTRY_POINTS].items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINTS}]", *lines]) + "\n")
    settings = {"STRATEGIES": "dip:binance:BTC/USDT:1", "PYTHONPATH": f"{ROOT}:{folder}"}
    async with running_bot(redis, redis_server.url, folder, **settings) as bot:

        async def works() -> bool:
            return await bot.part("strategies") == "ok"

        await eventually_async(works)
        assert bot.logged("bot_mode")[0]["strategies"] == ["dip:binance:BTC/USDT"]


def test_the_guides_example_message_is_one() -> None:
    """It says nothing that a decision doesn't."""
    (example,) = blocks("json")
    decision = DecisionEvent.model_validate_json(example)
    assert decision.model_fields_set == set(json.loads(example)) <= set(DecisionEvent.model_fields)


def test_the_guide_has_each_parameter_with_its_type_its_bounds_and_its_default() -> None:
    """As the classes declare them, and no other."""
    rows = re.findall(r"^\| `(\w+)`: `(\w+)` \| (.*?) \| (.*?) \|$", GUIDE, re.MULTILINE)
    told = {(name, field): f"{kind}: {means}" for name, field, kind, means in rows}
    assert told == {
        (name, field): describe(cls, field).replace(" unless given)", ")")
        for name, cls in BUILT_IN.items()
        for field in declared(cls)
    }


def test_the_guides_other_parameters_are_ones(folder: Path, monkeypatch: Any) -> None:
    """Two instances of its own strategy, by the line of the guide."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "my_strategies", raising=False)
    assignment, *_ = shlex.split(blocks("sh")[5])
    entries = assignment.removeprefix("STRATEGIES=").split(",")
    first, second = read(entries, {"binance": ("BTC/USDT",)})
    assert (first.parameters, second.parameters) == ({"share": 0.002}, {"share": 0.01})
    assert (first.label, second.label) == ("", "deep")


async def test_the_price_difference_is_traded_on_the_simulator(folder: Path) -> None:
    """By the line of the guide, but that any difference is large enough: bought, and filled."""
    assignment, *_ = shlex.split(blocks("sh")[6])
    entry = assignment.removeprefix("STRATEGIES=")
    wanted = re.sub("enter=.*", "enter=-0.4&leave=-0.5", entry)
    assert wanted != entry
    async with launched(folder, STRATEGIES=wanted, SIMULATOR_RATE="80") as run:
        await run.until_ready()
        await eventually(lambda: "buy 0.001, filled" in run.out, within=90)
        assert "luno:XBT/ZAR pays" in run.out


def test_the_guides_ladder_is_one() -> None:
    """As many levels as it may have open, each below the other; none while some rest."""
    body = re.search(r"\n\n(    max_orders = .*?)\n\n`", GUIDE, re.DOTALL)
    assert body is not None
    names: dict[str, Any] = {
        "Decimal": Decimal,
        "Field": Field,
        "Intent": Intent,
        "Strategy": Strategy,
        "Ticker": Ticker,
    }
    exec(f"class Levels(Strategy):\n{body[1]}", names)
    market = SimpleNamespace(orders=(), symbol="BTC/USDT", exchange="binance")
    levels = names["Levels"](market, step=0.01)
    actions = levels.on_ticker(ticker(last=100.5))
    assert [action.price for action in actions] == [
        *(Decimal("99.00"), Decimal("98.00"), Decimal("97.00")),
        *(Decimal("96.00"), Decimal("95.00"), Decimal("94.00")),
    ]
    market.orders = ("one",)
    assert levels.on_ticker(ticker()) == []


def test_the_guide_names_all_strategies_and_all_reasons_to_refuse() -> None:
    """As the code has them."""
    assert set(re.findall(r"^\| `(\w+)` \| [`t]", GUIDE, re.MULTILINE)) >= set(BUILT_IN)
    code = "".join(
        (ROOT / "services" / "bot" / name).read_text() for name in ("decision_maker.py", "risk.py")
    )
    reasons = set(re.findall(r'(?:Refusal|_unnamed)\(\s*"(\w+)"', code))
    table = GUIDE.partition("| `reason_code` | why |")[2].partition("An asset")[0]
    first_column = "\n".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))
    told = set(re.findall(r"`([a-z_]+)`", first_column))
    assert reasons == told
