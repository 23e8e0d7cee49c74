"""What the docs say of the code's structure is true."""

import re
from pathlib import Path

import pytest

import services
from services._connector_kit.orders.commands.request_ports import RequestVenue
from services._connector_kit.orders.ports import ExecutionVenue
from services._connector_kit.protocol import Exchange

ROOT = Path(services.__file__).parents[1]
DOCS = ROOT / "docs"
PATH = re.compile(r"`((?:services|common_models|tests|benchmarks|monitoring)/[^` ]*)`")
LONGEST_PATH_OF_AN_ORDER = 12  # files


PROTOCOLS = {"Exchange": Exchange, "ExecutionVenue": ExecutionVenue, "RequestVenue": RequestVenue}


@pytest.mark.parametrize("page", ["adding_an_exchange.md", "architecture.md", "glossary.md"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """A moved module is moved there too."""
    text = (DOCS / page).read_text()
    named = {name for name in PATH.findall(text) if "<" not in name and "kraken" not in name}
    assert len(named) > 20
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_a_place_order_passes_few_files() -> None:
    """From its stream to its answer, as the page counts them."""
    text = (DOCS / "architecture.md").read_text()
    _, _, section = text.partition("## A `place_order`")
    rows = re.findall(r"^\| (\d+) \|", section, re.MULTILINE)
    assert rows == [str(n) for n in range(1, len(rows) + 1)]
    assert 0 < len(rows) <= LONGEST_PATH_OF_AN_ORDER


def members(protocol: type) -> set[str]:
    """The names that a class must have to fit *protocol*."""
    own = [each for each in protocol.__mro__ if each.__module__.startswith("services.")]
    names = {name for each in own for name in (*vars(each), *vars(each).get("__annotations__", ()))}
    return {name for name in names if not name.startswith("_")}


def test_adding_an_exchange_counts_the_members_that_a_connector_implements() -> None:
    """Of each protocol, and of all of them."""
    text = (DOCS / "adding_an_exchange.md").read_text()
    counts = {name: int(n) for name, n in re.findall(r"^\| `(\w+)` \| (\d+):", text, re.MULTILINE)}
    assert counts == {name: len(members(protocol)) for name, protocol in PROTOCOLS.items()}
    assert f"You implement {sum(counts.values())} members of three protocols" in text


def test_no_class_name_stands_twice() -> None:
    """One name for one thing; a class that is private to its module may share its name."""
    found: dict[str, list[str]] = {}
    for package in ("services", "common_models"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in re.findall(r"^ *class ([A-Za-z]\w*)", path.read_text(), re.MULTILINE):
                found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {n: paths for n, paths in found.items() if len(paths) > 1} == {}
