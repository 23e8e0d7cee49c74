"""What tests of the order wing against a real server share."""

from collections.abc import AsyncIterator

import pytest

from services._local.redis_server import RedisServer
from tests.support.network.fault_proxy import FaultProxy, fault_proxy


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """A fault proxy in front of `redis_server`."""
    async with fault_proxy(redis_server.port) as proxy:
        yield proxy
