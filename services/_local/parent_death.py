"""Processes that don't outlive the one that started them."""

import shutil


def exit_with_parent() -> list[str]:
    """What to put before a command so that it gets SIGTERM when its parent dies, even by SIGKILL.

    util-linux brings the tool, so any Debian has it; without it nothing is put before.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
