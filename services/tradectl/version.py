"""`tradectl --version`: the package's version, and the commit if it is known."""

import platform
import shutil
import subprocess
from pathlib import Path

from services import __version__

ROOT = Path(__file__).parents[2]
# A container image has no checkout: its build may write the commit to this file.
COMMIT_FILE = ROOT / "services" / "COMMIT"
GIT_TIMEOUT = 2.0


def version() -> str:
    """One line: "tradectl 0.2.0 (commit 1a2b3c4d5e6f, Python 3.13.1)"."""
    found = commit(ROOT, COMMIT_FILE)
    parts = [f"commit {found}"] if found else []
    return f"tradectl {__version__} ({', '.join([*parts, f'Python {platform.python_version()}'])})"


def commit(root: Path, file: Path) -> str | None:
    """The commit of the checkout at *root*, else the text of *file*; None if neither exists."""
    git = shutil.which("git")
    # Only if *root* itself is a checkout: it may lie inside the checkout of another project.
    if git is not None and (root / ".git").exists():
        words = (git, "-C", str(root), "describe", "--always", "--dirty", "--exclude=*")
        try:
            asked = subprocess.run(  # noqa: S603 - git, of this folder
                (*words, "--abbrev=12"),
                capture_output=True,
                text=True,
                timeout=GIT_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return asked.stdout.strip() or None
    try:
        return file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
