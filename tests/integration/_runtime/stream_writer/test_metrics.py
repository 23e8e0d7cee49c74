"""What a stream writer counts on a real server, as Prometheus sees it."""

from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.stream_writer.metrics import writer_metrics
from tests.support.eventually import eventually
from tests.support.metrics import Numbers, numbers
from tests.support.redis.stream_writing import TICKER, TRADES, Writing, numbered, writing


def shown(it: Writing) -> Numbers:
    """The writer's metrics."""
    return numbers(writer_metrics(it.writer))


async def test_what_is_written_waits_and_is_lost_counts_across_an_outage(
    redis_server: RedisServer,
) -> None:
    """While Redis is away the buffer fills; a quote conflates; what doesn't fit is dropped."""
    async with writing(redis_server.url, buffer_bytes=1000) as it:
        await eventually(lambda: it.up)
        trades, quotes = it.trades(), it.quotes()
        for entry in numbered(range(10)):
            trades.add(entry)
        await eventually(lambda: it.writer.idle)
        before = shown(it)
        assert before["stream_entries_written_total",] == 10
        assert before["stream_bytes_written_total",] > sum(map(len, numbered(range(10))))
        assert before["redis_connections_total",] == 1
        assert before["writer_waiting_bytes",] == before["writer_in_flight_entries",] == 0
        assert before["writer_buffer_bytes",] == 1000

        await redis_server.stop()
        await eventually(lambda: not it.up)
        for _ in range(3):
            quotes.add(b"quote")
        waiting = shown(it)
        assert waiting["stream_entries_conflated_total", TICKER] == 2
        assert waiting["writer_waiting_bytes",] == len(b"quote")
        for _ in range(11):
            trades.add(b"x" * 100)
        full = shown(it)
        assert full["stream_entries_dropped_total", TICKER] == 1
        assert full["stream_entries_dropped_total", TRADES] == 1
        assert full["writer_waiting_bytes",] == 1000

        await redis_server.start()
        await eventually(lambda: it.up and it.writer.idle, within=40.0)
        after = shown(it)
        assert after["redis_connections_total",] == 2
        assert after["stream_entries_written_total",] == 20
        assert after["writer_waiting_bytes",] == 0


async def test_what_redis_refuses_for_good_counts_by_its_stream(
    redis_server: RedisServer, redis: Redis
) -> None:
    """A key of another type takes no entry."""
    await redis.set(TRADES, "no stream")
    async with writing(redis_server.url) as it:
        it.trades().add(b"lost")
        it.quotes().add(b"written")
        await eventually(lambda: it.writer.idle and it.up)
        found = shown(it)
    assert found["stream_entries_refused_total", TRADES] == 1
    assert found["stream_entries_refused_total", TICKER] == 0
    assert found["stream_entries_written_total",] == 1
