"""How much memory a process takes, by /proc."""

import re
from pathlib import Path

MB = 1 << 20
# `mem_limit` of each service's container, which a test of the compose files holds it to.
CONTAINER = 512 * MB


def forget_peak(pid: int) -> int:
    """Let the peak begin anew; what the process takes now, in bytes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _field(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most that it took since `forget_peak`, in bytes."""
    return _field(pid, "VmHWM")


def _field(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, name
    return int(found[1]) * 1024
