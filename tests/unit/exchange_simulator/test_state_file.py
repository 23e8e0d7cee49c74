"""The accounts on disk: the content of a state file, and invalid files."""

from pathlib import Path

import pytest

from services._runtime.lifecycle import FatalError
from services.exchange_simulator.account import FeeRates
from services.exchange_simulator.account_order import NewOrder
from services.exchange_simulator.state_file import StateFile
from tests.unit.exchange_simulator.floors import BTC, ETH, Floor

BNB = "BNB/USDT"


def opened(path: Path, *symbols: str) -> tuple[Floor, StateFile]:
    """An account whose changes the file records."""
    file = StateFile(path)
    floor = Floor(*(symbols or (BTC,)), begin=file.read())
    file.restore_and_follow({"binance": floor.account})
    return floor, file


def buy(floor: Floor, client_id: str, price: int = 6_000_000) -> None:
    """0.1 BTC."""
    floor.account.place(NewOrder(BTC, client_id, "limit", "buy", 10_000, price))


def trade(floor: Floor) -> None:
    """Orders that are open, filled, half filled, and cancelled under another client id."""
    floor.others(BTC, "sell", "61000.00", "0.15")
    for name in ("filled", "half"):
        buy(floor, name, 6_100_000)
    for name in ("open", "cancelled"):
        buy(floor, name)
    floor.account.cancel(floor.order("cancelled"), "renamed")


def test_a_fee_in_a_third_asset_is_written_too(tmp_path: Path) -> None:
    """The line of the order includes its balance."""
    path = tmp_path / "state.jsonl"
    funds = {"BNB": "1"}
    before = Floor(BTC, BNB, funds=funds)
    before.account.fees = FeeRates(maker=90_000, taker=100_000, discount_asset="BNB")
    file = StateFile(path)
    file.restore_and_follow({"binance": before.account})
    before.others(BTC, "sell", "60000.00", "1")
    buy(before, "mine", 6_000_000)
    file.close()
    again, file = opened(path, BTC, BNB)
    file.close()
    assert again.free("BNB") == before.free("BNB") < 10**8


def test_a_written_state_is_restored(tmp_path: Path) -> None:
    """Orders with their fills, balances with their holds, and the book; after two restarts."""
    path = tmp_path / "deep" / "state.jsonl"
    first, file = opened(path)
    trade(first)
    file.close()
    for _ in range(2):
        again, file = opened(path)
        assert again.account.orders == first.account.orders
        assert again.account.balances == first.account.balances
        assert [o.client_id for o in again.account.open_orders()] == ["half", "open"]
        assert again.markets[BTC].engine.best()[0] == (6_100_000, 5_000)
        assert again.account.by_client_id("renamed")[0].asked.client_id == "cancelled"
        file.close()


def test_a_torn_last_line_is_ignored(tmp_path: Path) -> None:
    """Later changes follow the last complete line."""
    path = tmp_path / "state.jsonl"
    floor, file = opened(path)
    buy(floor, "whole")
    written = path.read_bytes()
    buy(floor, "torn")
    file.close()
    torn = path.read_bytes()[: len(written) + 40]
    path.write_bytes(torn)
    again, file = opened(path)
    assert [order.client_id for order in again.account.orders.values()] == ["whole"]
    assert again.account.balances["USDT"].held == 6_000 * 10**8
    buy(again, "next")
    file.close()
    last, file = opened(path)
    assert [order.client_id for order in last.account.orders.values()] == ["whole", "next"]
    file.close()


def test_ids_are_new_even_if_the_clock_stands_still(tmp_path: Path) -> None:
    """Orders and trades of a second run have larger ids than those of the first."""
    path = tmp_path / "state.jsonl"
    first, file = opened(path)
    trade(first)
    file.close()
    second, file = opened(path)
    second.others(BTC, "sell", "61000.00", "0.2")
    buy(second, "later", 6_100_000)
    file.close()
    old, new = first.account.orders.values(), second.order("later")
    assert new.order_id > max(order.order_id for order in old)
    assert new.fills[0].trade_id > max(fill.trade_id for order in old for fill in order.fills)


def test_each_step_is_one_line(tmp_path: Path) -> None:
    """A taker with two fills is written whole."""
    path = tmp_path / "state.jsonl"
    floor, file = opened(path)
    floor.others(BTC, "sell", "60000.00", "0.05")
    floor.others(BTC, "sell", "60000.00", "0.05")
    before = path.read_bytes().count(b"\n")
    buy(floor, "two fills")
    assert path.read_bytes().count(b"\n") == before + 1
    file.close()


def test_an_invalid_file_is_one_clear_error(tmp_path: Path) -> None:
    """It names the setting, the file and the line."""
    path = tmp_path / "state.jsonl"
    path.write_text('{"venue":"binance"}\nnonsense\n')
    with pytest.raises(FatalError, match=r"SIMULATOR_STATE_FILE=.*line 2 can't be read"):
        opened(path)
    with pytest.raises(FatalError, match="expected a file that can be read and written"):
        opened(tmp_path)


def test_open_orders_require_their_market(tmp_path: Path) -> None:
    """The error names the symbols that must be open."""
    path = tmp_path / "state.jsonl"
    floor, file = opened(path, BTC, ETH)
    buy(floor, "open")
    file.close()
    with pytest.raises(FatalError, match="open orders of BTC/USDT; expected SIMULATOR_SYMBOLS"):
        opened(path, ETH)
