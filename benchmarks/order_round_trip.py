"""What the bus and the journal add to an order: `make bench`.

In one run, in turn: a command by XADD until its answer is readable in Redis, and the same order
placed directly through python-binance's REST client. Both end at the same simulator, so the
difference is what lies between: streams, claim, journal, checks.
"""

import asyncio
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from binance import AsyncClient
from redis.asyncio import Redis

from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.ports import DataLossRecord
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.eventually import eventually_async
from tests.support.orders.trading import NO_LIMITS
from tests.support.ports import quiet_port
from tests.support.processes import running

ORDERS = 200
WARM_UP = 20
KEY, SECRET = "simulator-key", "simulator-secret"
RESPONSES = "binance_connector:events:order_response"
COMMANDS = "binance_connector:commands:place_order"
QUANTITY = "0.001"


async def by_command(redis: Redis, number: int, last_id: str) -> tuple[float, str]:
    """Seconds from XADD to the answer, and the answer's id."""
    order = {
        "client_order_id": f"bench-{number}",
        "symbol": "BTC/USDT",
        "type": "market",
        "side": "buy" if number % 2 else "sell",
        "quantity": float(QUANTITY),
    }
    started = time.perf_counter()
    await redis.xadd(COMMANDS, {"data": json.dumps(order)})
    entries: Any = await redis.xread({RESPONSES: last_id}, block=5000)
    took = time.perf_counter() - started
    entry_id, fields = entries[0][1][-1]
    answer = json.loads(fields[b"data"])
    if answer["status"] != "accepted":
        raise SystemExit(f"the order was not accepted: {answer}")
    return took, entry_id.decode()


async def directly(client: Any, number: int) -> float:
    """Seconds that the same order takes through python-binance."""
    started = time.perf_counter()
    await client.create_order(
        symbol="BTCUSDT",
        side="BUY" if number % 2 else "SELL",
        type="MARKET",
        quantity=QUANTITY,
        newClientOrderId=f"direct-{number}",
    )
    return time.perf_counter() - started


async def measure(redis: Redis, client: Any) -> tuple[list[float], list[float]]:
    """Both ways in turn, so that a machine that slows down slows both."""
    commands, direct = [], []
    last_id = "0"
    for number in range(WARM_UP + ORDERS):
        took, last_id = await by_command(redis, number, last_id)
        took_directly = await directly(client, number)
        if number >= WARM_UP:
            commands.append(took * 1000)
            direct.append(took_directly * 1000)
    return commands, direct


def row(name: str, values: list[float]) -> str:
    """One line of the table, in milliseconds."""
    ordered = sorted(values)
    p99 = ordered[int(len(ordered) * 0.99)]
    p90 = ordered[int(len(ordered) * 0.9)]
    return f"| {name} | {statistics.median(ordered):.2f} | {p90:.2f} | {p99:.2f} |"


async def make_known(redis: Redis) -> None:
    """Make this a Redis that the connector has known for long.

    In the first ten minutes on a new one each order is looked up at the venue before it is sent,
    in case Redis forgot it; that is the venue's time, and not what is measured here.
    """
    queue = RedisCommandQueue(redis, "binance_connector", ("place_order",), "bench")
    await queue.prepare()
    server = await queue.server()
    await queue.save_data_loss(DataLossRecord(server.identity, data_lost_at=-1, recovery_until=-1))


async def until_ready(redis: Redis) -> None:
    """Wait until the connector takes orders: its balances are told then, its books are live."""

    async def ready() -> bool:
        streams = "binance_connector:events:account_balance", "binance:BTCUSDT:orderbook"
        return await redis.exists(*streams) == len(streams)

    await eventually_async(ready)


async def main() -> None:
    """Start everything, measure, print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder / "redis", quiet_port())
        await server.start()
        port = quiet_port()
        simulator = {"SIMULATOR_PORT": str(port), "HEALTH_PORT": "0", "SIMULATOR_RATE": "5"}
        connector = {
            "REDIS_URL": server.url,
            "HEALTH_PORT": "0",
            "BINANCE_SYMBOLS": "BTC/USDT",
            "BINANCE_API_KEY": KEY,
            "BINANCE_API_SECRET": SECRET,
            "BINANCE_REST_URL": f"http://127.0.0.1:{port}/api",
            "BINANCE_STREAM_URL": f"ws://127.0.0.1:{port}",
            "BINANCE_WS_API_URL": f"ws://127.0.0.1:{port}/ws-api/v3",
            **NO_LIMITS,
        }
        client_type = type("Direct", (AsyncClient,), {"API_URL": f"http://127.0.0.1:{port}/api"})
        try:
            async with open_redis(server.url, "bench", single=True) as redis:
                await make_known(redis)
            async with (
                running("exchange_simulator", simulator, folder),
                running("binance_connector", connector, folder),
                Redis.from_url(server.url) as redis,
            ):
                await until_ready(redis)
                client = client_type(KEY, SECRET)
                try:
                    commands, direct = await measure(redis, client)
                finally:
                    await client.session.close()
        finally:
            await server.stop()
    added = statistics.median(commands) - statistics.median(direct)
    print(f"order round trip, {ORDERS} market orders each way, {platform.python_version()}\n")
    print("| way | p50 ms | p90 ms | p99 ms |\n|---|---|---|---|")
    print(row("command XADD to answer readable", commands))
    print(row("the same order directly, python-binance REST", direct))
    print(f"\nadded by bus, journal and checks: p50 {added:.2f} ms (goal: at most 3)")


if __name__ == "__main__":
    asyncio.run(main())
