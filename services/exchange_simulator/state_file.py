"""The accounts on disk: a line for each change, so that a killed simulator restores them.

A line contains all orders and balances that one step of a market changed. It is written to the
operating system before the request is answered, so it survives a SIGKILL. Only the last line can
be torn, and its request was never answered.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from services._runtime.lifecycle import FatalError
from services.exchange_simulator.account import AccountBalance, SimulatedAccount
from services.exchange_simulator.account_order import AccountOrder
from services.exchange_simulator.instruments import Venue
from services.exchange_simulator.market import IDS_PER_MS


class StateChange(msgspec.Struct, omit_defaults=True):
    """One line: the changed orders and balances of a venue."""

    venue: Venue
    orders: list[AccountOrder] = []
    balances: dict[str, AccountBalance] = {}


class StateFile:
    """The file at *path*; created if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._known: dict[Venue, StateChange] = {}

    def read(self) -> int:
        """Read the file; returns the Unix ms after which all ids are new, whatever the clock.

        Raises:
            FatalError: the file can't be read, or is malformed.
        """
        try:
            self._known = self._read()
        except OSError as e:
            raise self._unusable(e) from e
        orders = [order for change in self._known.values() for order in change.orders]
        ids = [order.order_id for order in orders]
        ids += [fill.trade_id for order in orders for fill in order.fills]
        return max(ids, default=0) // IDS_PER_MS + 1

    def restore_and_follow(self, accounts: Mapping[Venue, SimulatedAccount]) -> None:
        """Restore the accounts from the file, compact it, and append every later change.

        Raises:
            FatalError: the file can't be written, or has open orders of symbols that are closed.
        """
        for venue, change in self._known.items():
            self._check_symbols(accounts[venue], change)
            accounts[venue].restore(change.orders, change.balances)
        self._known = {}
        try:
            self._rewrite(accounts)
            self._file = self._path.open("ab", buffering=0)
        except OSError as e:
            raise self._unusable(e) from e
        for venue, account in accounts.items():
            account.on_orders_changed(self._writer(venue, account))

    def _unusable(self, error: OSError) -> FatalError:
        return FatalError(
            f"SIMULATOR_STATE_FILE={self._path}: {error.strerror or error}; "
            "expected a file that can be read and written"
        )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _writer(
        self, venue: Venue, account: SimulatedAccount
    ) -> Callable[[list[AccountOrder]], None]:
        def write(orders: list[AccountOrder]) -> None:
            balances = {asset: account.balances[asset] for asset in _assets(orders)}
            if self._file is not None:
                self._file.write(_line(StateChange(venue, orders, balances)))

        return write

    def _read(self) -> dict[Venue, StateChange]:
        """The last state of everything, by venue; orders in their order of arrival."""
        if not self._path.exists():
            return {}
        known: dict[Venue, StateChange] = {}
        orders: dict[tuple[Venue, str, int], AccountOrder] = {}
        lines = self._path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):  # text after the last "\n" is torn
            try:
                change = msgspec.json.decode(line, type=StateChange)
            except msgspec.MsgspecError as e:
                raise FatalError(
                    f"SIMULATOR_STATE_FILE={self._path}: line {number} can't be read ({e}); "
                    "expected a file written by this simulator, or none"
                ) from e
            merged = known.setdefault(change.venue, StateChange(change.venue))
            merged.balances |= change.balances
            for order in change.orders:
                orders[(change.venue, order.asked.symbol, order.order_id)] = order
        for (venue, _, _), order in orders.items():
            known[venue].orders.append(order)
        return known

    def _check_symbols(self, account: SimulatedAccount, change: StateChange) -> None:
        missing = {
            order.asked.symbol
            for order in change.orders
            if order.state == "open" and order.asked.symbol not in account.markets
        }
        if missing:
            raise FatalError(
                f"SIMULATOR_STATE_FILE={self._path}: has open orders of "
                f"{', '.join(sorted(missing))}; expected SIMULATOR_SYMBOLS to include them"
            )

    def _rewrite(self, accounts: Mapping[Venue, SimulatedAccount]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            for venue, account in accounts.items():
                orders = list(account.orders.values())
                file.write(_line(StateChange(venue, orders, account.balances)))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _assets(orders: list[AccountOrder]) -> set[str]:
    return {a for o in orders for a in (o.instrument.base, o.instrument.quote, *o.fees())}


def _line(change: StateChange) -> bytes:
    return msgspec.json.encode(change) + b"\n"
