"""Files that must never be in the repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        (".env", True),
        (".env.live", True),
        (".env.example", False),
        ("suite.toml", True),
        ("config.cfg", True),
        ("secrets/binance_api_secret", True),
        ("secrets.old/binance_api_secret", True),
        ("dump.rdb", True),
        ("backups/redis.tar.gz", True),
        ("backup/x", True),
        ("redis-backup.tar", True),
        ("sbom.json", True),
        ("plugins/my_strategies.py", True),
        ("plugins/.gitkeep", False),
        ("services/_runtime/settings.py", False),
    ],
)
def test_files_with_keys_and_backups_are_ignored(tmp_path: Path, name: str, ignored: bool) -> None:
    """Git ignores them, but not the files that explain them."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = ["git", "check-ignore", "--quiet", name]
    done = subprocess.run(command, cwd=tmp_path, check=False)
    assert done.returncode == (0 if ignored else 1)
