"""`make images`: digests that an engine tells go into `.env`, and nothing else does."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._local.images import IMAGES, main, with_variables

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
# Stands in for the docker command: what was asked goes to a file, what it knows comes from files.
DOCKER = """#!{python}
import pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "asked").open("a") as asked:
    asked.write(" ".join(sys.argv[1:]) + "\\n")
answer = folder / sys.argv[1] / sys.argv[-1].partition(":")[0]
if not answer.exists():
    sys.exit("Error response from daemon: no such image")
print(answer.read_text())
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a docker command that knows both images; `main` writes to `.env` beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER.format(python=sys.executable))
    (folder / "docker").chmod(0o755)
    for answer, redis, python in (
        ("pull", "docker.io/library/redis:8-alpine", "docker.io/library/python:3.13-slim"),
        ("image", f"valkey@{TWO} redis@{ONE}", f"docker.io/library/python@{TWO}"),
    ):
        (folder / answer).mkdir()
        (folder / answer / "redis").write_text(redis)
        (folder / answer / "python").write_text(python)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.argv", ["images", str(tmp_path / ".env")])
    return folder


def test_each_image_is_pulled_and_its_digest_written(engine: Path, tmp_path: Path) -> None:
    """Readable by the owner alone: keys may be put there later."""
    assert main() == 0
    path = tmp_path / ".env"
    assert path.read_text() == (
        f"REDIS_IMAGE=redis:8-alpine@{ONE}\nPYTHON_IMAGE=python:3.13-slim@{TWO}\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    asked = (engine / "asked").read_text().splitlines()
    for image in IMAGES.values():
        pulled = asked.index(f"pull --quiet {image}")
        assert asked[pulled + 1].startswith("image inspect ")


def test_other_lines_stay_and_older_digests_go(engine: Path, tmp_path: Path) -> None:
    """A key that stands there is still there, a comment too."""
    path = tmp_path / ".env"
    path.write_text(f"# mine\nREDIS_IMAGE=redis:8-alpine@{TWO}\nLUNO_API_KEY_ID=x=y")
    assert main() == 0
    assert path.read_text().splitlines() == [
        "# mine",
        "LUNO_API_KEY_ID=x=y",
        f"REDIS_IMAGE=redis:8-alpine@{ONE}",
        f"PYTHON_IMAGE=python:3.13-slim@{TWO}",
    ]


@pytest.mark.parametrize(
    "known",
    ["", f"valkey@{ONE}", "redis@sha256:12", "redis", f"redis@{ONE[:-1]}g", f"redis-x@{ONE}"],
)
def test_without_a_digest_from_the_engine_nothing_is_written(
    engine: Path, tmp_path: Path, known: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image that was built here has none; another's isn't taken for it."""
    (engine / "image" / "redis").write_text(known)
    assert main() == 1
    assert "the engine has no digest of redis:8-alpine" in capsys.readouterr().err
    assert not (tmp_path / ".env").exists()


def test_an_image_that_cannot_be_pulled_is_named(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the engine's own words, though an old one lies there."""
    (engine / "pull" / "python").unlink()
    (tmp_path / ".env").write_text("REDIS_PORT=1\n")
    assert main() == 1
    said = capsys.readouterr().err
    assert "docker pull --quiet python:3.13-slim: Error response from daemon" in said
    assert (tmp_path / ".env").read_text() == "REDIS_PORT=1\n"


def test_without_docker_it_says_so(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And writes nothing."""
    (engine / "docker").unlink()
    assert main() == 1
    assert "the command docker is missing" in capsys.readouterr().err
    assert not (tmp_path / ".env").exists()


names = st.sampled_from(["A", "B", "C"])
lines = st.lists(st.sampled_from(["# A=1", "A=1", "B=2", "C=3=4", "", "AA=5"]))


@given(lines, st.dictionaries(names, st.sampled_from(["x", "y=z"])))
def test_variables_are_set_once_whatever_stood_there(
    before: list[str], variables: dict[str, str]
) -> None:
    """And what isn't set stays, in its order."""
    after = with_variables("".join(f"{line}\n" for line in before), variables).splitlines()
    assert after[len(after) - len(variables) :] == [f"{n}={v}" for n, v in variables.items()]
    stays = [line for line in before if line.partition("=")[0] not in variables]
    assert after[: len(after) - len(variables)] == stays
