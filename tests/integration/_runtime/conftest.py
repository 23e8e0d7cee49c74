"""What tests of the runtime against a real server share."""

from collections.abc import AsyncIterator

import pytest

from services._local.redis_server import RedisServer
from services._runtime.stream_writer import writer
from tests.support.network.fault_proxy import FaultProxy, fault_proxy


@pytest.fixture(autouse=True)
def quick_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts of at most 50 ms: tests break connections by the dozen."""
    monkeypatch.setattr(writer, "MAX_RETRY_WAIT", 0.05)


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """A fault proxy in front of `redis_server`."""
    async with fault_proxy(redis_server.port) as proxy:
        yield proxy
