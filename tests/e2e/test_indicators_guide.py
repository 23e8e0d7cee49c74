"""docs/indicators.md, as a person would follow it."""

import asyncio
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import IndicatorValue
from services._local.redis_server import RedisServer
from services.indicators.plugins import ENTRY_POINTS
from tests.e2e.conftest import launched
from tests.support.bot.indicator_host import hosting, market, publish, until_all_read, values
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(180)

GUIDE = (ROOT / "docs" / "indicators.md").read_text()


def blocks(language: str) -> list[str]:
    """The guide's code blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the two files of the guide were saved, under the names that it gives them."""
    names = re.findall(r"Save (?:it|this) as `(\w+\.py)`", GUIDE)
    assert names == ["my_indicators.py", "test_my_indicators.py"]
    for name, code in zip(names, blocks("python"), strict=True):
        (tmp_path / name).write_text(code)
    return tmp_path


def steps() -> tuple[str, str, str]:
    """The commands of "Your own in ten minutes": test it, run it, watch it."""
    test, run, watch = (block.strip() for block in blocks("sh")[1:])
    return test, run, watch


async def test_its_own_test_passes(folder: Path) -> None:
    """The guide's command, in the folder that holds both files."""
    program, *words = shlex.split(steps()[0])
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


async def test_it_runs_beside_ours_and_its_values_can_be_watched(folder: Path) -> None:
    """With the guide's variables and the guide's redis-cli lines."""
    _, run_line, watch_line = steps()
    *assignments, make, target = shlex.split(run_line)
    assert (make, target) == ("make", "run")
    given = dict(word.split("=", 1) for word in assignments)
    async with launched(folder, **given, PYTHONPATH=f"{ROOT}:{folder}") as run:
        await run.until_ready()
        async with Redis(port=run.redis_port) as redis:
            cli: Any = redis
            for line in (blocks("sh")[0], watch_line):
                program, *words = shlex.split(line)
                assert program == "redis-cli"
                ((stream, entries),) = await cli.execute_command(*words)
                value = IndicatorValue.model_validate_json(entries[0][1][b"data"])
                assert stream.decode() == f"indicators:{value.indicator_name}:binance:BTCUSDT"
                assert value.caused_by is not None


async def test_an_installed_package_offers_it_by_its_entry_point(
    folder: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """As the guide's pyproject.toml says."""
    (toml,) = blocks("toml")
    points = tomllib.loads(toml)["project"]["entry-points"]
    assert list(points) == [ENTRY_POINTS]
    info = folder / "my_indicators-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-indicators\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points[ENTRY_POINTS].items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINTS}]", *lines]) + "\n")
    wanted = "binance:BTC/USDT:vwma_3@trade"
    path = f"{ROOT}:{folder}"
    async with hosting(redis_server.url, folder, wanted, PYTHONPATH=path) as host:
        await publish(redis, market(), 5)
        await until_all_read(redis)
        await host.until_ready()
        assert await host.service.end() == 0
    assert len(await values(redis, "vwma_3")) == 3


def test_the_guides_example_message_is_one() -> None:
    """With every field that a message has."""
    (example,) = blocks("json")
    value = IndicatorValue.model_validate_json(example)
    assert value.model_fields_set == set(IndicatorValue.model_fields)
