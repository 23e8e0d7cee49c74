"""A real connector with a key that may withdraw, at a simulator that says so."""

from pathlib import Path

from services._local.redis_server import RedisServer
from tests.support.attempts import Attempts
from tests.support.eventually import eventually
from tests.support.ports import quiet_port
from tests.support.processes import running
from tests.support.trading import MARKETS
from tests.support.venues import BINANCE, simulator


async def test_a_key_that_may_withdraw_is_refused_at_start(
    redis_server: RedisServer, tmp_path: Path, attempt: Attempts
) -> None:
    """The process ends with one clear error, and the key isn't in it."""
    port = quiet_port()
    environment = {
        **BINANCE.environment(port, redis_server.url, quiet_port()),
        **MARKETS[0].key,
    }
    async with (
        simulator(port, tmp_path, SIMULATOR_BINANCE_KEY_WITHDRAWS="true"),
        running("binance_connector", environment, tmp_path) as service,
    ):
        await eventually(lambda: service.exited)
        attempt("Binance key that may withdraw", "be used", succeeded=not service.exited)
        assert service.process.returncode == 1
        last = service.log.read_text().splitlines()[-1]
        assert "BINANCE_API_KEY" in last
        assert "enableWithdrawals" in last
        assert "read and trade" in last
        assert "simulator-secret" not in service.log.read_text()
