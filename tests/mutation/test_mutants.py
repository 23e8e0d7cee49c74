"""The mutants still fit the code: a list of bugs that can't be planted would prove nothing."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.mutant import ROOT, Mutant, StaleMutantError, mutant
from tests.mutation.mutants import MUTANTS
from tests.mutation.run import tiers


@pytest.mark.parametrize("bug", MUTANTS, ids=lambda bug: f"{Path(bug.path).name}: {bug.name}")
def test_a_mutant_still_fits_the_code(bug: Mutant) -> None:
    """Its old texts occur once each, and what comes out is Python that says something else."""
    source = (ROOT / bug.path).read_text()
    assert bug.applied_to(source) != source


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    """Within one file."""
    assert len(MUTANTS) >= 100
    assert [
        name for name, count in Counter((m.path, m.name) for m in MUTANTS).items() if count > 1
    ] == []


def test_every_file_of_the_order_path_has_mutants() -> None:
    """What decides about orders: the connectors' rules of proof, too."""
    assert {Path(m.path).name for m in MUTANTS} >= {
        *("desk.py", "placing.py", "memory.py", "identity.py", "record.py", "answers.py"),
        *("parse.py", "ghosts.py", "keyless.py", "redis_bus.py", "redis_journal.py", "trimming.py"),
        *(
            "ledger.py",
            "bookkeeping.py",
            "account.py",
            "requests.py",
            "cancels.py",
            "cancel_all.py",
            "gate.py",
            "rules.py",
        ),
        *("dead_man.py", "orders.py", "balances.py"),
    }


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("x = 2", "x = 3", "0 times"),
        ("1", "2", "2 times"),
        ("x = 1", "x =", "doesn't compile"),
        ("x = 1", "x = 1  # the same", "says the same"),
    ],
)
def test_a_mutant_that_no_longer_fits_is_noticed(old: str, new: str, fault: str) -> None:
    """Rather than run as if it were one."""
    with pytest.raises(StaleMutantError, match=fault):
        mutant("a bug", "desk.py", old, new).applied_to("x = 1\ny = 1\n")


def test_the_tests_that_mirror_a_file_come_first() -> None:
    """They say most about it, soonest."""
    assert tiers("services/_connector_kit/orders/desk.py")[0] == (
        "unit, its own",
        [f"tests/unit/_connector_kit/orders/test_{name}.py" for name in ("desk", "desk_waits")],
    )
    assert tiers("services/_connector_kit/orders/redis_bus.py")[0][0] == "server, its own"
    assert all(
        (ROOT / path).exists() for m in MUTANTS for _, paths in tiers(m.path) for path in paths
    )
