"""A server in secure mode."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.redis.secure import Guarded, guarded_redis


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """A server with the list in force."""
    async with guarded_redis(tmp_path) as guarded:
        yield guarded
