"""`python -m tests.simulation`: what it prints, and how it ends."""

import subprocess
import sys


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished command."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_a_clean_run_prints_its_table_and_ends_well() -> None:
    """Exit code 0, and every world counted."""
    done = run("--worlds", "20", "--jobs", "1")
    assert done.returncode == 0
    total = next(line for line in done.stdout.splitlines() if line.startswith("total "))
    assert total.split()[1] == "20"
    assert total.split()[3] == "0"


def test_a_broken_promise_is_shown_with_the_command_that_replays_it() -> None:
    """Exit code 1, and the replay of the failing seed shows the same broken promise."""
    bug = ("--bug", "rejected on timeout")
    done = run("--worlds", "10", "--jobs", "1", "--seed", "104", *bug)
    assert done.returncode == 1
    assert "--trace --seed 104" in done.stdout
    replayed = run("--trace", "--seed", "104", *bug)
    assert replayed.returncode == 1
    assert "EVIDENCE" in replayed.stdout
