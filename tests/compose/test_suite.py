"""`make compose-test`: the containers start, trade, survive a kill, and stop cleanly."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from common_models.stream_names import HALT
from services import __version__
from services._local.access_list import ADMIN, OPERATOR, USERS
from services._local.secure import make
from services._runtime.redis_client import open_redis
from tests.compose.engine import BASE, PAPER, PORTS, SECURE, Suite, running_suite, until
from tests.compose.networks import RIGHTS, addresses, hand_tool_reaches, reaches
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.orders.halt import resume
from tests.support.orders.trading import MARKETS, TradingDesk
from tests.support.processes import ROOT
from tests.support.venues.simulated import all_move_on, newest

pytestmark = pytest.mark.timeout(1200)

ASK_WITHIN = aiohttp.ClientTimeout(total=10.0)


async def test_the_suite_as_it_comes(tmp_path: Path) -> None:
    """Default mode: Redis without a password, for this machine only."""
    async with running_suite("compose-test", [BASE, PAPER], tmp_path) as suite:
        url = f"redis://127.0.0.1:{suite.ports['redis']}/0"
        await _lives(suite, url, tmp_path)


async def test_a_backup_is_restored(tmp_path: Path) -> None:
    """With the command lines of docs/operations.md."""
    async with running_suite("compose-test-backup", [BASE, PAPER], tmp_path) as suite:
        url = f"redis://127.0.0.1:{suite.ports['redis']}/0"
        await suite.all_healthy()
        async with _trader(url) as redis:
            await _trades(suite, redis, tmp_path)
        await _restores(suite, url, tmp_path)


async def test_the_suite_with_users_passwords_and_tls(tmp_path: Path, attempt: Attempts) -> None:
    """Secure mode: the same checks, and the access rules."""
    secrets = tmp_path / "secrets"
    make(secrets)
    files = [BASE, SECURE, PAPER]
    async with running_suite("compose-test-secure", files, tmp_path, SECRETS=str(secrets)) as suite:
        port = suite.ports["redis"]

        def url(user: str) -> str:
            return (secrets / f"redis_url_{user}").read_text().replace(":6379", f":{port}")

        await _lives(suite, url(OPERATOR), tmp_path)
        await _has_networks_of_its_own(suite, attempt)
        async with open_redis(f"redis://127.0.0.1:{port}/0", "test") as plain:
            with pytest.raises((RedisError, OSError)):
                await plain.ping()
        bot = url("bot").replace("@redis:", "@localhost:")
        bot = bot.replace("/run/secrets/redis_ca", str(secrets / "redis_ca.crt"))
        async with open_redis(bot, "test") as client:
            with pytest.raises(NoPermissionError):
                await client.xadd("binance_connector:events:order_status", {"data": "x"})
        async with open_redis(url(ADMIN), "test") as admin:
            assert await admin.acl_log() != []  # the one above
        await _restores(suite, url(ADMIN), tmp_path, partial(_as_admin, secrets))
        for service in PORTS:
            shown = str(await suite.inspect(service))
            passwords = [url(user).split(":")[2].partition("@")[0] for user in (*USERS, ADMIN)]
            assert not [password for password in passwords if password in shown]


async def _lives(suite: Suite, url: str, folder: Path) -> None:
    """Check health, limits and trading; kill each service once; then stop all."""
    await suite.all_healthy()
    for service in PORTS:
        await _is_hardened(suite, service)
        if service != "redis":
            await _tells_what_it_counts(suite, service)
    assert "bounded" in await suite.hand_tool(RIGHTS)
    for look in ("status", "doctor"):
        assert await suite("run", "--rm", "tradectl", look)
    async with _trader(url) as redis:
        await _trades(suite, redis, folder)
    await _is_unhealthy_while_nothing_flows(suite)
    for service in PORTS:
        await suite.kill(service)
    await suite.all_healthy()
    async with _trader(url) as redis:
        await _trades(suite, redis, folder)
    for service in reversed(PORTS):
        await suite("stop", service)
        state = (await suite.inspect(service))["State"]
        assert (service, state["ExitCode"], state["OOMKilled"]) == (service, 0, False)
    await suite("start")
    await suite.all_healthy()


async def _is_unhealthy_while_nothing_flows(suite: Suite) -> None:
    """A connector without its exchange isn't restarted, and recovers with the exchange."""
    before = await suite.inspect("binance_connector")

    async def unhealthy() -> bool:
        state = (await suite.inspect("binance_connector"))["State"]
        return bool(state["Health"]["Status"] == "unhealthy")

    await suite("stop", "exchange_simulator")
    await until(unhealthy)
    after = await suite.inspect("binance_connector")
    assert after["RestartCount"] == before["RestartCount"]
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert "next_try_in" in after["State"]["Health"]["Log"][-1]["Output"]
    await suite("start", "exchange_simulator")
    await suite.all_healthy()


async def _has_networks_of_its_own(suite: Suite, attempt: Attempts) -> None:
    """Each container reaches exactly the services it needs, by name or by address."""
    simulator = await addresses(suite, "exchange_simulator")
    redis = await addresses(suite, "redis")
    assert sorted(simulator) == ["default", "monitoring"]
    assert sorted(redis) == ["published", "redis"]
    for connector in ("binance_connector", "luno_connector"):
        assert await reaches(suite, connector, simulator["default"], 8900)
        assert await reaches(suite, connector, "redis", 6379)
    assert await hand_tool_reaches(suite, "redis", 6379)
    assert await hand_tool_reaches(suite, "exchange_simulator", 8010)
    exchanges = "reach the exchanges' network"
    connector = (await addresses(suite, "binance_connector"))["default"]
    for service in ("bot", "indicators"):
        assert await reaches(suite, service, "redis", 6379)
        for host, port in ((simulator["default"], 8900), (connector, 8001)):
            succeeded = await reaches(suite, service, host, port)
            attempt(f"{service} (its container, secure mode)", exchanges, succeeded)
    attempt(
        "operator (tradectl's container, secure mode)",
        exchanges,
        await hand_tool_reaches(suite, simulator["default"], 8900),
    )
    for host in ("redis", *redis.values()):
        succeeded = await reaches(suite, "exchange_simulator", host, 6379)
        attempt("container on the exchanges' network (secure mode)", "reach Redis", succeeded)
    made = attempt.rows
    assert [row for row in made if row.succeeded] == []
    assert sum(row.tries for row in made) == 8


async def _restores(
    suite: Suite, url: str, folder: Path, edited: Callable[[str], str] = str
) -> None:
    """The lines of docs/operations.md: what was kept is back, halted, and trades when resumed."""
    backup, restore = map(edited, _shell_blocks("## Backup and restore of Redis"))
    async with _trader(url) as redis:
        journal = await redis.keys("*_connector:state:order:*")
        assert journal
    said = await suite.shell(backup, folder)
    assert "aof_rewrite_in_progress:0" in said
    listed = set(re.findall(r"\.(base|incr|manifest)\b", said))
    assert listed == {"base", "incr", "manifest"}, said
    async with _trader(url) as redis:
        await redis.set("bot:state:since_then", "x")
    await suite.shell(restore, folder)
    await suite.all_healthy()
    async with _trader(url) as redis:
        assert await redis.get("bot:state:since_then") is None
        assert set(journal) <= set(await redis.keys("*_connector:state:order:*"))
        assert await redis.get(HALT) == b"restored from a backup"
        for market in MARKETS:
            desk = TradingDesk(market, redis, "", suite.ports["exchange_simulator"], folder)
            answer = await desk.response(await desk.order(price=await desk.marketable()))
            assert (answer.status, answer.reason_code) == ("rejected", "halted")
        await resume(redis)
        await _trades(suite, redis, folder)


def _as_admin(secrets: Path, lines: str) -> str:
    """The lines as docs/operations.md wants them in secure mode."""
    password = f"-e REDISCLI_AUTH=$(cat {secrets}/redis_password_admin)"
    admin = "--tls --cacert /run/secrets/redis_ca --user admin"
    text = (ROOT / "docs" / "operations.md").read_text()
    assert password.replace(str(secrets), "secrets") in text
    assert admin in text
    return lines.replace("exec ", f"exec {password} ").replace("redis-cli ", f"redis-cli {admin} ")


def _shell_blocks(section: str) -> list[str]:
    """The first two shell blocks of a section of docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text().partition(section)[2]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:2]


@asynccontextmanager
async def _trader(url: str) -> AsyncIterator[Redis]:
    async with open_redis(url, "test") as redis:
        yield redis


async def _trades(suite: Suite, redis: Redis, folder: Path) -> None:
    """Every stream moves, and on each exchange an order is placed and filled."""
    for market in MARKETS:
        seen = await newest(redis, market.venue.streams)
        await eventually_async(partial(all_move_on, redis, market.venue, seen), within=60.0)
        desk = TradingDesk(market, redis, "", suite.ports["exchange_simulator"], folder)
        order = await desk.order(price=await desk.marketable())
        answer = await desk.response(order)
        assert answer.status == "accepted", answer
        await desk.status(order, "filled")


async def _tells_what_it_counts(suite: Suite, service: str) -> None:
    """`/metrics` is Prometheus's text, says which service it is, and that it is ready."""
    url = f"http://127.0.0.1:{suite.ports[service]}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url, timeout=ASK_WITHIN) as response:
        families = list(text_string_to_metric_families(await response.text()))
    told = {sample.name: sample for family in families for sample in family.samples}
    assert told["build_info"].labels["service"] == service
    assert told["build_info"].labels["version"] == __version__
    assert told["ready"].value == 1
    assert told["process_resident_memory_bytes"].value > 0


async def _is_hardened(suite: Suite, service: str) -> None:
    """No root, nothing to write to, no capabilities, bounds, and nothing published to others."""
    container = await suite.inspect(service)
    host = container["HostConfig"]
    assert container["Config"]["User"] not in ("", "0", "root")
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["NanoCpus"] > 0
    assert [(each["Name"], each["Hard"]) for each in host["Ulimits"]] == [("core", 0)]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert {"max-size", "max-file"} <= host["LogConfig"]["Config"].keys()
    addresses = {
        binding["HostIp"] for bindings in host["PortBindings"].values() for binding in bindings
    }
    assert addresses == {"127.0.0.1"}
