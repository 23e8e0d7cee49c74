"""A real connector with a key that is refused, and with one that may withdraw."""

import json
from pathlib import Path
from typing import Any

import pytest

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream
from services._local.redis_server import RedisServer
from tests.support.attempts import Attempts
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.trading import MARKETS, Market, TradingDesk, trading_desk
from tests.support.ports import quiet_port
from tests.support.processes import running
from tests.support.venues.simulated import BINANCE, simulator

REMEDIES = {
    "binance": ("BINANCE_API_SECRET", "HMAC", "IP list", "allowed to read and trade"),
    "luno": ("LUNO_API_SECRET_KEY", "isn't revoked", "IP list", "Perm_W_Orders"),
}


async def last_status(desk: TradingDesk) -> ConnectorStatusEvent:
    """What the connector says of itself now."""
    entries: Any = await desk.redis.xrevrange(
        str(EventStream(desk.name, "connector_status")), count=1
    )
    return ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.exchange)
async def test_a_wrong_secret_is_logged_once_as_an_error(market: Market, tmp_path: Path) -> None:
    """In the log and in `connector_status`, each time with what to look at; never the secret."""
    wrong = dict.fromkeys(("BINANCE_API_SECRET", "LUNO_API_SECRET_KEY"), "not-the-secret")
    async with trading_desk(market, tmp_path) as desk, desk.starting(**wrong) as service:

        async def refused() -> bool:
            if not await desk.redis.exists(str(EventStream(desk.name, "connector_status"))):
                return False
            return (await last_status(desk)).reason_code == "key_refused"

        await eventually_async(refused)
        status = await last_status(desk)
        assert status.trading is False
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        (error,) = [line for line in lines if line["level"] == "error"]
        for said in (str(status.reason), error["reason"]):
            assert all(remedy in said for remedy in REMEDIES[market.venue.exchange])
        assert "not-the-secret" not in service.log.read_text()


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
