"""Extract the prose of a file: what a person reads, without code."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}
# Markdown that isn't prose; replaced by blanks of the same length, so that offsets stay right.
NOT_PROSE = (
    re.compile(r"^( *)(```|~~~).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"``.+?``|`[^`]+`", re.DOTALL),
    re.compile(r"\]\([^)\s]*\)"),
    re.compile(r"https?://[^\s)>\"]+"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of prose: its first line in the file, and of what kind it is."""

    line: int
    kind: str
    words: str


def of_file(path: Path, relative: str) -> list[Text]:
    """All prose of the file at *path*; *relative* is its path from the project's root."""
    content = path.read_text()
    if path.suffix == ".md":
        return [Text(1, "prose", without_code(content))]
    if path.suffix == ".py":
        if relative.startswith("tests/"):
            return list(_test_names(ast.parse(content)))
        return [*_strings(ast.parse(content)), *_comments(content)]
    if path.suffix in {".yml", ".yaml"}:
        return [Text(1, "prose", without_code(content))]
    return list(_hash_comments(content))


def without_code(markdown: str) -> str:
    """*markdown* with code blocks, code spans and addresses replaced by blanks."""
    for pattern in NOT_PROSE:
        markdown = pattern.sub(_blank, markdown)
    return markdown


def _blank(match: re.Match[str]) -> str:
    """A text of the same length and lines; the bar keeps words on both sides apart."""
    return re.sub(r"[^\n]", "|", match.group())


def _test_names(tree: ast.Module) -> Iterator[Text]:
    """The names of the test functions, as sentences."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            yield Text(node.lineno, "test name", _words_of(node.name))


def _words_of(name: str) -> str:
    return name.replace("_", " ")


def _strings(tree: ast.Module) -> Iterator[Text]:
    """Docstrings, the events of log calls, and every other string that has a blank in it."""
    seen: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                seen.add(first.value)
                yield Text(first.lineno, "docstring", without_code(str(first.value.value)))
        elif isinstance(node, ast.JoinedStr):
            seen.update(node.values)
            parts = [p.value if isinstance(p, ast.Constant) else "|" for p in node.values]
            yield from _message(node.lineno, "".join(map(str, parts)))
        elif isinstance(node, ast.Call) and (event := _log_event(node)) is not None:
            yield Text(node.lineno, "log event", _words_of(event))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in seen:
            yield from _message(node.lineno, node.value)


def _message(line: int, text: str) -> Iterator[Text]:
    if " " in text:
        yield Text(line, "message", without_code(text))


def _log_event(node: ast.Call) -> str | None:
    """The event name, if *node* is a log call with a literal one."""
    if not isinstance(node.func, ast.Attribute) or not node.args:
        return None
    event = node.args[0]
    if node.func.attr not in LOG_METHODS or not isinstance(event, ast.Constant):
        return None
    return event.value if isinstance(event.value, str) else None


def _comments(source: str) -> Iterator[Text]:
    """The comments of Python *source*; lines that follow each other are one text."""
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        own_line = token.line.lstrip().startswith("#")
        if block and not (own_line and token.start[0] == last + 1):
            yield Text(start, "comment", without_code("\n".join(block)))
            block = []
        if not block:
            start = token.start[0]
        block.append(token.string.lstrip("# "))
        last = token.start[0]
    if block:
        yield Text(start, "comment", without_code("\n".join(block)))


def _hash_comments(content: str) -> Iterator[Text]:
    """What follows a "#" in .env.example, the Makefile and pyproject.toml."""
    lines = [line.partition("#")[2] if "#" in line else "" for line in content.splitlines()]
    yield Text(1, "comment", without_code("\n".join(lines)))
