"""`make secrets`: passwords, an access list and certificates for docker-compose.secure.yml.

`make renew`: new certificates in the existing folder; passwords and keys stay.

It needs only Python and the openssl command, so that it runs on a machine with only Docker.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from services._local.access_list import ADMIN, OPERATOR, USERS, access_list
from services._runtime.exchanges import MANIFESTS

HOST = "redis"  # as the containers know it
# The names of the server in its certificate.
NAMES = f"DNS:{HOST},DNS:localhost,IP:127.0.0.1"
VALID_DAYS = "825"
CA_IN_CONTAINER = Path("/run/secrets/redis_ca")
# Users who connect from this machine, not from a container, and may use redis-cli.
PEOPLE = (OPERATOR, ADMIN)
# Empty files for the exchanges' API keys.
EXCHANGE_KEYS = tuple(
    variable.lower() for each in MANIFESTS.values() for variable in each.credentials
)


CERTIFICATES = ("redis.key", "redis.crt", "redis_ca.crt")


class SecretsError(Exception):
    """The files could not be made; the message has the cause and the remedy."""


def main() -> int:
    """`[renew] [FOLDER]`: make the folder, or renew its certificates; 0 on success."""
    arguments = sys.argv[1:]
    renewing = arguments[:1] == ["renew"]
    folder = Path((arguments[renewing:] or ["secrets"])[0])
    try:
        (renew if renewing else make)(folder)
    except SecretsError as e:
        sys.stderr.write(f"make {'renew' if renewing else 'secrets'}: {e}\n")
        return 1
    if renewing:
        print(f"The certificates in {folder}/ are new. Restart everything with them:")
        print("docker compose -f docker-compose.yml -f docker-compose.secure.yml \\")
        print("  up -d --force-recreate")
        return 0
    print(f"{folder}/ is made: keep it private, and back it up separately from Redis's data.")
    print(f"The exchanges' keys go into {', '.join(f'{folder}/{name}' for name in EXCHANGE_KEYS)}.")
    return 0


def make(folder: Path) -> None:
    """Fill *folder*, which must not be there yet.

    Raises:
        SecretsError: it is there, or openssl isn't, or failed.
    """
    if folder.exists():
        raise SecretsError(f"{folder}/ is there already; remove it first if new secrets are wanted")
    _need_openssl()
    staging = folder.with_name(folder.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700, parents=True)
    passwords = {user: secrets.token_urlsafe(32) for user in (*USERS, ADMIN)}
    _write(staging / "users.acl", access_list(passwords))
    for user, password in passwords.items():
        if user in PEOPLE:
            _write(staging / f"redis_password_{user}", password)
            url = _url(user, password, "localhost", folder.resolve() / "redis_ca.crt")
        else:
            url = _url(user, password, HOST, CA_IN_CONTAINER)
        _write(staging / f"redis_url_{user}", url)
    tradectl_url = _url(OPERATOR, passwords[OPERATOR], HOST, CA_IN_CONTAINER)
    _write(staging / "redis_url_tradectl", tradectl_url)
    for name in EXCHANGE_KEYS:
        _write(staging / name, "")
    _certificates(staging)
    staging.rename(folder)


def renew(folder: Path) -> None:
    """Make a new authority and new certificates in *folder*; they apply at the next start.

    Raises:
        SecretsError: the folder or openssl is missing, or openssl failed; the old ones stay.
    """
    if not (folder / "redis_ca.crt").exists():
        raise SecretsError(f"{folder}/redis_ca.crt is missing; run make secrets")
    _need_openssl()
    staging = folder / "renewed"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    _certificates(staging)
    for name in CERTIFICATES:
        (staging / name).replace(folder / name)
    staging.rmdir()


def _need_openssl() -> None:
    if shutil.which("openssl") is None:
        raise SecretsError("the command openssl is missing; on Debian: apt install openssl")


def _url(user: str, password: str, host: str, ca: Path) -> str:
    return f"rediss://{user}:{password}@{host}:6379/0?ssl_ca_certs={ca}"


def _write(path: Path, text: str) -> None:
    """Write a file that a container's user may read; the folder's mode protects it."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _certificates(folder: Path) -> None:
    """Make a private certificate authority, and the server's certificate."""
    ca, ca_key = str(folder / "redis_ca.crt"), folder / "redis_ca.key"
    request, extensions = folder / "redis.csr", folder / "redis.ext"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl(
        *("req", "-x509", *new_key, "-keyout", str(ca_key), "-out", ca),
        *("-days", VALID_DAYS, "-subj", "/CN=exchange suite CA"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    _openssl(
        *("req", "-new", *new_key, "-keyout", str(folder / "redis.key")),
        *("-out", str(request), "-subj", f"/CN={HOST}"),
    )
    extensions.write_text(f"basicConstraints=critical,CA:FALSE\nsubjectAltName={NAMES}\n")
    _openssl(
        *("x509", "-req", "-in", str(request), "-CA", ca, "-CAkey", str(ca_key)),
        *("-set_serial", "1", "-days", VALID_DAYS, "-extfile", str(extensions)),
        *("-out", str(folder / "redis.crt")),
    )
    # The key is not needed again: new certificates get a new authority.
    for path in (ca_key, request, extensions):
        path.unlink()
    for name in CERTIFICATES:
        (folder / name).chmod(0o644)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(
        [shutil.which("openssl") or "openssl", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise SecretsError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
