"""Recordings of the real exchanges: `--recorded PREFIX` and `--luno-frames FILE`."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option for each venue's kind of recording."""
    parser.addoption("--recorded", help="PREFIX of PREFIX.http.* and PREFIX.ws.*")
    parser.addoption("--luno-frames", help='a file of lines {"note": .., "frame": ..}')


def _path(request: pytest.FixtureRequest, option: str) -> Path:
    given = request.config.getoption(option)
    assert given, f"say which recording: {option} PATH"
    return Path(given).absolute()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Path:
    """The path prefix of the recorded Binance session."""
    return _path(request, "--recorded")


@pytest.fixture
def luno_frames(request: pytest.FixtureRequest) -> Path:
    """The path of the recorded Luno frames."""
    return _path(request, "--luno-frames")
