"""Hooks of mkdocs: pages from outside docs/, and links that work on the site as in the repository.

A link to another page of the site leads to that page. A link to any other file or folder of the
repository becomes plain text on the site; the build fails if the target doesn't exist.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# mkdocs counts warnings of this logger: with `--strict` one of them fails the build.
log = logging.getLogger("mkdocs.hooks.links")

# Pages of the repository that are outside docs/, and where they are on the site.
PAGES = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "services/binance_connector/README.md": "services/binance_connector.md",
    "services/luno_connector/README.md": "services/luno_connector.md",
    "services/exchange_simulator/README.md": "services/exchange_simulator.md",
}
SOURCES = {site: source for source, site in PAGES.items()}

FENCE = re.compile(r"(^(?P<fence>```|~~~).*?^(?P=fence)$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages from outside docs/."""
    for source, site in PAGES.items():
        files.append(File.generated(config, site, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: "Page", **_: object) -> str:
    """Rewrite the links of a page."""
    site = page.file.src_uri
    return rewritten(markdown, SOURCES.get(site, f"docs/{site}"), site)


def rewritten(markdown: str, source: str, site: str) -> str:
    """*markdown* of the file *source* with the links that the page *site* needs."""
    parts = FENCE.split(markdown)
    # Of each match `split` gives the block and its fence: text, block, fence, text, ...
    prose = [LINK.sub(lambda match: _link(match, source, site), text) for text in parts[::3]]
    blocks = [*parts[1::3], ""]
    return "".join(text + block for text, block in zip(prose, blocks, strict=True))


def _link(match: re.Match[str], source: str, site: str) -> str:
    image, text, target = match.groups()
    path, mark, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return match.group()
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / file).exists():
        log.warning("%s links to %s, which doesn't exist", source, target)
    page = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if page is None or (ROOT / file).is_dir():
        return str(text)
    relative = posixpath.relpath(page, posixpath.dirname(site) or ".")
    return f"{image}[{text}]({relative}{mark}{anchor})"
