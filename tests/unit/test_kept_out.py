"""What never gets into the repository."""

import subprocess

import pytest

from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        (".env", True),
        (".env.live", True),
        (".env.example", False),
        ("config.cfg", True),
        ("secrets/binance_api_secret", True),
        ("secrets.old/binance_api_secret", True),
        ("dump.rdb", True),
        ("backups/redis.tar.gz", True),
        ("backup/x", True),
        ("services/_runtime/settings.py", False),
    ],
)
def test_files_with_keys_and_backups_are_ignored(name: str, ignored: bool) -> None:
    """Git doesn't see them; what explains them it does."""
    command = ["git", "check-ignore", "--quiet", "--no-index", name]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    if done.returncode == 128:
        pytest.fail(f"no repository here: {done.stderr.decode()}")
    assert (done.returncode == 0) is ignored
