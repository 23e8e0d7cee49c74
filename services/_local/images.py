"""`make images`: pull the base images, and write their digests into `.env`.

docker-compose.yml and Dockerfile read them there. It needs only Python and a Docker engine.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# By variable: the default in docker-compose.yml and Dockerfile.
IMAGES: Mapping[str, str] = {"REDIS_IMAGE": "redis:8-alpine", "PYTHON_IMAGE": "python:3.13-slim"}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PULL_TIMEOUT = 900.0


class ImageError(Exception):
    """A digest could not be determined; the message says why."""


def main() -> int:
    """Write to the file named on the command line, by default `.env`; 0 if all were written."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    try:
        pinned = {name: with_digest(image) for name, image in IMAGES.items()}
    except ImageError as e:
        sys.stderr.write(f"make images: {e}; {path} is unchanged\n")
        return 1
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.touch(mode=0o600)  # it may hold API keys too
    path.write_text(with_variables(before, pinned), encoding="utf-8")
    for name, image in pinned.items():
        print(f"{name}={image}")
    return 0


def with_digest(image: str) -> str:
    """*image*, which has a tag, with its current digest in the registry.

    Raises:
        ImageError: the image can't be pulled, or the engine has no digest of it.
    """
    repository = image.partition(":")[0]
    _docker("pull", "--quiet", image)
    known = _docker("image", "inspect", "--format", '{{join .RepoDigests " "}}', image)
    for each in known.split():
        name, _, digest = each.partition("@")
        # Some engines write the registry's name before the repository.
        same = name.removeprefix("docker.io/").removeprefix("library/") == repository
        if same and DIGEST.fullmatch(digest):
            return f"{image}@{digest}"
    raise ImageError(f"the engine has no digest of {image}")


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """The text of an `.env` file with *variables* set once each; other lines are unchanged."""
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() not in variables]
    return "".join(f"{line}\n" for line in [*kept, *(f"{n}={v}" for n, v in variables.items())])


def _docker(*arguments: str) -> str:
    command = ("docker", *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PULL_TIMEOUT
        )
    except FileNotFoundError as e:
        raise ImageError("the command docker is missing") from e
    except subprocess.TimeoutExpired as e:
        raise ImageError(f"{' '.join(command)} took more than {PULL_TIMEOUT:.0f} s") from e
    if done.returncode:
        raise ImageError(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
