"""Luno's lists of orders, page by page: none is missed, and none asked for in vain."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RejectedError
from services._connector_kit.instruments import Instrument
from services._connector_kit.rate_limit import Priority
from services._connector_kit.venue_stats import SocketStats
from services.luno_connector.account import LunoAccount
from services.luno_connector.accounts import Accounts
from services.luno_connector.rest_orders import OrderRest
from services.luno_connector.settings import LunoSettings
from tests.support.venues.limits import venue_limits
from tests.support.venues.listings import listing

XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)
NOW = 1_700_000_000_000
MINUTE = 60_000
PLACED = Priority.RESOLVE
LATER = Priority.BALANCES


def order(order_id: str, created: int, **fields: Any) -> dict[str, Any]:
    """A cancelled order, as Luno lists it."""
    row = {
        "order_id": order_id,
        "client_order_id": f"c-{order_id}",
        "pair": "XBTZAR",
        "side": "BUY",
        "status": "COMPLETE",
        "limit_volume": "0.5",
        "base": "0",
        "counter": "0",
        "creation_timestamp": created,
    }
    return row | fields


class Lists:
    """Luno, as far as its lists go."""

    def __init__(self, *closed: dict[str, Any], still_open: int = 0) -> None:
        self.sdk: Any = self
        self.limits = venue_limits(300)
        self.closed = closed
        self.open = [order(f"open-{n}", NOW - n, status="PENDING") for n in range(still_open)]
        self.asked: list[tuple[bool, int | None, Priority]] = []
        self.unlisted: set[str | None] = set()

    async def milliseconds(self) -> int:
        """Luno's time."""
        return NOW

    async def send_once(self, request: Callable[[], Any]) -> Any:
        """Nothing is sent here."""
        raise AssertionError(request)

    async def call(self, request: Callable[[], Any], priority: Priority = Priority.DATA) -> Any:
        """Answer, and remember what was asked for how urgently."""
        found, closed, before = request()
        self.asked.append((closed, before, priority))
        return found

    def list_orders_v2(
        self, *, closed: bool, pair: str | None, limit: int, created_before: int | None
    ) -> Any:
        """`GET /api/exchange/2/listorders`: newest first, those created before a moment."""
        assert pair in (None, "XBTZAR")
        if pair in self.unlisted:
            raise RejectedError("no such pair", code="ErrInvalidMarketPair")
        assert limit <= 1000
        rows = [
            row
            for row in (self.closed if closed else self.open)
            if created_before is None or row["creation_timestamp"] < created_before
        ]
        rows.sort(key=lambda row: row["creation_timestamp"], reverse=True)
        return {"orders": rows[:limit]}, closed, created_before


def history(count: int, apart: int = 1000) -> list[dict[str, Any]]:
    """So many closed orders, one every *apart* milliseconds back from now."""
    return [order(f"{n}", NOW - n * apart) for n in range(count)]


async def test_closed_orders_are_paged_back_to_the_moment_that_matters() -> None:
    """And no page further; the older pages let orders go first."""
    luno = Lists(*history(5000))
    found = await OrderRest(luno, listing(XBT), Accounts({})).orders(NOW - 2_500_000, XBT)
    wanted = {str(n) for n in range(2501)}
    assert wanted <= {row.order_id for row in found}
    asked = [(before, priority) for closed, before, priority in luno.asked if closed]
    assert asked[0] == (None, PLACED)
    assert [priority for _, priority in asked[1:]] == [LATER, LATER]


async def test_one_page_is_enough_where_little_happened() -> None:
    """One call for the open orders, one for the closed ones."""
    luno = Lists(*history(1000))
    assert len(await OrderRest(luno, listing(XBT), Accounts({})).orders(NOW - 500_000, XBT)) == 1000
    assert luno.asked == [(False, None, PLACED), (True, None, PLACED)]


async def test_all_open_orders_are_listed_however_many() -> None:
    """An order beyond the first page isn't taken for a closed one."""
    luno = Lists(still_open=2300)
    assert len(await OrderRest(luno, listing(XBT), Accounts({})).open_orders()) == 2300


@pytest.mark.parametrize("at_once", [2, 7, 999])
async def test_orders_of_one_moment_may_lie_on_two_pages(at_once: int) -> None:
    """None of them is missed, and none told twice."""
    rows = [order(f"{n}", NOW - n // at_once) for n in range(2500)]
    found = await OrderRest(Lists(*rows), listing(XBT), Accounts({})).orders(0, XBT)
    assert sorted(int(row.order_id) for row in found) == list(range(2500))


async def test_a_page_without_a_new_order_is_the_last() -> None:
    """More of one moment than a page holds can't be told apart: it doesn't ask for ever."""
    luno = Lists(*(order(f"{n}", NOW) for n in range(1500)))
    assert len(await OrderRest(luno, listing(XBT), Accounts({})).orders(0, XBT)) == 1000
    assert len(luno.asked) == 3


async def test_a_comparison_finds_all_that_closed_since_the_last_one() -> None:
    """Also those that were created just before it, and more than one page of them."""
    rows = [order(f"{n}", NOW - n * 10, completed_timestamp=NOW + 1) for n in range(3000)]
    luno = Lists(*rows, order("old", NOW - 10 * MINUTE, completed_timestamp=NOW - 9 * MINUTE))
    settings = LunoSettings.model_construct(
        luno_stream_url="ws://127.0.0.1",
        luno_api_key_id=SecretStr("key"),
        luno_api_secret_key=SecretStr("secret"),
    )
    listed = listing(XBT)
    rest = OrderRest(luno, listed, Accounts({}))
    account = LunoAccount(rest, VenueClock(), settings, listed, SocketStats())
    found, mark = await account.traded_since(str(NOW))
    assert {trace.order_id for trace in found} == {f"{n}" for n in range(3000)}
    assert mark == str(NOW + 1)


async def test_a_pair_that_luno_lists_no_longer_has_no_orders_and_stops_no_comparison() -> None:
    """What is known of there is asked for by its id; a search goes through all pairs."""
    luno = Lists(order("1", NOW), still_open=1)
    luno.unlisted = {"XBTZAR"}
    rest = OrderRest(luno, listing(XBT), Accounts({}))
    assert await rest.open_orders() == []
    assert await rest.recently_closed(NOW - MINUTE) == []
    assert {row.order_id for row in await rest.orders(NOW - MINUTE, None)} == {"1", "open-0"}
