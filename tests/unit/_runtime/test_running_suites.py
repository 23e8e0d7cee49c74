"""What runs in a folder is known there while it runs."""

import os
from pathlib import Path

from services._runtime.running_suites import (
    SUITE_RECORD,
    RunningSuite,
    find_running_suites,
    record_suite,
)

# No process has this id: it is beyond Linux's largest.
NOBODY = 2**22 + 1
RUN = RunningSuite("redis://127.0.0.1:6380/0", {"bot": "http://127.0.0.1:8000"})


def folder_of(data: Path, process: int, second: int = 0) -> Path:
    """A run's folder."""
    folder = data / f"run-20260101-00000{second}-{process}"
    folder.mkdir(parents=True)
    return folder


def test_a_run_is_known_while_its_launcher_runs(tmp_path: Path) -> None:
    """What others left behind is not."""
    assert find_running_suites(tmp_path) == []
    record_suite(folder_of(tmp_path, NOBODY), RUN)
    assert find_running_suites(tmp_path) == []
    record_suite(folder_of(tmp_path, os.getpid()), RUN)
    assert find_running_suites(tmp_path) == [RUN]


def test_a_run_that_is_just_starting_is_not_known_yet(tmp_path: Path) -> None:
    """Its file isn't there, or isn't whole."""
    folder_of(tmp_path, os.getpid())
    (folder_of(tmp_path, os.getpid(), 1) / SUITE_RECORD).write_text('{"redis_url":')
    record_suite(folder_of(tmp_path, os.getpid(), 2), RUN)
    assert find_running_suites(tmp_path) == [RUN]
