"""Which of Luno's accounts is meant where an asset has several: `LUNO_ACCOUNTS` names them.

Without a name orders use Luno's default account, which no call returns, and a balance is the sum.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from services._connector_kit.errors import RejectedError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.venue import Balance
from services.luno_connector import translate_orders

log = structlog.get_logger()


class Accounts:
    """The accounts that orders and balances are of, by asset; *named* is the setting."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = named
        self._told: set[str] = set()

    def of_order(self, instrument: Instrument) -> dict[str, int]:
        """What an order of *instrument* names: both of its accounts, one, or none."""
        both = (("base_account_id", instrument.base), ("counter_account_id", instrument.quote))
        return {name: int(self._named[asset]) for name, asset in both if asset in self._named}

    def balances(self, rows: Sequence[Mapping[str, Any]]) -> list[Balance]:
        """The balances of `GET /api/1/balance` that orders are taken from.

        Raises:
            RejectedError: an account that the setting names isn't there.
        """
        by_asset: dict[str, list[str]] = {}
        for row in rows:
            by_asset.setdefault(str(row["asset"]), []).append(_account(row))
        for asset, name in self._named.items():
            there = by_asset.get(asset, [])
            if name not in there:
                known = ", ".join(there) or "none"
                raise RejectedError(
                    f"LUNO_ACCOUNTS names {asset}:{name}; the accounts of {asset} are: {known}"
                )
        for asset in by_asset.keys() - self._named.keys() - self._told:
            if len(by_asset[asset]) > 1:
                self._told.add(asset)
                log.warning(
                    "asset_has_several_accounts",
                    asset=asset,
                    accounts=by_asset[asset],
                    meaning="its balance is their sum, and orders use Luno's default account",
                    want="the one to trade with in LUNO_ACCOUNTS",
                )
        return translate_orders.balances([row for row in rows if self._is_ours(row)])

    def _is_ours(self, row: Mapping[str, Any]) -> bool:
        return self._named.get(str(row["asset"]), _account(row)) == _account(row)


def _account(row: Mapping[str, Any]) -> str:
    return str(row.get("account_id", ""))
