"""The README's Docker lines, as a person would paste them into a clean checkout."""

import re
import shutil
from pathlib import Path

import pytest

from tests.compose.engine import BASE, PAPER, described_suite, run
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(600)

QUIET = ("alias ", "cp ")  # these print nothing
OURS = ("docker ", *QUIET)


def lines() -> list[str]:
    """Every line of the README's shell blocks that have to do with Docker and its settings."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks if block.startswith(OURS) for line in block.splitlines()]


async def test_each_docker_line_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    """The environment alone makes it simulated markets, with ports and a name of its own."""
    checkout = await _clean_checkout(tmp_path / "checkout")
    name = "compose-test-readme"
    async with described_suite(name, [BASE, PAPER], tmp_path, checkout) as suite:
        for line in lines():
            said = await suite.shell(line, checkout)
            assert said.strip() or line.startswith(QUIET), line
            if line.startswith("docker compose up"):
                await suite.all_healthy()
                (alias,) = [line for line in lines() if line.startswith("alias redis-cli=")]
                asked = f"{alias}\nredis-cli -p {suite.ports['redis']} ping"
                assert "PONG" in await suite.shell(asked, checkout)
        assert not await _containers(name)  # one of the lines takes all of it down
        assert (checkout / ".env").exists()
        said = await suite("config")  # and what lies in it is understood
        assert said.count("build:") == 1, (
            "two services that build one image get in each other's way"
        )


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
