"""A whole session of Binance's, replayed to the real connector."""

from pathlib import Path

from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from tests.support.market_data.replay import read_recording
from tests.support.market_data.session_check import check_replay

SESSION = Path(__file__).parents[2] / "fixtures" / "binance" / "session"


async def test_a_session_comes_out_as_it_was(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Only books that the session held are published, its last one last, every trade once."""
    await check_replay(read_recording(SESSION), redis_server.url, redis, tmp_path)


def test_the_session_has_what_makes_it_hard() -> None:
    """Diffs from before the snapshot, one that overlaps it, levels that go, more than 20 a side."""
    session = read_recording(SESSION)
    assert set(session.symbols.values()) == {"MADE/USDT", "TEST/BTC"}
    for name, snapshot in session.snapshots.items():
        diffs, known = session.events("depthUpdate")[name], snapshot["lastUpdateId"]
        assert sum(diff["u"] <= known for diff in diffs) >= 5
        assert sum(diff["U"] <= known < diff["u"] for diff in diffs) == 1
        assert sum(float(q) == 0 for diff in diffs for _, q in diff["b"] + diff["a"]) > 10
        assert min(len(snapshot["bids"]), len(snapshot["asks"])) > 20
        assert len(session.events("aggTrade")[name]) > 50
        assert len(set(session.states(name, 20))) > 80
