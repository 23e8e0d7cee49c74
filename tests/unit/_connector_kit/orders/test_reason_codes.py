"""Every reason for which a command is refused stands in the connectors' READMEs."""

import re
from pathlib import Path

import pytest

import services

SERVICES = Path(services.__file__).parent
REASON = re.compile(r'(?:Rejection|Outcome)\(\s*(?:"rejected",\s*)?"([a-z_]+)"')
# Those that the code puts together or passes on.
OTHERS = {"quantity_out_of_bounds", "price_out_of_bounds", "exchange_rejected", "invalid_command"}
# Those that the other one has no cause for.
OF_BINANCE = {"percent_price", "notional_out_of_bounds"}
OF_LUNO = {"post_only_mode"}


def reasons(*folders: str) -> set[str]:
    """The reason codes that the code in these folders names."""
    found = set(OTHERS)
    for folder in folders:
        for module in (SERVICES / folder).rglob("*.py"):
            found |= set(REASON.findall(module.read_text()))
    return found - {"done", "unknown"}


@pytest.mark.parametrize("connector", ["binance_connector", "luno_connector"])
def test_the_readme_has_every_reason_code(connector: str) -> None:
    """And says when it is given."""
    wanted = reasons("_connector_kit/orders", connector)
    assert len(wanted) > 20
    wanted -= OF_BINANCE if connector == "luno_connector" else OF_LUNO
    words = set(re.findall(r"`([a-z_]+)`", (SERVICES / connector / "README.md").read_text()))
    assert wanted - words == set()
