"""The README's command lines, those of Docker in a clean checkout."""

import re
import shutil
from pathlib import Path

import pytest

from tests.compose.engine import BASE, PAPER, Suite, described_suite, run
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(900)

QUIET = ("alias ", "cp ")  # these lines print nothing
DOCKER = ("docker ", *QUIET)
LOOKING = ("redis-cli ", "curl ")
ELSEWHERE = ("make ", ".venv/bin/tradectl ")  # tested in tests/e2e and tests/integration/tradectl


def lines(*kinds: str) -> list[str]:
    """The lines of the README's shell blocks that begin with one of *kinds*."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(kinds)]


def test_every_line_of_the_readme_is_tested() -> None:
    """A line of a new kind requires a test."""
    assert lines("") == lines(*DOCKER, *LOOKING, *ELSEWHERE)


async def test_each_docker_line_of_the_readme_works(tmp_path: Path) -> None:
    """Only the environment selects simulated markets, free ports and a project name."""
    checkout = await _clean_checkout(tmp_path / "checkout")
    name = "compose-test-readme"
    async with described_suite(name, [BASE, PAPER], tmp_path, checkout) as suite:
        for line in lines(*DOCKER):
            said = await suite.shell(line, checkout)
            assert said.strip() or line.startswith(QUIET), line
            if line.startswith("docker compose up"):
                await suite.all_healthy()
                await _looks(suite, checkout)
        assert not await _containers(name)  # one of the lines takes all of it down
        assert (checkout / ".env").exists()
        said = await suite("config")  # and what lies in it is understood
        assert said.count("build:") == 1, "two that build one image get in each other's way"


async def _looks(suite: Suite, checkout: Path) -> None:
    """By the README's own redis-cli, a container, on the ports that this suite has."""
    (alias,) = lines("alias redis-cli=")
    redis, binance = suite.ports["redis"], suite.ports["binance_connector"]
    for line in lines(*LOOKING):
        here = line.replace("redis-cli ", f"redis-cli -p {redis} ").replace(
            ":8001/", f":{binance}/"
        )
        said = await suite.shell(f"{alias}\n{here}", checkout)
        assert said.strip(), line
        assert "ERR " not in said, said


async def _containers(project: str) -> str:
    """The project's containers, stopped ones too."""
    ours = f"label=com.docker.compose.project={project}"
    return await run("docker", "ps", "--all", "--quiet", "--filter", ours)


async def _clean_checkout(folder: Path) -> Path:
    """What git would check out; no `.env`, no secrets, nothing that was built."""
    for name in (await run("git", "ls-files", "-z", folder=ROOT)).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder
