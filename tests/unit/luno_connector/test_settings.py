"""What the Luno connector takes from its environment, and from config.cfg."""

from pathlib import Path

import pytest

from services._runtime.settings import SettingsError, load
from services.luno_connector.settings import LunoSettings

CONFIG = "[luno]\napi_key_id = file-id\napi_secret_key = file%secret\n"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without files, and no variable of the machine that runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in LunoSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    return tmp_path


def key_of(settings: LunoSettings) -> tuple[str, str] | None:
    """The key in the clear."""
    key_id, secret = settings.luno_api_key_id, settings.luno_api_secret_key
    if key_id is None or secret is None:
        return None
    return key_id.get_secret_value(), secret.get_secret_value()


def test_without_a_key_anywhere_there_is_none() -> None:
    """Market data alone is a way to run."""
    assert key_of(load(LunoSettings)) is None


def test_config_cfg_has_the_key_where_the_environment_has_none(folder: Path) -> None:
    """A percent sign in it is a percent sign."""
    (folder / "config.cfg").write_text(CONFIG)
    assert key_of(load(LunoSettings)) == ("file-id", "file%secret")


def test_the_environment_goes_before_config_cfg(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file isn't even looked at."""
    (folder / "config.cfg").write_text("not an INI file at all")
    monkeypatch.setenv("LUNO_API_KEY_ID", "env-id")
    monkeypatch.setenv("LUNO_API_SECRET_KEY", "env-secret")
    assert key_of(load(LunoSettings)) == ("env-id", "env-secret")


def test_a_secret_file_and_dotenv_go_before_config_cfg_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever source it is that the environment's names come from."""
    (folder / "config.cfg").write_text(CONFIG)
    (folder / ".env").write_text("LUNO_API_KEY_ID=dotenv-id\n")
    (folder / "secret").write_text("secret-of-a-file\n")
    monkeypatch.setenv("LUNO_API_SECRET_KEY_FILE", str(folder / "secret"))
    assert key_of(load(LunoSettings)) == ("dotenv-id", "secret-of-a-file")


def test_half_a_key_is_never_completed_from_another_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id of one key and the secret of another would only be refused by the venue."""
    (folder / "config.cfg").write_text(CONFIG)
    monkeypatch.setenv("LUNO_API_KEY_ID", "env-id")
    with pytest.raises(SettingsError, match="only one is set; expected both or neither"):
        load(LunoSettings)


@pytest.mark.parametrize(
    "text", ["[luno]\napi_key_id = file-id\n", "[luno]\napi_key_id=x\napi_secret_key=\n"]
)
def test_half_a_key_in_config_cfg_is_a_clear_error(folder: Path, text: str) -> None:
    """As in the environment."""
    (folder / "config.cfg").write_text(text)
    with pytest.raises(SettingsError, match="LUNO_API_KEY_ID and LUNO_API_SECRET_KEY: only one"):
        load(LunoSettings)


@pytest.mark.parametrize("text", ["", "[binance]\napi_key_id = x\n", "[luno]\n"])
def test_a_config_cfg_without_a_luno_key_gives_none(folder: Path, text: str) -> None:
    """The file may be there for others."""
    (folder / "config.cfg").write_text(text)
    assert key_of(load(LunoSettings)) is None


@pytest.mark.parametrize("content", [b"api_key_id = x\n", b"\xff\xfe[luno]", b"[luno]\n[luno]\n"])
def test_a_config_cfg_that_cannot_be_read_is_a_clear_error(folder: Path, content: bytes) -> None:
    """It says which file, and what would be right, and nothing of what is in it."""
    (folder / "config.cfg").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^config\.cfg: can't be read .* under \[luno\]$"):
        load(LunoSettings)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf[luno]\r\napi_key_id = file-id\r\napi_secret_key = file%secret\r\n",
        b"[luno]\napi_key_id = 'file-id'\napi_secret_key = \"file%secret\" \n",
    ],
    ids=["Windows", "quotes"],
)
def test_a_key_in_config_cfg_works_whatever_it_was_copied_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """And though the environment has a blank for it."""
    (folder / "config.cfg").write_bytes(content)
    monkeypatch.setenv("LUNO_API_KEY_ID", " ")
    assert key_of(load(LunoSettings)) == ("file-id", "file%secret")


def test_a_key_in_config_cfg_that_no_header_could_carry_is_refused_by_name(folder: Path) -> None:
    """It isn't shown."""
    (folder / "config.cfg").write_text(CONFIG.replace("file%secret", "file secret"))
    with pytest.raises(
        SettingsError, match=r"^config\.cfg: api_secret_key has .*U\+0020"
    ) as caught:
        load(LunoSettings)
    assert "file secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["LUNO_REST_URL", "LUNO_STREAM_URL"])
def test_a_url_that_would_send_the_key_in_the_clear_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """But for this machine and the simulator in compose."""
    scheme = "http" if name == "LUNO_REST_URL" else "ws"
    for host in ("127.0.0.1:8900", "exchange_simulator:8900"):
        monkeypatch.setenv(name, f"{scheme}://{host}")
        load(LunoSettings)
    monkeypatch.setenv(name, f"{scheme}://api.luno.com")
    with pytest.raises(SettingsError, match=f"^{name}=.*unencrypted; expected {scheme}s://"):
        load(LunoSettings)


def test_accounts_are_named_by_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, unless some are."""
    assert load(LunoSettings).luno_accounts == {}
    monkeypatch.setenv("LUNO_ACCOUNTS", " xbt:4711, ZAR : 4712 ,")
    assert load(LunoSettings).luno_accounts == {"XBT": "4711", "ZAR": "4712"}


@pytest.mark.parametrize("text", ["4711", "XBT:", "XBT:savings", ":4711", "XBT:1,XBT:2", "XBT:-1"])
def test_what_names_no_account_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what would be right."""
    monkeypatch.setenv("LUNO_ACCOUNTS", text)
    with pytest.raises(SettingsError, match=r"LUNO_ACCOUNTS.*expected (ASSET:NUMBER|one account)"):
        load(LunoSettings)


def test_an_order_may_be_valid_for_as_long_as_luno_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`ttl` is at most ten seconds."""
    monkeypatch.setenv("ORDER_COMMAND_MAX_AGE", "70")
    monkeypatch.setenv("ORDER_TAKE_OVER_AFTER", "120")
    monkeypatch.setenv("ORDER_VALIDITY", "10")
    assert load(LunoSettings).order_validity == 10
    monkeypatch.setenv("ORDER_VALIDITY", "11")
    with pytest.raises(SettingsError, match=r"ORDER_VALIDITY='11': .*less than or equal to 10"):
        load(LunoSettings)
