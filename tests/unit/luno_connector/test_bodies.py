"""Bodies are believed, whatever the status: every request of Luno's, and every body that says no.

The SDK takes for success whatever hasn't both "error" and "error_code", with any status.
"""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import product
from typing import Any

import pytest
from pydantic import SecretStr

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.venue import Balance
from services.luno_connector.accounts import Accounts
from services.luno_connector.client import Luno, open_luno
from services.luno_connector.orders import PostError
from services.luno_connector.rest_orders import OrderRest
from services.luno_connector.settings import LunoSettings
from tests.support.attempts import Attempts
from tests.support.venues.canned_http import CannedServer, canned_server
from tests.support.venues.listings import listing

XBT = Instrument("XBT/ZAR", "XBTZAR", "XBT", "ZAR", trading=True)

Request = Callable[[Luno, OrderRest], Awaitable[Any]]


async def balances(rest: OrderRest) -> Sequence[Balance]:
    """Those of a snapshot."""
    return (await rest.balances()).balances


REQUESTS: dict[str, Request] = {
    "markets": lambda luno, _: luno.instruments(["XBT/ZAR"]),
    "tickers": lambda luno, _: luno.tickers(["XBTZAR"]),
    "orderbook_top": lambda luno, _: luno.top_of_book("XBTZAR"),
    "trades": lambda luno, _: luno.trades("XBTZAR"),
    "order": lambda _, rest: rest.order("order-1", XBT),
    "order, for a report": lambda _, rest: rest.report(order_id="BX1", client_order_id=None),
    "listorders": lambda _, rest: rest.orders(0, XBT),
    "listorders, open": lambda _, rest: rest.open_orders(),
    "listorders, closed": lambda _, rest: rest.recently_closed(0),
    "stoporder": lambda _, rest: rest.cancel("BX1"),
    "balance": lambda _, rest: balances(rest),
}
ORDER = {"pair": "XBTZAR", "volume": "1", "client_order_id": "order-1"}
POSTS: dict[str, Request] = {
    "postorder": lambda _, rest: rest.post_limit(XBT, {**ORDER, "price": "1", "type": "BID"}),
    "marketorder": lambda _, rest: rest.post_market(
        XBT, {"pair": "XBTZAR", "type": "SELL", "base_volume": "1"}
    ),
}


def said(**fields: object) -> bytes:
    """A body."""
    return json.dumps(fields).encode()


# The body, what it means for a request that may be repeated, and the code that an order's POST
# reports: None where it proves nothing.
DEEP = b"[" * 900 + b"]" * 900

BODIES: dict[str, tuple[bytes, type[Exception], str | None]] = {
    "refused": (
        said(error="no", error_code="ErrInvalidArguments"),
        RejectedError,
        "ErrInvalidArguments",
    ),
    "refused without words": (said(error_code="ErrInvalidPrice"), RejectedError, "ErrInvalidPrice"),
    "refused in other words": (
        said(code="ErrInsufficientFunds", message="no"),
        RejectedError,
        "ErrInsufficientFunds",
    ),
    "no such order": (
        said(error="no", error_code="ErrOrderNotFound"),
        RejectedError,
        "ErrOrderNotFound",
    ),
    "bad key": (said(error_code="ErrApiKeyRevoked"), FeedStoppedError, "ErrApiKeyRevoked"),
    "its own fault": (said(error="no", error_code="ErrInternal"), TransientError, "ErrInternal"),
    "a number as code": (said(code=5, message="not found"), TransientError, None),
    "no code": (said(message="boom"), TransientError, None),
    "only an error": (said(error="no"), TransientError, None),
    "an empty code": (said(error="no", error_code=""), TransientError, None),
    "a null code": (said(error="no", error_code=None), TransientError, None),
    "null": (b"null", TransientError, None),
    "nothing": (b"", TransientError, None),
    "text": (b'"ok"', TransientError, None),
    "a list": (b"[]", TransientError, None),
    "a list of refusals": (b'[{"error_code":"ErrInvalidPrice"}]', TransientError, None),
    "an empty object": (b"{}", TransientError, None),
    "a page": (b"<html>a captive portal</html>", TransientError, None),
    "half an answer": (b'{"order_id":"B', TransientError, None),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, TransientError, None),
    "too deep inside": (b'{"balances":%s,"a":%s}' % (DEEP, DEEP), TransientError, None),
    "too many lists": (b"[" + b"[]," * 600_000 + b"[]]", TransientError, None),
    "too large": (b'"' + b"x" * (17 << 20) + b'"', TransientError, None),
}


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    """Luno's REST as the tests want it."""
    async with canned_server() as canned:
        yield canned


async def ask(server: CannedServer, request: Request) -> Any:
    """Send it with the real client."""
    settings = LunoSettings.model_construct(
        luno_rest_url=server.url,
        luno_api_key_id=SecretStr("key"),
        luno_api_secret_key=SecretStr("secret"),
    )
    async with open_luno(settings) as luno:
        return await request(luno, OrderRest(luno, listing(XBT), Accounts({})))


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("body_name", BODIES)
async def test_a_body_that_says_no_under_a_200_is_sorted_and_never_a_success(
    server: CannedServer, request_name: str, body_name: str
) -> None:
    """Each request against each body."""
    body, error, code = BODIES[body_name]
    server.answers(200, body)
    with pytest.raises(error, match="Luno") as caught:
        await ask(server, REQUESTS[request_name])
    assert type(caught.value) is error
    if isinstance(caught.value, RejectedError):
        assert caught.value.code == code


@pytest.mark.parametrize("request_name", POSTS)
@pytest.mark.parametrize("body_name", BODIES)
async def test_an_order_refused_under_a_200_is_not_accepted(
    server: CannedServer, request_name: str, body_name: str
) -> None:
    """Luno's own code goes on, to be judged; without one it proves nothing."""
    body, _, code = BODIES[body_name]
    server.answers(200, body)
    with pytest.raises((PostError, OSError)) as caught:
        await ask(server, POSTS[request_name])
    reported = caught.value.code if isinstance(caught.value, PostError) else ""
    assert reported == (code or "")
    assert len(server.requests) == 1


@pytest.mark.parametrize("request_name", [*REQUESTS, *POSTS])
@pytest.mark.parametrize("status", [400, 403, 404, 409, 418, 422, 429, 500, 502, 301])
@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"boom"}',
        b'{"success":true,"order_id":"BX1"}',
        b'{"order_id":"BX1","tickers":[],"trades":[],"orders":[],"balance":[],"markets":[]}',
        b"",
    ],
)
async def test_an_error_status_is_not_a_success_with_any_body(
    server: CannedServer, request_name: str, status: int, body: bytes
) -> None:
    """The SDK would return it. An empty 404 to the question for an order says: there is none."""
    server.answers(status, body)
    denied = request_name in ("order", "order, for a report") and (status, body) == (404, b"")
    with pytest.raises(RejectedError if denied else (TransientError, PostError, OSError)):
        await ask(server, {**REQUESTS, **POSTS}[request_name])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"success":false}', RejectedError),
        (b'{"success":null}', TransientError),
        (b'{"success":"true"}', TransientError),
        (b'{"success":1}', TransientError),
        (b'{"order_id":"BX1"}', TransientError),
    ],
)
async def test_only_success_means_that_an_order_is_cancelled(
    server: CannedServer, body: bytes, error: type[Exception]
) -> None:
    """A plain no is a refusal, anything else is no answer."""
    server.answers(200, body)
    with pytest.raises(error) as caught:
        await ask(server, REQUESTS["stoporder"])
    assert type(caught.value) is error
    server.answers(200, b'{"success":true}')
    await ask(server, REQUESTS["stoporder"])


LISTS = {
    "markets": "markets",
    "tickers": "tickers",
    "trades": "trades",
    "listorders": "orders",
    "listorders, open": "orders",
    "balance": "balance",
}


@pytest.mark.parametrize("request_name", LISTS)
async def test_only_a_list_or_null_is_a_list(server: CannedServer, request_name: str) -> None:
    """Luno's empty lists are null; nothing else that is empty is one."""
    name = LISTS[request_name]
    for empty in (b"[]", b"null"):
        server.answers(200, b'{"%s":%s}' % (name.encode(), empty))
        assert await ask(server, REQUESTS[request_name]) == []
    for other in (b"{}", b'""', b"0", b"false", b'{"0":{}}'):
        server.answers(200, b'{"%s":%s}' % (name.encode(), other))
        with pytest.raises(TransientError, match="can't be read"):
            await ask(server, REQUESTS[request_name])


async def test_no_redirect_is_followed_so_that_the_key_reaches_no_other_host(
    server: CannedServer, attempt: Attempts
) -> None:
    """Whatever the request, its method and the status."""
    async with canned_server() as other:
        for status, request in product(
            (301, 302, 303, 307, 308), [*REQUESTS.values(), *POSTS.values()]
        ):
            server.answers(status, b"", Location=f"{other.url}/api/1/balance")
            with pytest.raises((TransientError, OSError)):
                await ask(server, request)
            attempt("exchange", "redirect the key to another host", succeeded=bool(other.requests))
            assert other.requests == []


async def test_a_packed_answer_is_read(server: CannedServer) -> None:
    """It is unpacked by us, not by the HTTP library."""
    body = gzip.compress(b'{"success":true}')
    server.answers(200, body, Content_Encoding="gzip")
    await ask(server, REQUESTS["stoporder"])
