"""Check the English of the project: `python -m tests.english [PATH ...]`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.english.rules import Finding, Style, load
from tests.english.texts import of_file

ROOT = Path(__file__).parents[2]


def files_of(globs: Iterable[str], root: Path = ROOT) -> set[str]:
    """The files that *globs* name, as paths from *root*."""
    found = (path for glob in globs for path in root.glob(glob))
    return {str(path.relative_to(root)) for path in found if path.is_file()}


def check(style: Style, paths: Iterable[str], root: Path = ROOT) -> list[Finding]:
    """Every break of a rule in the files *paths*."""
    return [
        finding
        for path in sorted(paths)
        for finding in style.findings(path, of_file(root / path, path))
    ]


def chosen(style: Style, arguments: list[str], everything: bool) -> set[str]:
    """The files to check: those under *arguments*, else all that aren't listed as unclean."""
    all_files = files_of(style.checked) - files_of(style.never)
    if arguments:
        given = [Path(argument).resolve() for argument in arguments]
        return {p for p in all_files if any((ROOT / p).is_relative_to(g) for g in given)}
    return all_files if everything else all_files - files_of(style.unclean)


def main() -> int:
    """0 if no rule is broken, else 1, with one line for each break."""
    parser = argparse.ArgumentParser(prog="python -m tests.english", description=__doc__)
    parser.add_argument("paths", nargs="*", help="files or folders, listed as unclean or not")
    parser.add_argument("--all", action="store_true", help="files listed as unclean too")
    options = parser.parse_args()
    style = load()
    paths = chosen(style, options.paths, options.all)
    findings = check(style, paths)
    sys.stdout.writelines(f"{finding}\n" for finding in findings)
    sys.stdout.write(f"English: {len(paths)} files, {len(findings)} findings\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
