"""Lets Redis lose what a bot has just written, while the bot and the connector live on."""

import asyncio
import json
import random
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redis.exceptions import RedisError

from common_models.stream_names import CommandStream
from services._local.redis_server import RedisServer
from tests.support.bot.process import Bot
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.trading import TradingDesk
from tests.support.processes import Service

# A bot that is to lose something stops itself there: its next write has an order in it.
BEFORE_COMMAND = "before_command:stop"


@dataclass(frozen=True)
class Loss:
    """What Redis loses just after the bot has written an order's command.

    The command alone, all since just before it, or all that there is. `read`: the connector has
    the command by then, and carries it out. `bot_dies`: the bot is killed, and starts again.
    """

    what: Literal["command", "rolled_back", "emptied"]
    read: bool
    bot_dies: bool


# Where the connector has the command and Redis forgets that the bot ever wrote it, or where all is
# gone, a bot that dies too knows nothing of its order: nothing on this machine does.
LOSSES = (
    Loss("command", read=False, bot_dies=False),
    Loss("command", read=False, bot_dies=True),
    Loss("rolled_back", read=False, bot_dies=False),
    Loss("rolled_back", read=False, bot_dies=True),
    Loss("rolled_back", read=True, bot_dies=False),
    Loss("emptied", read=False, bot_dies=False),
    Loss("emptied", read=True, bot_dies=False),
)


async def lose(
    desk: TradingDesk, connector: Service, bot: Bot, loss: Loss, chance: random.Random
) -> set[str]:
    """Wait for the bot's next order, and let it be lost; the ids of all that it ever commanded."""
    server = desk.server
    assert server is not None
    await eventually(lambda: _has_stopped(bot.service), within=60)
    if not loss.read:
        connector.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: _has_stopped(connector))
        # A read that blocks in the server would be given the command all the same.
        await eventually_async(lambda: _nobody_reads(desk.redis))
    before = desk.folder / "redis-before"
    shutil.copytree(server.data_dir, before)
    known = set(await commands(desk))
    bot.service.process.send_signal(signal.SIGCONT)
    new = await _new_command(desk, known)
    if loss.read:
        await asyncio.sleep(chance.random() * 0.1)  # any moment will do
    if loss.bot_dies:
        await bot.service.end(signal.SIGKILL)
    else:  # it commands no more until Redis has lost what it loses
        bot.service.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: _has_stopped(bot.service))
    known |= set(await commands(desk))
    redis: Any = desk.redis
    if loss.what == "command":
        assert await redis.xdel(str(CommandStream(desk.name, "place_order")), new[1]) == 1
    else:
        await _go_back(server, before if loss.what == "rolled_back" else None)
        await eventually_async(lambda: _answers(redis))
    connector.process.send_signal(signal.SIGCONT)
    if not loss.bot_dies:
        bot.service.process.send_signal(signal.SIGCONT)
    return known


async def commands(desk: TradingDesk) -> dict[str, bytes]:
    """The entry of each order that is in its stream, by client order id; the last, of several."""
    redis: Any = desk.redis
    entries = await redis.xrange(str(CommandStream(desk.name, "place_order")))
    return {json.loads(fields[b"data"])["client_order_id"]: entry for entry, fields in entries}


async def _new_command(desk: TradingDesk, known: set[str]) -> tuple[str, bytes]:
    found: dict[str, bytes] = {}

    async def there() -> bool:
        found.update({i: e for i, e in (await commands(desk)).items() if i not in known})
        return bool(found)

    await eventually_async(there)
    ((client_order_id, entry_id),) = found.items()
    return client_order_id, entry_id


async def _go_back(server: RedisServer, before: Path | None) -> None:
    """To what it held then, or to nothing."""
    await server.kill()
    shutil.rmtree(server.data_dir)
    if before is not None:
        shutil.move(before, server.data_dir)
    await server.start()


async def _nobody_reads(redis: Any) -> bool:
    return bool((await redis.info("clients"))["blocked_clients"] == 0)


async def _answers(redis: Any) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False


def _has_stopped(service: Service) -> bool:
    assert not service.exited, service.log.read_text()
    return service.paused
