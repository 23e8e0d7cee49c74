"""Orders by hand through the real connectors: placed, asked again, cancelled, explained."""

from uuid import uuid4

import pytest

from tests.integration.tradectl.hand import Ended, tradectl
from tests.support.eventually import eventually_async
from tests.support.orders.trading import TradingDesk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


async def by_hand(desk: TradingDesk, *arguments: str) -> Ended:
    """`tradectl ARGUMENTS` on the desk's Redis."""
    return await tradectl(desk.redis_url, *arguments)


def limit(desk: TradingDesk, price: float) -> tuple[str, ...]:
    """The arguments of a small buy at a price."""
    venue, market = desk.market.venue.exchange, desk.market
    return (venue, "buy", market.symbol.lower(), str(market.quantity), "--price", str(price))


async def test_an_order_is_placed_once_however_often_it_is_placed_and_can_be_cancelled(
    desk: TradingDesk,
) -> None:
    """The id is told first; with it the command is safe to repeat; and it is listed while open."""
    arguments = limit(desk, await desk.far_below())
    placed = await by_hand(desk, "place", *arguments, "--json")
    assert placed.code == 0, placed
    order_id = placed.json["client_order_id"]
    assert f"client_order_id {order_id}\n" in placed.err
    assert (placed.json["outcome"], placed.json["response"]["replay"]) == ("accepted", False)
    again = await by_hand(desk, "place", *arguments, "--id", order_id, "--json")
    assert again.code == 0, again
    assert again.json["response"]["replay"] is True
    assert again.json["response"]["order_id"] == placed.json["response"]["order_id"]
    assert await desk.arrivals(order_id) == 1
    await desk.status(order_id, "open")
    listed = await by_hand(desk, "orders", "--symbol", desk.market.symbol, "--json")
    (mine,) = [each for each in listed.json if each["client_order_id"] == order_id]
    assert (mine["status"], mine["side"], mine["filled"]) == ("open", "buy", 0.0)
    assert mine["quantity"] == desk.market.quantity
    canceled = await by_hand(desk, "cancel", order_id, "--json")
    assert canceled.code == 0, canceled
    assert [answer["status"] for answer in canceled.json] == ["done"]
    left = await by_hand(desk, "orders")
    assert order_id not in left.out
    assert order_id in (await by_hand(desk, "orders", "--all")).out
    (order,) = await desk.at_venue(order_id)
    assert order["state"] == "canceled"
    waited = await by_hand(desk, "place", *arguments, "--id", order_id, "--wait", "--json")
    assert (waited.code, waited.json["outcome"]) == (1, "canceled")


async def test_other_content_under_the_same_id_is_refused(desk: TradingDesk) -> None:
    """Exit code 1, and the reason for programs."""
    order_id = uuid4().hex
    price = await desk.far_below()
    first = await by_hand(desk, "place", *limit(desk, price), "--id", order_id)
    assert first.code == 0, first
    assert "accepted" in first.out
    other = limit(desk, desk.on_tick(price * 0.9))
    second = await by_hand(desk, "place", *other, "--id", order_id, "--json")
    assert second.code == 1, second
    assert second.json["response"]["reason_code"] == "duplicate_id"
    assert (await by_hand(desk, "cancel", order_id)).code == 0


async def test_a_market_order_is_awaited_until_filled_and_its_hops_are_shown(
    desk: TradingDesk,
) -> None:
    """Command, journal, answer and fill are there with their times; nothing is missing."""
    order_id = uuid4().hex
    market = (desk.market.venue.exchange, "buy", desk.market.symbol, str(desk.market.quantity))
    filled = await by_hand(desk, "place", *market, "--id", order_id, "--wait")
    assert filled.code == 0, filled
    assert "filled" in filled.out
    told = await by_hand(desk, "why", order_id, "--json")
    assert told.code == 0, told
    (story,) = told.json["stories"]
    assert story["connector"] == desk.name
    hops = story["hops"]
    there = [hop["hop"] for hop in hops if not hop["missing"]]
    assert there == [hop["hop"] for hop in hops]
    assert there[:4] == ["decision", "command", "risk (connector)", "journal"]
    assert {"response", "fill"} <= set(there)
    times = [hop["time"] for hop in hops if hop["hop"] in ("command", "response", "status", "fill")]
    assert times == sorted(times)
    shown = await by_hand(desk, "why", order_id)
    assert "MISSING" not in shown.out
    assert "fill" in shown.out


async def test_halt_cancels_what_is_open_and_refuses_what_is_new_until_resume(
    desk: TradingDesk,
) -> None:
    """The reason reaches whoever is refused."""
    order_id = uuid4().hex
    arguments = limit(desk, await desk.far_below())
    assert (await by_hand(desk, "place", *arguments, "--id", order_id)).code == 0
    halted = await by_hand(desk, "halt", "the cat is on the keyboard", "--json")
    assert halted.code == 0, halted
    assert [answer["status"] for answer in halted.json["canceled"]] == ["done"]
    await desk.status(order_id, "canceled")
    refused = await by_hand(desk, "place", *arguments, "--json")
    assert refused.code == 1
    assert refused.json["response"]["reason_code"] == "halted"
    assert "the cat is on the keyboard" in refused.json["response"]["error_message"]
    examined = await by_hand(desk, "doctor", "--json")
    (halt,) = [check for check in examined.json if check["check"] == "halt"]
    assert halt["state"] == "warn"
    resumed = await by_hand(desk, "resume", "--by", "ann", "--json")
    before = "the cat is on the keyboard"
    assert resumed.json == {"halted": None, "before": before, "by": "ann"}
    assert (await by_hand(desk, "place", *arguments)).code == 0
    every = await by_hand(desk, "cancel", "--all", "--exchange", desk.market.venue.exchange)
    assert every.code == 0, every


async def test_balances_are_those_that_the_exchange_has_now_when_they_are_refreshed(
    desk: TradingDesk,
) -> None:
    """One asset, asked for; all that there is, as it was told."""
    asset = desk.market.base
    asked = await by_hand(desk, "balances", "--refresh", "--asset", asset.lower(), "--json")
    assert asked.code == 0, asked
    (row,) = asked.json
    assert (row["exchange"], row["asset"]) == (desk.market.venue.exchange, asset)
    assert row["total"] == row["free"] + row["locked"] > 0
    listed = await by_hand(desk, "balances")
    assert asset in listed.out


async def test_a_cancel_of_nothing_says_no(desk: TradingDesk) -> None:
    """An order nobody heard of isn't looked for at the exchange, unless it is named in full."""
    unheard = await by_hand(desk, "cancel", "never-placed")
    assert unheard.code == 1
    assert "--exchange and --symbol" in unheard.err
    where = ("--exchange", desk.market.venue.exchange, "--symbol", desk.market.symbol)
    named = await by_hand(desk, "cancel", "--order-id", "1", *where, "--json")
    assert named.code == 1, named
    assert named.json[0]["reason_code"] == "nothing_to_cancel"


async def test_the_doctor_and_status_find_a_running_connector_well(desk: TradingDesk) -> None:
    """Nothing fails on a server that is set up as it should be; each feed is live."""

    async def well() -> bool:
        return (await by_hand(desk, "doctor")).code == 0

    await eventually_async(well, within=60)
    examined = (await by_hand(desk, "doctor", "--json")).json
    found = {check["check"]: (check["state"], check["what"]) for check in examined}
    assert found["world"] == ("ok", f"{desk.name}: simulator")
    assert found[desk.name] == ("ok", "simulator, accepts orders")
    assert found["maxmemory-policy"] == ("ok", "noeviction")

    # HEALTH_URLS names nothing: only what lies in Redis is judged.
    async def all_flow() -> bool:
        status = await tradectl(desk.redis_url, "status", "--json", HEALTH_URLS=",")
        live = {feed["state"] for feed in status.json["feeds"]} == {"live"}
        flowing = all(stream["entries"] for stream in status.json["streams"])
        return status.code == 0 and live and flowing

    await eventually_async(all_flow, within=60)
