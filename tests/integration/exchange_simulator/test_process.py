"""The simulator as a process: started, killed, restarted, stopped."""

from pathlib import Path
from typing import Any

import aiohttp

from tests.support.eventually import eventually_async
from tests.support.ports import quiet_port
from tests.support.processes import running


async def last_ids(port: int) -> list[int] | None:
    """The last id of every kind; None while the simulator does not answer."""
    root = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:

            async def get(path: str) -> Any:
                async with session.get(f"{root}{path}") as response:
                    return await response.json()

            return [
                (await get("/api/v3/depth?symbol=BTCUSDT"))["lastUpdateId"],
                (await get("/api/v3/trades?symbol=BTCUSDT&limit=1"))[0]["id"],
                (await get("/api/v3/aggTrades?symbol=BTCUSDT&limit=1"))[0]["a"],
                (await get("/api/1/trades?pair=XBTZAR"))["trades"][0]["sequence"],
            ]
    except aiohttp.ClientConnectionError:
        return None


async def started(port: int) -> list[int]:
    """Wait for an answer; returns the last ids."""
    await eventually_async(lambda: last_ids(port))
    ids = await last_ids(port)
    assert ids is not None
    return ids


async def test_a_killed_simulator_restarts_with_larger_ids(
    tmp_path: Path,
) -> None:
    """Even at full speed; SIGTERM ends it with exit code 0."""
    port = quiet_port()
    environment = {
        "SIMULATOR_PORT": str(port),
        "HEALTH_PORT": "0",
        "SIMULATOR_RATE": "0",
        "SIMULATOR_SYMBOLS": "BTC/USDT,XBT/ZAR",
    }
    async with running("exchange_simulator", environment, tmp_path):
        before = await started(port)
    async with running("exchange_simulator", environment, tmp_path) as second:
        after = await started(port)
        assert all(new > old for new, old in zip(after, before, strict=True))
        assert await second.end() == 0


async def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    """The error names the setting; the exit code is 1."""
    port = quiet_port()
    environment = {"SIMULATOR_PORT": str(port), "HEALTH_PORT": "0", "SIMULATOR_RATE": "1"}
    async with running("exchange_simulator", environment, tmp_path / "one"):
        await started(port)
        async with running("exchange_simulator", environment, tmp_path / "two") as second:
            assert await second.process.wait() == 1
            assert f"SIMULATOR_PORT={port}: " in second.log.read_text()
