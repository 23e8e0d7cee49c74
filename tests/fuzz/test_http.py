"""Invalid HTTP requests to every service, as real processes."""

from pathlib import Path

import pytest

from services._local.redis_server import RedisServer
from tests.fuzz.servers import all_servers, give_bodies, give_requests, keep_connections

# The test starts five services.
pytestmark = pytest.mark.timeout(180)

DRAWN = 60


async def test_no_http_harms_a_service(redis_server: RedisServer, tmp_path: Path) -> None:
    """It keeps running, reveals nothing, and answers valid requests; the simulator too."""
    async with all_servers(redis_server.url, tmp_path) as servers:
        await give_requests(servers, DRAWN, start=1)
        await keep_connections(servers)
        await give_bodies(servers["venues"])
