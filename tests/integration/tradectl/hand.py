"""Runs tradectl as a person or a script does: its exit code, and what it printed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from typer.testing import CliRunner

from common_models import ConnectorStatusEvent, SymbolStatus
from common_models.fields import utc_now
from common_models.stream_names import CommandStream, EventStream
from services.tradectl.app import app
from tests.support.processes import ROOT

END_WITHIN = 180.0
TRADECTL = (sys.executable, "-m", "services.tradectl")


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, where that is one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, where each line is a JSON document."""
        return [json.loads(line) for line in self.out.splitlines()]


async def tradectl(redis_url: str, *arguments: str, **environment: str) -> Ended:
    """Run it to its end, in a thread of this process: it has an event loop of its own."""
    # As wide as in a pipe, whatever the terminal of the person who runs the tests.
    variables = {"REDIS_URL": redis_url, "COLUMNS": None, **environment}
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=variables)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@asynccontextmanager
async def started(
    folder: Path, redis_url: str, *command: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs *command*; it is killed if it hasn't ended after."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**inherited, **given},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait for its end."""
    async with asyncio.timeout(END_WITHIN):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def play_connector(redis: Redis, exchange: str = "binance", **fields: Any) -> None:
    """A connector says that it is there; its groups are not made."""
    event = ConnectorStatusEvent(
        exchange=exchange,
        world="simulator",
        trading=True,
        symbols=[SymbolStatus(symbol="BTC/USDT", state="live", since=utc_now())],
    ).model_copy(update=fields)
    stream = str(EventStream(f"{exchange}_connector", "connector_status"))
    await redis.xadd(stream, {"data": event.model_dump_json()})


async def commands(redis: Redis, command: str, exchange: str = "binance") -> list[dict[str, Any]]:
    """What lies in a command stream."""
    client: Any = redis
    entries = await client.xrange(str(CommandStream(f"{exchange}_connector", command)))
    return [json.loads(fields[b"data"]) for _, fields in entries]
