"""Which Redis is meant: what is set goes before the suite that runs here, and doubt is said."""

import os
from pathlib import Path

import pytest

from services._runtime.running_suites import RunningSuite, record_suite
from services.tradectl.exit_codes import CommandError, ExitCode
from services.tradectl.settings import SERVICES
from services.tradectl.target import health_urls, redis_url

DEFAULT = "redis://127.0.0.1:6379/0"
HERE = "redis://127.0.0.1:6380/0"
ANOTHER = "redis://10.0.0.1:6379/0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is started; nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "REDIS_URL_FILE", "HEALTH_URLS", "SUITE_TOML"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run_here(folder: Path, url: str | None, second: int = 0) -> None:
    """A suite runs here: its launcher is this process."""
    data = folder / ".data" / f"run-20260101-00000{second}-{os.getpid()}"
    data.mkdir(parents=True)
    record_suite(data, RunningSuite(url, {"bot": "http://127.0.0.1:8050"}))


def test_if_no_suite_runs_the_settings_decide(folder: Path) -> None:
    """The default, or what `.env` says."""
    assert redis_url() == DEFAULT
    assert health_urls() == SERVICES
    (folder / ".env").write_text(f"REDIS_URL={ANOTHER}\n")
    assert redis_url() == ANOTHER


def test_the_suite_that_runs_here_is_meant(folder: Path) -> None:
    """With the ports that it has; `.env` may name the same Redis."""
    run_here(folder, HERE)
    assert redis_url() == HERE
    assert health_urls() == {"bot": "http://127.0.0.1:8050"}
    (folder / ".env").write_text(f"REDIS_URL={HERE.removesuffix('/0')}\n")
    assert redis_url() == HERE


def test_suite_toml_is_read_as_dotenv_is(folder: Path) -> None:
    """Its table for tradectl first; what is wrong with another name keeps nobody from halting."""
    (folder / "suite.toml").write_text(
        f'redis_ulr = "x"\nredis_url = "{HERE}"\n[tradectl]\nredis_url = "{ANOTHER}"\n'
        'health_urls = {bot = "http://10.0.0.1:8000"}\n'
    )
    assert redis_url() == ANOTHER
    assert health_urls() == {"bot": "http://10.0.0.1:8000"}
    (folder / ".env").write_text(f"REDIS_URL={HERE}\n")
    assert redis_url() == HERE


def test_with_redis_url_in_the_environment_no_file_is_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can't be read keeps nobody from halting."""
    (folder / "suite.toml").write_text("no TOML")
    monkeypatch.setenv("REDIS_URL", ANOTHER)
    assert redis_url() == ANOTHER


def test_a_variable_of_the_environment_decides(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever runs here."""
    run_here(folder, HERE)
    run_here(folder, HERE, 1)
    monkeypatch.setenv("REDIS_URL", ANOTHER)
    monkeypatch.setenv("HEALTH_URLS", "bot=http://10.0.0.1:8000")
    assert redis_url() == ANOTHER
    assert health_urls() == {"bot": "http://10.0.0.1:8000"}


def test_a_suite_with_a_redis_that_it_was_given_is_looked_for_there(folder: Path) -> None:
    """Its URL isn't written down: it may hold a password."""
    run_here(folder, None)
    assert redis_url() == DEFAULT
    assert health_urls() == {"bot": "http://127.0.0.1:8050"}


def test_where_it_could_be_one_or_the_other_nothing_is_done(folder: Path) -> None:
    """A halt of the wrong suite stops nothing, and nobody would notice."""
    run_here(folder, HERE)
    (folder / ".env").write_text(f"REDIS_URL={ANOTHER}\n")
    with pytest.raises(
        CommandError, match=r"127\.0\.0\.1:6380.*\.env or suite\.toml names another.*REDIS_URL"
    ) as e:
        redis_url()
    assert e.value.exit_code == ExitCode.USAGE
    (folder / ".env").unlink()
    run_here(folder, "redis://127.0.0.1:6381/0", 1)
    with pytest.raises(CommandError, match=r"2 suites run here: .*6380.*6381.*REDIS_URL"):
        redis_url()
