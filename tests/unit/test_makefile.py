"""The commands of `make setup` and `make check`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder after `make setup`, with a Python whose version is in `.venv/version`."""
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncat "$(dirname "$0")/../version"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def planned(folder: Path, version: str, *arguments: str) -> str:
    """The commands of `make setup` if the environment's Python is *version*."""
    (folder / ".venv" / "version").write_text(version)
    command = ["make", "--dry-run", "--no-print-directory", *arguments, "setup"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_an_environment_of_another_python_is_replaced(environment: Path) -> None:
    """If a Python is requested; otherwise the existing environment is used."""
    ours = f"Python {sys.version.split()[0]}"
    asked = f"PYTHON={sys.executable}"
    assert "rm -rf .venv" in planned(environment, "Python 3.10.1", asked)
    assert "rm -rf .venv" not in planned(environment, ours, asked)
    assert "rm -rf .venv" not in planned(environment, "Python 3.10.1")


def test_pre_commit_runs_the_commands_of_make_check() -> None:
    """The same commands in the same order, without network access."""
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck: ")[2].split("\n\n")[0]
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()[1:]]
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    hooks = repository["hooks"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in hooks] == commands
    assert len(commands) >= 6
    for hook in hooks:
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == (
            "system",
            False,
            True,
        )
