"""The bot as a real process: what it decided, what it holds, what it says."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from common_models import DecisionEvent, PortfolioEvent
from services.bot.journal import SAVED_STATE
from services.bot.saved_state import SavedState, decode
from tests.support.eventually import eventually_async
from tests.support.metrics import Numbers, page
from tests.support.ports import quiet_port
from tests.support.processes import Service, running

DECISIONS = "bot:events:decision"
ANSWERS_WITHIN = aiohttp.ClientTimeout(2.0)
PORTFOLIO = "bot:events:portfolio"


class Bot:
    """A running bot, its log, and what it published."""

    def __init__(
        self, service: Service, port: int, http: aiohttp.ClientSession, redis: Redis
    ) -> None:
        self.service = service
        self.port = port
        self._url = f"http://127.0.0.1:{port}"
        self._http = http
        self._redis: Any = redis

    async def get(self, path: str) -> dict[str, Any]:
        """What it answers, and the HTTP `code`; empty if it doesn't answer."""
        try:
            async with self._http.get(self._url + path, timeout=ANSWERS_WITHIN) as response:
                return {"code": response.status, **await response.json()}
        except (aiohttp.ClientError, TimeoutError):
            return {}

    async def part(self, name: str) -> str:
        """What `/ready` says of one part."""
        parts: dict[str, str] = (await self.get("/ready")).get("parts", {})
        return parts.get(name, "")

    async def is_ready(self) -> bool:
        """True when `/ready` says so."""
        assert not self.service.exited, self.service.log.read_text()
        return (await self.get("/ready")).get("code") == 200

    async def until_ready(self) -> None:
        """Wait until it is."""
        await eventually_async(self.is_ready, within=30)

    async def until_it_sees(self, exchange: str) -> None:
        """Wait until it relies on the market data of this exchange, whatever the other does."""

        async def sees() -> bool:
            assert not self.service.exited, self.service.log.read_text()
            said = await self.part("market_data")
            return said not in ("", "starting") and f"{exchange}:" not in said

        await eventually_async(sees, within=30)

    async def decisions(self) -> list[DecisionEvent]:
        """All it told of decisions, by whichever run of it."""
        entries = await self._redis.xrange(DECISIONS)
        return [DecisionEvent.model_validate_json(fields[b"data"]) for _, fields in entries]

    async def decision(self, wanted: Callable[[DecisionEvent], bool]) -> DecisionEvent:
        """The first that is *wanted*, once it is there."""
        found: list[DecisionEvent] = []

        async def there() -> bool:
            assert not self.service.exited, self.service.log.read_text()
            found[:] = [each for each in await self.decisions() if wanted(each)]
            return bool(found)

        try:
            await eventually_async(there, within=40.0)  # the market may have to go there first
        except AssertionError as e:
            told = [each.model_dump_json(exclude_none=True) for each in await self.decisions()]
            raise AssertionError(f"no such decision among {told[-5:]}") from e
        return found[0]

    async def refusal(self, reason_code: str) -> DecisionEvent:
        """The first decision that was refused for this reason, once it is there."""
        return await self.decision(
            lambda each: each.outcome == "refused" and each.reason_code == reason_code
        )

    async def metrics(self) -> Numbers:
        """What it tells Prometheus."""
        return await page(self.port)

    async def shows(self, wanted: Callable[[Numbers], bool]) -> Numbers:
        """What it tells Prometheus, once that is *wanted*."""
        found: Numbers = {}

        async def there() -> bool:
            assert not self.service.exited, self.service.log.read_text()
            found.clear()
            found.update(await self.metrics())
            return wanted(found)

        try:
            await eventually_async(there)
        except AssertionError as e:
            raise AssertionError(f"its metrics are {found}") from e
        return found

    async def portfolio(self) -> PortfolioEvent:
        """What it holds, by its health page."""
        return PortfolioEvent.model_validate(await self.get("/health"))

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = [json.loads(line) for line in self.service.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


async def known(redis: Any) -> SavedState:
    """What the bot has saved."""
    fields: dict[bytes, bytes] = await redis.hgetall(SAVED_STATE)
    return decode({name.decode(): data for name, data in fields.items()})


@asynccontextmanager
async def running_bot(
    redis: Redis, redis_url: str, folder: Path, **settings: str
) -> AsyncIterator[Bot]:
    """A bot that is up, and watches one symbol of each exchange; killed by the block's end.

    One that can't live, or is killed at a failpoint, may have ended already; one that is stopped
    at a failpoint answers nothing.
    """
    port = quiet_port()
    environment = {
        "REDIS_URL": redis_url,
        "HEALTH_PORT": str(port),
        "BINANCE_SYMBOLS": "BTC/USDT",
        "LUNO_SYMBOLS": "XBT/ZAR",
        **settings,
    }
    async with (
        running("bot", environment, folder) as service,
        aiohttp.ClientSession() as http,
    ):
        bot = Bot(service, port, http, redis)

        async def is_up() -> bool:
            return service.exited or service.paused or (await bot.get("/health")).get("code") == 200

        await eventually_async(is_up, within=40)
        yield bot
