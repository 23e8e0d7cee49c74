"""`python -m services._local`: the moment before the launcher listens to signals."""

import runpy
import sys
from types import ModuleType

import pytest


def test_ctrl_c_during_the_start_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code of an interrupted command."""

    def main(*, live: bool) -> int:
        raise KeyboardInterrupt

    launcher = ModuleType("services._local.launcher")
    launcher.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "services._local.launcher", launcher)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("services._local", run_name="__main__")
    assert stopped.value.code == 130
