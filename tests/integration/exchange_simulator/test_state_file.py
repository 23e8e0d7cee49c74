"""Orders and balances survive a kill of the simulator."""

import asyncio
import signal
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.integration.exchange_simulator.venue_clients import Venues
from tests.support.eventually import eventually, eventually_async
from tests.support.ports import quiet_port
from tests.support.processes import running


def settings(folder: Path) -> SimulatorSettings:
    """A simulator with a state file."""
    return SimulatorSettings(
        simulator_port=0,
        simulator_rate=200.0,
        simulator_book_orders=300,
        simulator_state_file=folder / "state" / "accounts.jsonl",
        simulator_binance_api_secret=SecretStr("simulator-secret"),
    )


async def test_a_restarted_simulator_continues_from_its_state(tmp_path: Path) -> None:
    """Open orders rest, closed ones are known, balances are unchanged, ids are new."""
    async with aiohttp.ClientSession() as http:
        async with running_simulator(settings(tmp_path)) as first:
            venues = Venues(first, http)
            for venue in ("binance", "luno"):
                await venues.place(venue, "rests")
            market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
            await venues.binance("POST", "order", **market, newClientOrderId="traded")
            before = [await venues.ledger(venue) for venue in ("binance", "luno")]
        async with running_simulator(settings(tmp_path)) as second:
            venues = Venues(second, http)
            after = [await venues.ledger(venue) for venue in ("binance", "luno")]
            for old, new in zip(before, after, strict=True):
                assert (old["orders"], old["balances"]) == (new["orders"], new["balances"])
            # A client id can be used once at Luno; at Binance again after the order is closed.
            assert (await venues.place("luno", "rests"))[0] == 409
            assert (await venues.place("binance", "rests"))[1]["code"] == -2010
            assert (await venues.place("binance", "new"))[0] == 200
            orders = (await venues.ledger("binance"))["orders"]
            assert int(orders["new"]["order_id"]) > int(orders["traded"]["order_id"])
            cancel = {"symbol": "BTCUSDT", "origClientOrderId": "rests"}
            assert (await venues.binance("DELETE", "order", **cancel))[0] == 200


async def test_every_answered_order_survives_a_kill(tmp_path: Path) -> None:
    """With a SIGKILL during many orders."""
    port = quiet_port()
    environment = {
        "SIMULATOR_PORT": str(port),
        "HEALTH_PORT": "0",
        "SIMULATOR_SYMBOLS": "BTC/USDT",
        "SIMULATOR_STATE_FILE": str(tmp_path / "state.jsonl"),
    }
    here = Simulator("127.0.0.1", port, {}, {}, {}, {})
    answered: set[str] = set()
    async with aiohttp.ClientSession() as http:
        venues = Venues(here, http)

        async def there() -> bool:
            try:
                return (await venues.binance("GET", "openOrders"))[0] == 200
            except aiohttp.ClientConnectionError:
                return False

        async def place_many() -> None:
            for number in range(90):
                status, _ = await venues.place("binance", f"order-{number}")
                if status == 200:
                    answered.add(f"order-{number}")

        async with running("exchange_simulator", environment, tmp_path) as service:
            await eventually_async(there)
            placing = asyncio.ensure_future(place_many())
            await eventually(lambda: len(answered) >= 20)
            await service.end(signal.SIGKILL)
            await asyncio.gather(placing, return_exceptions=True)
        async with running("exchange_simulator", environment, tmp_path):
            await eventually_async(there)
            known = await venues.clients("binance")
    assert answered <= known
    assert len(known) <= len(answered) + 1
