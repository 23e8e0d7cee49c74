"""Links of the repository's pages, as the site needs them."""

import logging

import pytest

from tests.documentation.hooks import PAGES, ROOT, rewritten


@pytest.mark.parametrize(
    ("link", "source", "site", "expected"),
    [
        ("[a](settings.md#keys)", "docs/operations.md", "operations.md", "[a](settings.md#keys)"),
        ("[a](docs/settings.md)", "README.md", "overview.md", "[a](settings.md)"),
        ("[a](../SECURITY.md)", "docs/operations.md", "operations.md", "[a](security.md)"),
        (
            "[a](../../docs/adr/0001-record-decisions.md)",
            "services/luno_connector/README.md",
            "services/luno_connector.md",
            "[a](../adr/0001-record-decisions.md)",
        ),
        (
            "![a](docs/make-run.svg)",
            "README.md",
            "overview.md",
            "![a](make-run.svg)",
        ),
        ("[`x`](../.env.example)", "docs/settings.md", "settings.md", "`x`"),
        ("[a](adr/)", "docs/settings.md", "settings.md", "a"),
        ("[a](#keys)", "docs/settings.md", "settings.md", "[a](#keys)"),
        ("[a](https://example.com/)", "README.md", "overview.md", "[a](https://example.com/)"),
    ],
)
def test_a_link_leads_to_its_page_or_becomes_text(
    link: str, source: str, site: str, expected: str
) -> None:
    """Files that aren't on the site are named, not linked."""
    assert rewritten(f"See {link}.", source, site) == f"See {expected}."


def test_code_blocks_keep_their_text() -> None:
    """What looks like a link there is code."""
    text = "[a](docs/settings.md)\n```sh\n[b](docs/settings.md)\n```\n[c](docs/settings.md)\n"
    assert rewritten(text, "README.md", "overview.md") == (
        "[a](settings.md)\n```sh\n[b](docs/settings.md)\n```\n[c](settings.md)\n"
    )


def test_a_link_to_a_file_that_does_not_exist_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A warning fails the build."""
    with caplog.at_level(logging.WARNING):
        rewritten("[a](gone.md)", "docs/settings.md", "settings.md")
    assert "docs/settings.md links to gone.md, which doesn't exist" in caplog.text


def test_every_page_from_outside_docs_exists() -> None:
    """The list names files of the repository."""
    assert [source for source in PAGES if not (ROOT / source).is_file()] == []
