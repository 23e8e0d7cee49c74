"""The README's redis-cli lines, as a person would paste them, against `make run`."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import CommandResponseEvent, OrderResponseEvent, OrderStatusUpdateEvent
from tests.e2e.conftest import launched
from tests.support.eventually import eventually_async
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(180)

CONNECTORS = ("binance_connector", "luno_connector")


def redis_cli_lines() -> list[list[str]]:
    """Every `redis-cli` line of the README's shell blocks, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("redis-cli ")]


def commands(name: str) -> list[list[str]]:
    """The lines that send one command."""
    return [
        words
        for words in redis_cli_lines()
        if words[0] == "XADD" and words[1].endswith(f":commands:{name}")
    ]


async def events(redis: Redis, connector: str, name: str) -> list[dict[str, Any]]:
    """What a connector's event stream holds."""
    entries: Any = await redis.xrange(f"{connector}:events:{name}")
    return [json.loads(fields[b"data"]) for _, fields in entries]


async def test_the_readmes_orders_are_placed_watched_and_cancelled(tmp_path: Path) -> None:
    """On both exchanges: accepted, open, canceled, and each command answered."""
    assert len(commands("place_order")) == len(commands("cancel_order")) == len(CONNECTORS)
    async with launched(tmp_path, BOT_MODE="observe") as run:  # orders by hand alone
        await run.until_ready()
        async with Redis(port=run.redis_port) as redis:
            cli: Any = redis
            for words in commands("place_order"):
                await cli.execute_command(*words)
            for connector in CONNECTORS:
                await _until(redis, connector, "order_status", "open")
                (answer,) = await events(redis, connector, "order_response")
                assert OrderResponseEvent.model_validate(answer).status == "accepted", answer
            for words in commands("cancel_order"):
                await cli.execute_command(*words)
            for connector in CONNECTORS:
                await _until(redis, connector, "order_status", "canceled")
                await _until(redis, connector, "command_response", "done")
                last = (await events(redis, connector, "order_status"))[-1]
                assert OrderStatusUpdateEvent.model_validate(last).client_order_id == (
                    "my-first-order"
                )
                (done,) = await events(redis, connector, "command_response")
                assert CommandResponseEvent.model_validate(done).command == "cancel_order"
            for words in redis_cli_lines():
                if words[0] in ("XREAD", "XREVRANGE"):
                    assert await cli.execute_command(*words), words


async def _until(redis: Redis, connector: str, name: str, status: str) -> None:
    async def told() -> bool:
        return any(event["status"] == status for event in await events(redis, connector, name))

    await eventually_async(told, within=30)
