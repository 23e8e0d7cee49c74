"""Bad HTTP at every service: real processes, which live, tell nothing, and answer the next."""

from pathlib import Path

import pytest

from services._local.redis_server import RedisServer
from tests.fuzz.servers import all_servers, give_bodies, give_requests, keep_connections

# Five services start.
pytestmark = pytest.mark.timeout(180)

DRAWN = 60


async def test_no_http_harms_a_service(redis_server: RedisServer, tmp_path: Path) -> None:
    """It lives, tells nothing, and answers the next; the simulator's own pages too."""
    async with all_servers(redis_server.url, tmp_path) as servers:
        await give_requests(servers, DRAWN, start=1)
        await keep_connections(servers)
        await give_bodies(servers["venues"])
