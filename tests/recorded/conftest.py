"""`--recorded PREFIX` names the recorded session to replay."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option of these tests."""
    parser.addoption("--recorded", required=True, help="PREFIX of PREFIX.http.* and PREFIX.ws.*")


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Path:
    """Where the recorded session is."""
    return Path(request.config.getoption("--recorded")).absolute()
