"""Where tradectl looks for the services."""

import pytest

from services._runtime.settings import SettingsError, load
from services.tradectl.settings import TradectlSettings


@pytest.fixture(autouse=True)
def no_env_file(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own `.env` is not read."""
    monkeypatch.chdir(str(tmp_path))


def test_addresses_are_pairs_of_a_service_and_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces and trailing slashes don't matter."""
    monkeypatch.setenv("HEALTH_URLS", "bot=http://a:1/ , indicators=https://b")
    urls = load(TradectlSettings).health_urls
    assert urls == {"bot": "http://a:1", "indicators": "https://b"}


@pytest.mark.parametrize("urls", ["bot", "bot=a:1", "=http://a", "bot=http://"])
def test_an_invalid_address_is_named(urls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what would be right."""
    monkeypatch.setenv("HEALTH_URLS", urls)
    with pytest.raises(
        SettingsError, match=r"HEALTH_URLS=.* expected e\.g\. bot=http://127\.0\.0\.1"
    ):
        load(TradectlSettings)
