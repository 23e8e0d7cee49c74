"""Run folders: one for each run, the last few kept, those in use never touched."""

import os
from pathlib import Path

from services._local.run_folder import MAX_RUN_FOLDERS, fresh_run_folder

# No process has this id: it is beyond Linux's largest.
NOBODY = 2**22 + 1


def test_the_oldest_of_finished_runs_go(tmp_path: Path) -> None:
    """The new one counts among those that are kept."""
    old = [tmp_path / f"run-20260101-00000{n}-{NOBODY}" for n in range(8)]
    for folder in old:
        (folder / "redis").mkdir(parents=True)
    fresh = fresh_run_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == [*old[-(MAX_RUN_FOLDERS - 1) :], fresh]


def test_a_run_that_goes_on_is_never_removed(tmp_path: Path) -> None:
    """However old it is."""
    running = tmp_path / f"run-20200101-000000-{os.getpid()}"
    for folder in (running, *(tmp_path / f"run-20260101-00000{n}-{NOBODY}" for n in range(8))):
        folder.mkdir()
    fresh_run_folder(tmp_path)
    assert running.exists()


def test_folders_that_are_not_runs_are_kept(tmp_path: Path) -> None:
    """Other files in the folder are someone else's."""
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):
        for folder in tmp_path.glob("run-*"):
            folder.rename(tmp_path / f"kept-{folder.name}")
        fresh_run_folder(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
