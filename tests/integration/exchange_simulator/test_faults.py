"""Faults of requests: each is added over HTTP, and observed on the wire and in the ledger."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from tests.integration.exchange_simulator.venue_clients import (
    LIMIT,
    Venues,
    now_ms,
    one_symbol_each,
    sign,
)
from tests.support.eventually import eventually_async

BOTH = pytest.mark.parametrize("venue", ["binance", "luno"])
NO_ANSWER = 0.3  # seconds without an answer that count as a hang


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    """Settings that start quickly."""
    return one_symbol_each()


@pytest.fixture
async def venues(simulator: Simulator) -> AsyncIterator[Venues]:
    """Both venues, with a new connection for each request."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Venues(simulator, http)


async def hangs(venues: Venues, venue: str, client_id: str) -> None:
    """Place an order that is never answered."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(NO_ANSWER):
            await venues.place(venue, client_id)


@BOTH
async def test_a_request_is_executed_and_then_hangs(venues: Venues, venue: str) -> None:
    """The order exists without an answer; the next request works as usual."""
    await venues.fault(venue, "place", answer="hang")
    await hangs(venues, venue, "one")
    assert await venues.clients(venue) == {"one"}
    assert (await venues.find(venue, "one"))[0] == 200
    assert (await venues.place(venue, "two"))[0] == 200
    assert (await venues.ledger(venue))["arrivals"] == {"one": 1, "two": 1}


@BOTH
async def test_a_request_hangs_without_being_executed(venues: Venues, venue: str) -> None:
    """The ledger has its arrival, but no order."""
    await venues.fault(venue, "place", execute="never", answer="hang")
    await hangs(venues, venue, "one")
    assert await venues.clients(venue) == set()
    assert (await venues.ledger(venue))["arrivals"] == {"one": 1}


@BOTH
@pytest.mark.parametrize(("execute", "there"), [("now", {"one"}), ("never", set())])
async def test_the_connection_is_closed_instead_of_an_answer(
    venues: Venues, venue: str, execute: str, there: set[str]
) -> None:
    """With and without execution."""
    await venues.fault(venue, "place", execute=execute, answer="close")
    with pytest.raises(aiohttp.ClientConnectionError):
        await venues.place(venue, "one")
    assert await venues.clients(venue) == there


@BOTH
@pytest.mark.parametrize("answer", ["hang", "close", "error"])
async def test_a_request_is_executed_after_its_client_disconnected(
    venues: Venues, venue: str, answer: str
) -> None:
    """The order exists only later."""
    late = {"execute": "late", "execute_after_ms": 400, "answer": answer}
    await venues.fault(venue, "place", **late, status=504)
    if answer == "hang":
        await hangs(venues, venue, "one")
    elif answer == "close":
        with pytest.raises(aiohttp.ClientConnectionError):
            await venues.place(venue, "one")
    else:
        assert (await venues.place(venue, "one"))[0] == 504
    assert await venues.clients(venue) == set()

    async def there() -> bool:
        return await venues.clients(venue) == {"one"}

    await eventually_async(there)


@BOTH
async def test_a_request_is_executed_late_and_answered_then(venues: Venues, venue: str) -> None:
    """As by a slow venue."""
    await venues.fault(venue, "place", execute="late", execute_after_ms=150)
    began = time.monotonic()
    assert (await venues.place(venue, "one"))[0] == 200
    assert time.monotonic() - began >= 0.15


async def test_a_late_request_never_executes_after_its_deadline(venues: Venues) -> None:
    """Binance checks `recvWindow` again, Luno `ttl`."""
    late = {"execute": "late", "execute_after_ms": 300, "answer": "normal"}
    await venues.fault("binance", "place", **late)
    await venues.fault("luno", "place", **late)
    status, said = await venues.binance("POST", "order", **LIMIT, recvWindow=200)
    assert (status, said["code"]) == (400, -1021)
    status, said = await venues.luno(
        *("POST", "1/postorder"),
        pair="XBTZAR",
        type="BID",
        volume="0.01",
        price="1300000",
        timestamp=now_ms(),
        ttl=200,
    )
    assert (status, said["error_code"]) == (400, "ErrDeadlineExceeded")
    assert await venues.clients("binance") == await venues.clients("luno") == set()


@BOTH
@pytest.mark.parametrize(("execute", "there"), [("now", {"one"}), ("never", set())])
@pytest.mark.parametrize("body", ["json", "html", "empty", "foreign"])
async def test_server_errors_occur_before_and_after_execution(
    venues: Venues, venue: str, execute: str, there: set[str], body: str
) -> None:
    """With the venue's JSON, a proxy's HTML, and an empty body."""
    await venues.fault(venue, "place", execute=execute, answer="error", status=502, body=body)
    status, said = await venues.place(venue, "one")
    assert status == 502
    if body == "json":
        assert ("code" if venue == "binance" else "error_code") in said
    elif body == "html":
        assert said.startswith("<html>")
    else:
        assert said == ("" if body == "empty" else {"message": "boom"})
    assert await venues.clients(venue) == there


@pytest.mark.parametrize("status", [429, 418])
async def test_too_many_requests_have_a_retry_time(venues: Venues, status: int) -> None:
    """`Retry-After` is in seconds; the request was not executed."""
    how = {"execute": "never", "answer": "error", "status": status, "retry_after": 7}
    await venues.fault("binance", "balances", **how)
    url = f"{venues.simulator.http_url}/api/v3/account"
    async with venues.http.get(url) as response:
        assert (response.status, response.headers["Retry-After"]) == (status, "7")
        assert (await response.json())["code"] == -1003


@BOTH
async def test_an_answer_can_be_delayed(venues: Venues, venue: str) -> None:
    """The order exists before its answer, and so do its events."""
    await venues.fault(venue, "place", answer_after_ms=300)
    placing = asyncio.ensure_future(venues.place(venue, "one"))

    async def there() -> bool:
        return await venues.clients(venue) == {"one"}

    await eventually_async(there)
    assert not placing.done()
    assert (await placing)[0] == 200


@BOTH
async def test_an_order_can_be_invisible_for_a_while(venues: Venues, venue: str) -> None:
    """It is accepted, but queries find it only later."""
    await venues.fault(venue, "place", invisible_ms=300)
    assert (await venues.place(venue, "one"))[0] == 200
    assert (await venues.find(venue, "one"))[0] in (400, 404)

    async def found() -> bool:
        return (await venues.find(venue, "one"))[0] == 200

    await eventually_async(found)


@BOTH
async def test_a_fault_can_match_a_single_order(venues: Venues, venue: str) -> None:
    """By a text in the request."""
    await venues.fault(venue, "place", contains="unlucky", answer="error", count=None)
    assert (await venues.place(venue, "lucky"))[0] == 200
    assert (await venues.place(venue, "unlucky"))[0] == 503
    assert await venues.clients(venue) == {"lucky", "unlucky"}


@BOTH
@pytest.mark.parametrize("endpoint", ["query", "open_orders", "balances", "trades", "market_data"])
async def test_every_endpoint_can_fail_alone(venues: Venues, venue: str, endpoint: str) -> None:
    """The others work as usual."""
    calls: dict[str, dict[str, Any]] = {
        "binance": {
            "query": ("order", {"symbol": "BTCUSDT", "origClientOrderId": "one"}),
            "open_orders": ("openOrders", {}),
            "balances": ("account", {}),
            "trades": ("myTrades", {"symbol": "BTCUSDT"}),
        },
        "luno": {
            "query": ("exchange/3/order", {"client_order_id": "one"}),
            "open_orders": ("exchange/2/listorders", {}),
            "balances": ("1/balance", {}),
            "trades": ("1/listtrades", {"pair": "XBTZAR"}),
        },
    }
    await venues.place(venue, "one")
    await venues.fault(venue, endpoint, execute="never", answer="error", status=500)
    ask = venues.binance if venue == "binance" else venues.luno
    statuses = {name: (await ask("GET", path, **p))[0] for name, (path, p) in calls[venue].items()}
    path = "/api/v3/depth?symbol=BTCUSDT" if venue == "binance" else "/api/1/ticker?pair=XBTZAR"
    async with venues.http.get(venues.simulator.http_url + path) as response:
        statuses["market_data"] = response.status
    assert [name for name, status in statuses.items() if status == 500] == [endpoint]


async def test_a_cancel_can_be_executed_and_its_answer_lost(venues: Venues) -> None:
    """A second cancel is answered that the order is unknown."""
    await venues.place("binance", "one")
    await venues.fault("binance", "cancel", answer="error", status=503)
    cancel = {"symbol": "BTCUSDT", "origClientOrderId": "one"}
    assert (await venues.binance("DELETE", "order", **cancel))[0] == 503
    status, said = await venues.binance("DELETE", "order", **cancel)
    assert (status, said["code"]) == (400, -2011)


async def test_a_clock_can_have_an_offset(venues: Venues) -> None:
    """A request with the correct time is refused until the offset is 0 again."""
    for offset in (20_000, -20_000):
        await venues.control("POST", "clock", {"venue": "binance", "offset_ms": offset})
        url = f"{venues.simulator.http_url}/api/v3/time"
        async with venues.http.get(url) as response:
            skew = (await response.json())["serverTime"] - now_ms()
        assert abs(skew - offset) < 5000
        assert (await venues.place("binance", "one"))[1]["code"] == -1021
        assert (await venues.place("luno", f"right-{offset}"))[0] == 200
    await venues.control("POST", "clock", {"venue": "binance", "offset_ms": 0})
    assert (await venues.place("binance", "one"))[0] == 200


async def test_faults_apply_to_the_websocket_api(venues: Venues) -> None:
    """By the same rules: a hang, an error, a late execution, a broken session."""

    def request(client_id: str) -> dict[str, Any]:
        params: dict[str, Any] = {**LIMIT, "newClientOrderId": client_id}
        params |= {"apiKey": "simulator-key", "timestamp": now_ms()}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = sign(payload)
        return {"id": client_id, "method": "order.place", "params": params}

    url = f"{venues.simulator.ws_url}/ws-api/v3"
    async with venues.http.ws_connect(url) as ws:
        await venues.fault("binance", "place", answer="hang")
        await ws.send_json(request("silent"))
        how = {"execute": "never", "answer": "error", "status": 429, "retry_after": 3}
        await venues.fault("binance", "place", **how)
        await ws.send_json(request("refused"))
        said = await ws.receive_json(timeout=10)
        assert (said["id"], said["status"], said["error"]["code"]) == ("refused", 429, -1003)
        assert said["error"]["data"]["retryAfter"] > now_ms()
        await venues.fault("binance", "place", execute="late", execute_after_ms=50)
        await ws.send_json(request("late"))
        assert (await ws.receive_json(timeout=10))["result"]["clientOrderId"] == "late"
        await venues.fault("binance", "place", answer="close")
        await ws.send_json(request("cut"))
        assert (await ws.receive(timeout=10)).type in (
            *(aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE),
        )
    assert await venues.clients("binance") == {"silent", "late", "cut"}
    arrivals = (await venues.ledger("binance"))["arrivals"]
    assert arrivals == {"silent": 1, "refused": 1, "late": 1, "cut": 1}


@pytest.mark.parametrize(
    "rule",
    [
        {"venue": "kraken", "endpoint": "place"},
        {"venue": "binance", "endpoint": "coffee"},
        {"venue": "binance", "endpoint": "place", "answer": "shout"},
        {"venue": "binance", "endpoint": "place", "execute": "never"},
        {"venue": "binance", "endpoint": "place", "colour": "red"},
        {"venue": "binance", "endpoint": "user_stream"},
        {"venue": "binance", "endpoint": "place", "probability": 2},
        "nonsense",
    ],
)
async def test_an_invalid_rule_is_refused(venues: Venues, rule: Any) -> None:
    """With 400 and the reason."""
    url = f"{venues.simulator.http_url}/simulator/faults"
    async with venues.http.post(url, json=rule) as response:
        assert response.status == 400
        assert (await response.json())["error"]
    assert await venues.control("GET", "faults") == {"faults": []}


async def test_rules_are_listed_counted_and_removed(venues: Venues) -> None:
    """One rule, and all rules."""
    first = {"venue": "luno", "endpoint": "balances", "answer": "error", "count": 2}
    other = {"venue": "luno", "endpoint": "market_stream", "action": "drop"}
    assert await venues.control("POST", "faults", [first, other]) == {"ids": [1, 2]}
    await venues.luno("GET", "1/balance")
    listed = (await venues.control("GET", "faults"))["faults"]
    assert [(rule["id"], rule["used"], rule["count"]) for rule in listed] == [(1, 1, 2), (2, 0, 1)]
    assert len((await venues.control("DELETE", "faults/1"))["faults"]) == 1
    assert (await venues.luno("GET", "1/balance"))[0] == 200
    assert await venues.control("DELETE", "faults") == {"faults": []}
    url = f"{venues.simulator.http_url}/simulator/faults/1"
    async with venues.http.delete(url) as response:
        assert response.status == 400


async def test_hanging_requests_do_not_delay_a_stop(
    simulator_settings: SimulatorSettings,
) -> None:
    """A late execution is abandoned."""
    async with aiohttp.ClientSession() as http:
        async with running_simulator(simulator_settings) as simulator:
            venues = Venues(simulator, http)
            await venues.fault("luno", "place", answer="hang")
            hanging = asyncio.ensure_future(venues.place("luno", "one"))

            async def there() -> bool:
                return await venues.clients("luno") == {"one"}

            await eventually_async(there)
            late = {"execute": "late", "execute_after_ms": 60_000, "answer": "error"}
            await venues.fault("luno", "place", **late)
            assert (await venues.place("luno", "late"))[0] == 503
            began = time.monotonic()
        assert time.monotonic() - began < 2.0
        assert [o.client_id for o in simulator.accounts["luno"].orders.values()] == ["one"]
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging
