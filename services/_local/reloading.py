"""Restarts a process when a file of its plugins changes."""

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from services._local.processes import ManagedProcess
from services._local.settings import ROOT
from services._local.terminal import print_message

POLL_INTERVAL = 0.5
IMPORT_TIMEOUT = 30.0
# Imports each dotted path, as the process will.
_IMPORT_CHECK = """
import importlib, sys
for path in sys.argv[1:]:
    module, _, name = path.rpartition(".")
    getattr(importlib.import_module(module), name)
"""

FileStates = Mapping[Path, tuple[int, int]]


def plugin_paths(environment: Mapping[str, str], variable: str) -> list[str]:
    """The dotted paths in STRATEGIES or INDICATOR_PLUGINS: `my_strategies.Dip`."""
    entries = environment.get(variable, "").split(",")
    names = (entry.partition(":")[0].strip() for entry in entries)
    return sorted({name for name in names if "." in name})


def plugin_files(paths: Iterable[str], folders: Iterable[Path]) -> list[Path]:
    """The files of these plugins: their packages, or their modules and those in the same folder."""
    files: set[Path] = set()
    for top in {path.partition(".")[0] for path in paths}:
        for folder in folders:
            if (folder / top).is_dir():
                files.update((folder / top).rglob("*.py"))
            elif (folder / f"{top}.py").is_file():
                files.update(folder.glob("*.py"))
    return sorted(files)


async def reload_on_change(
    process: ManagedProcess, variable: str, environment: Mapping[str, str]
) -> None:
    """Restart *process* when a file of a plugin in *variable* changes; runs until cancelled.

    If the new code can't be imported, the process continues with the old code.
    """
    paths = plugin_paths(environment, variable)
    folders = _folders(environment)
    seen = _snapshot(paths, folders)
    while paths:
        await asyncio.sleep(POLL_INTERVAL)
        now = _snapshot(paths, folders)
        if now == seen:
            continue
        changed = sorted({path.name for path, _ in now.items() ^ seen.items()})
        seen = now
        if fault := await _import_error(paths, environment, process.log.parent):
            print_message(
                f"{', '.join(changed)} changed: {process.name} continues with the old code. {fault}"
            )
        else:
            print_message(f"{', '.join(changed)} changed: restarting {process.name}.")
            await process.reload()


def _folders(environment: Mapping[str, str]) -> list[Path]:
    """The folders in which a process finds modules: this project, and those of PYTHONPATH."""
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    return [ROOT, *(Path(folder).absolute() for folder in given if folder)]


def _snapshot(paths: Iterable[str], folders: Iterable[Path]) -> FileStates:
    seen = {}
    for path in plugin_files(paths, folders):
        try:
            found = path.stat()
        except FileNotFoundError:  # an editor is replacing the file
            continue
        seen[path] = found.st_mtime_ns, found.st_size
    return seen


async def _import_error(paths: Iterable[str], environment: Mapping[str, str], folder: Path) -> str:
    """The error of importing the code, with file and line; empty if it can be imported."""
    trial = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IMPORT_CHECK, *paths),
        cwd=folder,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(IMPORT_TIMEOUT):
            _, errors = await trial.communicate()
    except TimeoutError:
        return f"It can't be imported within {IMPORT_TIMEOUT:.0f} s."
    finally:
        if trial.returncode is None:
            trial.kill()
            await trial.wait()
    if trial.returncode == 0:
        return ""
    lines = errors.decode(errors="replace").splitlines()
    where = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    return "; ".join([*lines[-1:], *where[-1:]])
