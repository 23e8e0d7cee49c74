"""`make secrets`: what it makes is closed to others, fits together, and carries real traffic."""

import shutil
import ssl
import stat
import subprocess
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from services._local.access_list import ADMIN, USERS
from services._local.secure import CERTIFICATES, EXCHANGE_KEYS, SecretsError, make, renew
from services._runtime.redis_client import explain, open_redis
from tests.integration.tradectl.hand import tradectl
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, trading_desk
from tests.support.processes import ROOT
from tests.support.redis.secure import tls_in_front
from tests.support.venues.simulated import all_move_on, newest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of secrets."""
    folder = tmp_path_factory.mktemp("made") / "secrets"
    make(folder)
    return folder


def test_the_folder_is_closed_and_complete(made: Path) -> None:
    """Nobody else may look into it; in it a URL for each user, and room for the exchanges' keys."""
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    names = {path.name for path in made.iterdir()}
    urls = {f"redis_url_{user}" for user in (*USERS, ADMIN, "tradectl")}
    assert urls | set(EXCHANGE_KEYS) <= names
    assert not [name for name in names if name.endswith((".csr", ".ext", "ca.key"))]
    passwords = {
        user: parse_url((made / f"redis_url_{user}").read_text())["password"]
        for user in (*USERS, ADMIN)
    }
    assert len(set(passwords.values())) == len(passwords)
    rules = (made / "users.acl").read_text()
    assert not [user for user, password in passwords.items() if password in rules]
    # The containers' users aren't this one: what they mount must be readable for them.
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o644}


def test_what_is_there_is_never_overwritten(made: Path) -> None:
    """A new password for a running Redis would lock everybody out."""
    before = (made / "users.acl").read_text()
    with pytest.raises(SecretsError, match="is there already"):
        make(made)
    assert (made / "users.acl").read_text() == before


def test_without_openssl_it_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear error that names what is missing."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SecretsError, match="apt install openssl"):
        make(tmp_path / "secrets")
    assert list(tmp_path.iterdir()) == []


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    """Where only Docker is, nobody has our packages: it runs without any."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "services._local.secure", str(tmp_path / "secrets")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert "keep it private" in done.stdout
    assert (tmp_path / "secrets" / "users.acl").exists()


@pytest.mark.timeout(180)
async def test_a_connector_trades_over_tls(made: Path, tmp_path: Path) -> None:
    """Market data, an order and its fill, and all again after the connections were cut."""
    async with trading_desk(MARKETS[0], tmp_path) as desk, AsyncExitStack() as stack:
        port = int(desk.redis_url.rpartition(":")[2].partition("/")[0])
        tls_port = await stack.enter_async_context(tls_in_front(port, made))
        url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={made / 'redis_ca.crt'}"
        await stack.enter_async_context(desk.connector(REDIS_URL=url))
        redis: Any = desk.redis
        for _ in range(2):
            order = await desk.order(price=await desk.marketable())
            await desk.status(order, "filled")
            seen = await newest(redis, desk.market.venue.streams)
            await redis.execute_command("CLIENT", "KILL", "TYPE", "normal")
            await eventually_async(
                partial(all_move_on, redis, desk.market.venue, seen), within=40.0
            )


async def test_a_server_with_an_untrusted_certificate_is_refused(
    made: Path, redis_server: Any, attempt: Attempts
) -> None:
    """Without the authority's certificate, or by another name, there is no connection."""
    ca = made / "redis_ca.crt"
    async with tls_in_front(redis_server.port, made) as port:
        async with open_redis(f"rediss://localhost:{port}/0?ssl_ca_certs={ca}", "test") as client:
            assert await client.ping()
        for url in (
            f"rediss://localhost:{port}/0",
            f"rediss://127.0.0.2:{port}/0?ssl_ca_certs={ca}",
        ):
            async with open_redis(url, "test") as client:
                said = ""
                try:
                    await client.ping()
                except (RedisError, OSError) as e:
                    said = explain(e)
                attempt("server with an unknown certificate", "be taken for Redis", not said)
                assert "reached" in said


async def test_tradectl_hints_at_tls_if_the_server_requires_it(
    made: Path, redis_server: Any
) -> None:
    """The server says nothing: it closes what comes without."""
    async with tls_in_front(redis_server.port, made) as port:
        found = await tradectl(f"redis://localhost:{port}/0", "orders")
    assert (found.code, "try rediss://" in found.err) == (3, True), found


def test_renewed_certificates_fit_together_and_nothing_else_changes(tmp_path: Path) -> None:
    """Passwords, users, the exchanges' keys stay; only the new authority knows the new server."""
    folder = tmp_path / "secrets"
    make(folder)
    (folder / "binance_api_secret").write_text("kept")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    old_authority = tmp_path / "old.crt"
    old_authority.write_bytes(before["redis_ca.crt"])
    renew(folder)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == set(CERTIFICATES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert _signed_by(folder / "redis_ca.crt", folder / "redis.crt")
    assert not _signed_by(old_authority, folder / "redis.crt")
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
        folder / "redis.crt", folder / "redis.key"
    )


def test_certificates_that_cant_be_renewed_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are none, or openssl isn't there."""
    with pytest.raises(SecretsError, match="run make secrets"):
        renew(tmp_path / "secrets")
    make(tmp_path / "secrets")
    before = (tmp_path / "secrets" / "redis.crt").read_bytes()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SecretsError, match="apt install openssl"):
        renew(tmp_path / "secrets")
    assert (tmp_path / "secrets" / "redis.crt").read_bytes() == before


def test_make_renew_says_what_to_do_next(tmp_path: Path) -> None:
    """As the operator runs it."""
    command = ["make", "--no-print-directory", "renew", f"SECRETS={tmp_path / 'secrets'}"]
    command.append(f"PYTHON={sys.executable}")
    missing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode != 0
    assert "make renew: " in missing.stderr
    make(tmp_path / "secrets")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--force-recreate" in done.stdout


def _signed_by(authority: Path, certificate: Path) -> bool:
    command = ["openssl", "verify", "-CAfile", str(authority), str(certificate)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
