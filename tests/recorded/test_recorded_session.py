"""A session recorded from Binance, replayed: `make test-recorded RECORDED=PREFIX`."""

from pathlib import Path

from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.support.market_data.replay import read_recording
from tests.support.market_data.session_check import check_replay


async def test_a_recorded_session_is_published_completely(
    prefix: Path, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Only books of the session are published, the last one last, and every trade once."""
    recording = read_recording(prefix)
    assert recording.snapshots, f"no depth snapshot in {prefix}.http.*"
    assert recording.frames, f"no frame in {prefix}.ws.*"
    await check_replay(recording, redis_server.url, redis, tmp_path)
