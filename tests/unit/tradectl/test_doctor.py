"""What the doctor makes of what it sees."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import (
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from common_models import ConnectorStatusEvent, RetryStatus, SymbolStatus
from common_models.fields import utc_now
from services._runtime.fault_explanations import EXPLANATIONS, FaultExplanation
from services.tradectl import doctor
from services.tradectl.checks import Check, file_checks, not_ready_checks
from services.tradectl.doctor import (
    examine,
    group_check,
    memory_check,
    role_check,
    version_check,
    world_check,
    writes_check,
)
from services.tradectl.settings import TradectlSettings

MIB = 2**20


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({"redis_version": "6.2.14"}, "fail"),
        ({"redis_version": "7.0.0"}, "ok"),
        ({"redis_version": "10.1"}, "ok"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, "ok"),
        ({"redis_version": "unheard of"}, "fail"),
        ({}, "fail"),
    ],
)
def test_redis_from_7_0_on_will_do(info: dict[str, Any], state: str) -> None:
    """Valkey calls itself Redis 7.2.4."""
    assert version_check(info).state == state


@pytest.mark.parametrize(
    ("used", "most", "state"),
    [(10, 0, "ok"), (10, 100, "ok"), (85, 100, "warn"), (96, 100, "fail")],
)
def test_a_redis_that_is_nearly_full_is_a_fault(used: int, most: int, state: str) -> None:
    """Full, it takes no orders."""
    assert memory_check({"used_memory": used * MIB, "maxmemory": most * MIB}).state == state


@pytest.mark.parametrize(
    ("worlds", "state"),
    [
        ({"a": "live", "b": "live"}, "ok"),
        ({"a": "live", "b": "simulator"}, "fail"),
        ({"a": "none"}, "fail"),
    ],
)
def test_a_redis_belongs_to_one_world(worlds: dict[str, str], state: str) -> None:
    """Which its connectors have claimed."""
    assert world_check(worlds).state == state


@pytest.mark.parametrize(
    ("missing", "pending", "waiting", "state"),
    [
        ([], 0, 0, "ok"),
        ([], 3, 0, "ok"),
        ([], 51, 0, "warn"),
        ([], 0, 1, "warn"),
        (["place_order"], 0, 0, "fail"),
    ],
)
def test_waiting_commands_are_reported(
    missing: list[str], pending: int, waiting: int, state: str
) -> None:
    """Unread, under way for too many, or read by nobody."""
    assert group_check("binance_connector", missing, pending, waiting).state == state


@pytest.mark.parametrize(
    ("name", "text", "mode", "state"),
    [
        (".env", "", 0o600, "ok"),
        (".env", "", 0o640, "warn"),
        ("suite.toml", "health_port = 1", 0o644, "ok"),
        ("suite.toml", "[bot]\nredis_url = 'redis://:x@there'", 0o644, "warn"),
        ("suite.toml", "binance_api_key = 'x'", 0o640, "warn"),
        ("suite.toml", "binance_api_key = 'x'", 0o600, "ok"),
        ("suite.toml", "binance_api_key 'x'", 0o600, "fail"),
    ],
)
def test_a_file_with_keys_that_others_may_read_is_warned_of(
    tmp_path: Path, name: str, text: str, mode: int, state: str
) -> None:
    """And one that no service would take."""
    assert file_checks(tmp_path) == []
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(mode)
    (check,) = file_checks(tmp_path)
    assert (check.check, check.state) == (name, state)
    assert bool(check.fix) == (state != "ok")


def test_each_part_of_a_connector_that_does_not_work_is_a_row() -> None:
    """Parts, feeds, and markets that their exchange has shut; what only starts isn't."""
    rows = (("BTC", "live", "trading"), ("ETH", "stale", "trading"), ("XRP", "polled", "post_only"))
    event = ConnectorStatusEvent(
        exchange="luno",
        world="live",
        trading=False,
        symbols=[
            SymbolStatus(symbol=name, state=state, since=utc_now(), market_status=market)
            for name, state, market in rows
        ],
        not_ready={"exchange": "451", "orders": "starting"},
    )
    told = [(check.check, check.what) for check in not_ready_checks(event)]
    assert told == [
        ("luno_connector exchange", "451"),
        ("luno_connector feed ETH", "stale"),
        ("luno_connector XRP", "its market is post_only"),
    ]


@pytest.mark.parametrize("explanation", EXPLANATIONS)
def test_the_advice_follows_the_cause(explanation: FaultExplanation) -> None:
    """Of a part and of a feed; with the attempt that failed, and when the next one is."""
    said = f"no answer from Luno: can't resolve api.luno.com (DNS); {explanation}"
    retry = RetryStatus(attempt=7, next_try_in=3.2)
    stale = SymbolStatus(symbol="XBT/ZAR", state="stale", since=utc_now(), reason=said, retry=retry)
    event = ConnectorStatusEvent(
        exchange="luno",
        world="live",
        trading=False,
        symbols=[stale],
        not_ready={"exchange": said, "key": "nobody knows"},
        retries={"exchange": retry},
    )
    exchange, key, feed = not_ready_checks(event)
    for check in (exchange, feed):
        assert check.what == f"{said} (attempt 7, next try in 3.2 s)"
        assert check.fix == explanation.remedy
    assert key.what == "nobody knows"
    assert "docs/troubleshooting.md" in key.fix


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (OutOfMemoryError("full"), "fail"),
        (ReadOnlyError("a replica"), "fail"),
        (BusyLoadingError("loading"), "fail"),
        (NoPermissionError("not yours"), "warn"),
        (TimeoutError("silent"), "fail"),
    ],
)
async def test_an_examination_that_fails_is_one_row_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, error: Exception, state: str
) -> None:
    """Also what that look had found before."""

    async def fails(_: Redis, __: TradectlSettings) -> AsyncIterator[Check]:
        yield Check("before", "ok", "found")
        raise error

    async def works(_: Redis, __: TradectlSettings) -> AsyncIterator[Check]:
        yield Check("behind", "ok", "found")

    monkeypatch.setattr(doctor, "EXAMINATIONS", {"the look": fails, "another": works})
    checks = await examine(cast("Redis", None), TradectlSettings.model_construct())
    assert [(each.check, each.state) for each in checks] == [
        ("before", "ok"),
        ("the look", state),
        ("behind", "ok"),
    ]
    assert str(error) in checks[1].what


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        ([None, None], "ok"),
        ([None, NoPermissionError("no")], "ok"),
        ([None, OutOfMemoryError("used memory > 'maxmemory'")], "fail"),
        ([NoPermissionError("no"), ReadOnlyError("replica")], "fail"),
    ],
)
def test_a_redis_that_takes_nothing_is_a_fault(errors: list[RedisError | None], state: str) -> None:
    """What this user may not do is another row's."""
    assert writes_check(errors).state == state


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({"role": "master", "loading": 0}, "ok"),
        ({"role": "slave", "master_host": "there"}, "fail"),
        ({"role": "master", "loading": 1, "loading_loaded_perc": "12.3"}, "fail"),
    ],
)
def test_a_replica_and_a_redis_that_loads_are_named(info: dict[str, Any], state: str) -> None:
    """Neither takes an order."""
    assert role_check(info).state == state
