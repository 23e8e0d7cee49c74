"""cryptofeed in an environment of its own: made once, under a folder that git ignores."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".benchmarks" / "cryptofeed"
WANTED = "3.0.1"
# The release compared with needs this one; older interpreters get the newest that takes them.
NEEDS = (3, 13)


@dataclass(frozen=True)
class Environment:
    """An interpreter with cryptofeed; `version` is cryptofeed's."""

    python: Path
    python_version: str
    version: str

    @property
    def has_overflow(self) -> bool:
        """True for releases that can be told not to drop; older ones queue without end."""
        return int(self.version.partition(".")[0]) >= 3


def _interpreters() -> Iterator[str]:
    """Candidates, best first: on the PATH, then pyenv's, then the one that runs this."""
    for minor in (13, 14):
        yield f"python3.{minor}"
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False)
        for minor in (13, 14):
            found = Path(root.stdout.strip()).glob(f"versions/3.{minor}.*/bin/python")
            yield from map(str, sorted(found, reverse=True))
    yield sys.executable


def _version(python: str) -> tuple[int, ...] | None:
    """Its version; None where it can't be run (a shim may lead nowhere)."""
    code = "import sys; print(*sys.version_info[:3])"
    try:
        asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return tuple(map(int, asked.stdout.split())) if asked.returncode == 0 else None


def _make() -> None:
    """Make the environment.

    Raises:
        subprocess.CalledProcessError: it can't be made.
    """
    versions = {python: _version(python) for python in _interpreters()}
    python = next((p for p, version in versions.items() if version and version >= NEEDS), None)
    package = f"cryptofeed=={WANTED}" if python else "cryptofeed"
    uv = [str(Path(sys.executable).with_name("uv"))]
    subprocess.run(
        [*uv, "venv", "--quiet", "--python", python or sys.executable, FOLDER], check=True
    )
    install = [*uv, "pip", "install", "--quiet", "--python", str(FOLDER / "bin" / "python")]
    subprocess.run([*install, package, "redis", "hiredis", "uvloop"], check=True)


def environment() -> Environment:
    """The environment, made where it isn't there."""
    ready, python = FOLDER / ".ready", FOLDER / "bin" / "python"
    if not ready.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        _make()
        ready.touch()
    code = (
        "import platform, importlib.metadata as m;"
        "print(platform.python_version(), m.version('cryptofeed'))"
    )
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    python_version, version = told.stdout.split()
    return Environment(python, python_version, version)
