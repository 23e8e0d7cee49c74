"""The exchange registry: what a manifest says, and what is refused in one."""

from decimal import Decimal
from pathlib import Path

import pytest

from services._runtime.exchanges import (
    EXCHANGES,
    MANIFEST,
    MANIFESTS,
    SERVICES,
    ExchangeUrl,
    ManifestError,
    read_manifest,
)


def manifest_with(folder: Path, old: str, new: str) -> Path:
    """A folder with Luno's manifest in which *old* is replaced by *new*."""
    text = (SERVICES / "luno_connector" / MANIFEST).read_text()
    assert text.count(old) == 1
    (folder / MANIFEST).write_text(text.replace(old, new))
    return folder


def test_each_exchange_has_a_manifest_in_its_connectors_folder() -> None:
    """And each connector's folder is in the registry."""
    assert tuple(MANIFESTS) == EXCHANGES
    folders = {path.parent.name for path in SERVICES.glob(f"*/{MANIFEST}")}
    assert folders == {each.connector for each in MANIFESTS.values()}
    assert folders == {path.name for path in SERVICES.glob("[!_]*_connector")}


def test_exchanges_share_no_port_and_no_variable() -> None:
    """Two connectors run beside each other and read the same environment."""
    for values in (
        [each.health_port for each in MANIFESTS.values()],
        [variable for each in MANIFESTS.values() for variable in each.variables],
        [each.title for each in MANIFESTS.values()],
    ):
        assert len(set(values)) == len(values)


def test_a_manifest_names_what_belongs_to_its_exchange() -> None:
    """The names follow from the exchange's name."""
    luno = MANIFESTS["luno"]
    assert (luno.name, luno.connector) == ("luno", "luno_connector")
    assert (luno.symbols_variable, luno.port_variable) == ("LUNO_SYMBOLS", "LUNO_PORT")
    assert luno.symbols == ("XBT/ZAR", "ETH/ZAR")
    assert luno.highest_fee == Decimal("0.01")
    assert set(luno.variables) == {
        *("LUNO_SYMBOLS", "LUNO_API_KEY_ID", "LUNO_API_SECRET_KEY", "LUNO_ACCOUNTS"),
        *("LUNO_MARKET_BUY_SLIPPAGE", "LUNO_REST_URL", "LUNO_STREAM_URL"),
    }
    assert luno.live_url("LUNO_REST_URL") == "https://api.luno.com"


def test_a_url_on_the_simulator_has_the_same_interface_without_encryption() -> None:
    """`https` becomes `http`, and `wss` becomes `ws`."""
    http = ExchangeUrl("A_REST_URL", "https://a.example/api", "/api")
    assert http.simulated("127.0.0.1:8900") == "http://127.0.0.1:8900/api"
    socket = ExchangeUrl("A_STREAM_URL", "wss://a.example", "")
    assert socket.simulated("127.0.0.1:8900") == "ws://127.0.0.1:8900"
    with pytest.raises(ValueError, match="A_REST_URL: the simulator has no such interface"):
        ExchangeUrl("A_REST_URL", "https://a.example").simulated("127.0.0.1:8900")


def test_an_exchange_has_a_simulator_if_each_of_its_urls_has_one(tmp_path: Path) -> None:
    """`make run` starts no connector for which one interface is missing."""
    assert MANIFESTS["luno"].has_simulator
    wss = 'live = "wss://ws.luno.com"\nsimulator = ""\n'
    folder = manifest_with(tmp_path, wss, wss.partition("simulator")[0])
    assert not read_manifest("luno", folder).has_simulator


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("health_port = 8002", "", r"missing names: \['health_port'\]; unknown names: \[\]"),
        ("health_port", "port", r"missing names: \['health_port'\]; unknown names: \['port'\]"),
        ("8002", '"8002"', "health_port must be of type int, not '8002'"),
        ('"XBT/ZAR", "ETH/ZAR"', "1", r"symbols must be a list of texts, not \[1\]"),
        ('"0.01"', '"a little"', "ConversionSyntax"),
        ("title = ", "title ", "Expected '='"),
        ('live = "https', 'lives = "https', "lives"),
        ('"LUNO_ACCOUNTS"', '"ACCOUNTS"', "ACCOUNTS must begin with LUNO_"),
        # By that beginning `make run` drops what could reach a real account.
        ('"LUNO_API_KEY_ID"', '"LUNO_KEY_ID"', "LUNO_KEY_ID must begin with LUNO_API_"),
    ],
)
def test_a_faulty_manifest_is_refused_with_its_file_and_the_fault(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Whoever adds an exchange sees what to change."""
    folder = manifest_with(tmp_path, old, new)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest("luno", folder)
    assert str(folder / MANIFEST) in str(caught.value)


def test_a_missing_manifest_is_refused_with_its_path(tmp_path: Path) -> None:
    """The name is in the registry, but the folder has no manifest."""
    with pytest.raises(ManifestError, match=r"exchange\.toml: there is no such file; kraken needs"):
        read_manifest("kraken", tmp_path)
