"""What the docs say of the code's structure is true."""

import re
from pathlib import Path

import pytest

import services

ROOT = Path(services.__file__).parents[1]
DOCS = ROOT / "docs"
PATH = re.compile(r"`((?:services|common_models|tests|benchmarks|monitoring)/[^` ]*)`")
LONGEST_PATH_OF_AN_ORDER = 12  # files


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """A moved module is moved there too."""
    named = set(PATH.findall((DOCS / page).read_text()))
    assert len(named) > 20
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_a_place_order_passes_few_files() -> None:
    """From its stream to its answer, as the page counts them."""
    text = (DOCS / "architecture.md").read_text()
    _, _, section = text.partition("## A `place_order`")
    rows = re.findall(r"^\| (\d+) \|", section, re.MULTILINE)
    assert rows == [str(n) for n in range(1, len(rows) + 1)]
    assert 0 < len(rows) <= LONGEST_PATH_OF_AN_ORDER
