"""Why Redis can't be reached, in words, with what helps: of real sockets and a real server."""

import socket
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services._local.redis_server import RedisServer
from services._runtime import redis_client
from services._runtime.redis_client import explain, open_redis
from tests.integration.tradectl.hand import tradectl
from tests.support.network.company_proxy import certificate, in_tls, server_context
from tests.support.ports import quiet_port


async def why(url: str) -> str:
    """What is told of a Redis that doesn't answer; `tradectl doctor` tells the same."""
    async with open_redis(url, "test") as redis:
        with pytest.raises((RedisError, OSError)) as caught:
            await redis.get("anything")
    said = explain(caught.value)
    doctor = await tradectl(url, "doctor")
    assert doctor.code == 3
    assert said.partition("; ")[2] in doctor.err
    assert len(said.splitlines()) == 1
    return said


async def test_a_host_that_cannot_be_resolved() -> None:
    """DNS."""
    said = await why("redis://no-such-redis.invalid:6379/0")
    assert said.startswith("Redis can't be reached: ")
    assert "no-such-redis.invalid:6379" in said
    assert "its host can't be resolved (DNS): check REDIS_URL" in said


async def test_a_port_or_a_socket_without_a_server(tmp_path: Path) -> None:
    """Refused."""
    port = quiet_port()
    said = await why(f"redis://127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in said
    assert said.endswith("; nothing listens there: start Redis, or check REDIS_URL")
    said = await why(f"unix://{tmp_path}/redis.sock")
    assert said.endswith("; there is no such socket: start Redis, or check REDIS_URL")


async def test_tls_that_is_not_trusted(redis_server: RedisServer, tmp_path: Path) -> None:
    """A certificate that nobody knows."""
    context = server_context(certificate(tmp_path, "IP:127.0.0.1"))
    async with in_tls(int(redis_server.url.rpartition(":")[2].partition("/")[0]), context) as port:
        said = await why(f"rediss://127.0.0.1:{port}/0")
    assert "; TLS fails: check ssl_ca_certs in REDIS_URL" in said


async def test_a_server_that_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeout."""
    monkeypatch.setattr(redis_client, "CONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(redis_client, "SOCKET_TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = await why(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
    assert "; it doesn't answer in time: check REDIS_URL, the network and the firewall" in said


async def test_a_password_that_is_refused(redis_server: RedisServer, redis: Redis) -> None:
    """It isn't shown."""
    await redis.config_set("requirepass", "right-password")
    try:
        said = await why(redis_server.url.replace("//", "//:wr0ng-word@"))
    finally:
        await redis.config_set("requirepass", "")
    assert said.startswith("Redis refused the password: ")
    assert said.endswith("; check user and password in REDIS_URL")
    assert "wr0ng-word" not in said
