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
    assert {"/".join(Path(m.path).parts[-2:]) for m in MUTANTS} >= {
        *("commands/place_order_consumer.py", "commands/data_loss.py", "commands/answers.py"),
        *("commands/parse.py", "commands/redis_command_queue.py", "commands/stream_trimming.py"),
        *("execution/order_executor.py", "execution/identity.py", "execution/record.py"),
        *("execution/late_order_watch.py", "execution/no_credentials.py"),
        "execution/redis_journal.py",
        "execution/validation.py",
        *(
            "account/ledger.py",
            "account/order_status.py",
            "account/reconciler.py",
            "commands/request_consumer.py",
            "commands/cancel_order.py",
            "commands/cancel_all.py",
            "risk/pre_trade_risk.py",
            "execution/rules.py",
        ),
        *("commands/dead_man_switch.py", "account/published_balances.py"),
        *("binance_connector/orders.py", "luno_connector/orders.py"),
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
        mutant("a bug", "commands/place_order_consumer.py", old, new).applied_to("x = 1\ny = 1\n")


def test_the_tests_that_mirror_a_file_come_first() -> None:
    """They say most about it, soonest."""
    assert tiers("services/_connector_kit/orders/commands/place_order_consumer.py")[0] == (
        "unit, its own",
        [
            f"tests/unit/_connector_kit/orders/commands/test_{name}.py"
            for name in ("place_order_consumer", "place_order_consumer_waits")
        ],
    )
    assert (
        tiers("services/_connector_kit/orders/commands/redis_command_queue.py")[0][0]
        == "server, its own"
    )
    assert all(
        (ROOT / path).exists() for m in MUTANTS for _, paths in tiers(m.path) for path in paths
    )
