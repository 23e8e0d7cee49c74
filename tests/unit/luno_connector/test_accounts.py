"""Which of Luno's accounts is meant, where an asset has several."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from services._connector_kit.errors import RejectedError
from services._connector_kit.instruments import Instrument
from services.luno_connector.accounts import Accounts

XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)


def row(asset: str, account: int, balance: str) -> dict[str, Any]:
    """One of `GET /api/1/balance`, where ids are text."""
    return {
        "account_id": str(account),
        "asset": asset,
        "balance": balance,
        "reserved": "0.5",
        "unconfirmed": "0.00",
        "name": "anything",
    }


ROWS = [row("XBT", 1, "2"), row("ZAR", 2, "100"), row("ZAR", 3, "1000"), row("ETH", 4, "8")]


def told(accounts: Accounts) -> dict[str, tuple[float, float]]:
    """Free and locked of each asset."""
    return {b.asset: (float(b.free), float(b.locked)) for b in accounts.balances(ROWS)}


@pytest.mark.parametrize(
    ("named", "params"),
    [
        ({}, {}),
        ({"ZAR": "3"}, {"counter_account_id": 3}),
        ({"XBT": "1", "ZAR": "3", "ETH": "4"}, {"base_account_id": 1, "counter_account_id": 3}),
    ],
)
def test_an_order_names_the_accounts_that_the_setting_names(
    named: dict[str, str], params: dict[str, int]
) -> None:
    """Of its own two assets."""
    assert Accounts(named).of_order(XBT) == params


def test_a_balance_is_of_the_account_that_orders_use() -> None:
    """Not of the other ones of the same asset."""
    with capture_logs() as logs:
        found = told(Accounts({"ZAR": "3"}))
    assert found == {"XBT": (1.5, 0.5), "ZAR": (999.5, 0.5), "ETH": (7.5, 0.5)}
    assert logs == []


def test_without_a_name_it_is_the_sum_and_that_is_said_once() -> None:
    """With the accounts that there are."""
    accounts = Accounts({})
    with capture_logs() as logs:
        for _ in range(3):
            assert told(accounts)["ZAR"] == (1099.0, 1.0)
    (line,) = logs
    assert (line["asset"], line["accounts"]) == ("ZAR", ["2", "3"])
    assert "LUNO_ACCOUNTS" in line["want"]


@pytest.mark.parametrize(
    ("asset", "account", "known"), [("ZAR", "4", "2, 3"), ("EUR", "1", "none")]
)
def test_an_account_that_is_not_there_is_named_with_those_that_are(
    asset: str, account: str, known: str
) -> None:
    """Nothing is published of any: orders would be refused."""
    with pytest.raises(RejectedError, match=f"{asset}:{account}.*are: {known}"):
        told(Accounts({asset: account}))
