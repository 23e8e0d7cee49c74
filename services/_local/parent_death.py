"""Makes child processes end with their parent."""

import shutil


def exit_with_parent() -> list[str]:
    """The command prefix by which a process gets SIGTERM when its parent dies, even by SIGKILL.

    It uses `setpriv` of util-linux, which every Debian has; the prefix is empty without it.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
