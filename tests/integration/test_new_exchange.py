"""`make new-exchange` in a copy of the tree: the connector starts, and the files agree."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services._local.redis_server import RedisServer
from services._runtime.exchanges import read_manifest
from tests.scaffold.new_exchange import EDITS, add_exchange
from tests.support.eventually import eventually_async
from tests.support.exchange_files import CHECKS, faults
from tests.support.ports import quiet_port
from tests.support.processes import ROOT, running
from tests.support.venues.simulated import report

USES_REGISTRY = """
import json
from services._local.access_list import USERS
from services._runtime.suite_file import NAMES, SERVICES
from services.bot.settings import BotSettings
from services.indicators.settings import IndicatorSettings
from services.tradectl.doctor import KEYS
from services.tradectl.settings import SERVICES as URLS
print(json.dumps({
    "bot": BotSettings().markets["kraken"],
    "indicators": IndicatorSettings().markets["kraken"],
    "keys": KEYS["kraken"],
    "url": URLS["kraken_connector"],
    "user": "kraken_connector" in USERS,
    "suite": "kraken_connector" in SERVICES and "kraken_api_key" in NAMES,
}))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree with a new exchange, Kraken."""
    root = tmp_path / "tree"
    for folder in ("common_models", "services"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in EDITS.keys() | CHECKS.keys():
        (root / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    add_exchange(root, "kraken", "Kraken")
    return root


def test_every_file_agrees_with_the_new_manifest(tree: Path) -> None:
    """The check that names what an exchange lacks has nothing to say."""
    manifest = read_manifest("kraken", tree / "services/kraken_connector")
    assert faults(tree, manifest) == []
    for command in ("check", "format --check"):
        arguments = [sys.executable, "-m", "ruff", *command.split(), "services"]
        done = subprocess.run(arguments, cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_every_service_knows_the_new_exchange(tree: Path) -> None:
    """By the one line in the registry."""
    done = subprocess.run(
        [sys.executable, "-c", USES_REGISTRY],
        cwd=tree,
        env={"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "bot": ["BTC/USD", "ETH/USD"],
        "indicators": ["BTC/USD", "ETH/USD"],
        "keys": ["kraken_api_key", "kraken_api_secret"],
        "url": "http://127.0.0.1:8004",
        "user": True,
        "suite": True,
    }


async def test_the_new_connector_starts_and_says_why_it_is_not_ready(
    tree: Path, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It lives, waits for what isn't implemented, and stops when it is asked to."""
    port = quiet_port()
    environment = {
        "PYTHONPATH": str(tree),
        "REDIS_URL": redis_server.url,
        "HEALTH_PORT": str(port),
    }

    async def waits() -> bool:
        status, body = await report(port)
        return status == 503 and "instruments" in body["parts"].get("exchange", "")

    async with running("kraken_connector", environment, tmp_path / "run") as service:
        await eventually_async(waits)
        reason = (await report(port))[1]["parts"]["exchange"]
        assert reason.startswith("instruments of 2 symbols: not implemented yet")
        assert await service.end() == 0
