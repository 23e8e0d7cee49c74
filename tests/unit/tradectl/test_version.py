"""Which version this is, and of which commit."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services import __version__
from services.tradectl import version
from services.tradectl.app import app


def git(folder: Path, *words: str) -> str:
    """What git says in a folder."""
    who = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    asked = subprocess.run(
        ("git", "-C", str(folder), *who, *words), capture_output=True, text=True, check=True
    )
    return asked.stdout.strip()


def test_the_version_is_printed_without_a_redis() -> None:
    """On one line of stdout."""
    told = CliRunner().invoke(app, ["--version"], env={"REDIS_URL": "nonsense"})
    assert told.exit_code == 0, told
    assert told.stdout.startswith(f"tradectl {__version__} (")
    assert len(told.stdout.splitlines()) == 1


def test_a_checkout_is_of_its_commit_and_says_where_that_was_changed(tmp_path: Path) -> None:
    """As git names it, twelve digits."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", "a")
    git(tmp_path, "tag", "v9")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert version.commit(tmp_path, tmp_path / "none") == head
    (tmp_path / "a").write_text("2")
    assert version.commit(tmp_path, tmp_path / "none") == f"{head}-dirty"


@pytest.mark.parametrize(("held", "told"), [("1a2b3c\n", "1a2b3c"), ("", None), (None, None)])
def test_an_image_is_of_the_commit_it_was_built_from(
    tmp_path: Path, held: str | None, told: str | None
) -> None:
    """As its build wrote it down; one that didn't has none, though a folder above is a checkout."""
    git(tmp_path, "init", "--quiet")
    root = tmp_path / "app"
    root.mkdir()
    if held is not None:
        (root / "COMMIT").write_text(held)
    assert version.commit(root, root / "COMMIT") == told
