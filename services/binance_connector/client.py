"""Binance's REST through python-binance: the only place that imports it.

What the SDK does and doesn't do here: it opens an aiohttp session and signs; its sockets, its
book and its own clock offset are not used.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from binance import AsyncClient
from binance.exceptions import BinanceAPIException, BinanceRequestException

from services._connector_kit import venue_answers
from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.instruments import Instrument
from services._connector_kit.limits import RESERVE, VenueLimits
from services._connector_kit.listing import Listing
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import VenueTrade
from services._connector_kit.orders.ports import LiveBook
from services._connector_kit.orders.trading import Trading
from services._connector_kit.rate_limit import Priority, RateBudget
from services._connector_kit.venue_stats import VenueStats
from services._connector_kit.world import World, world_of
from services._runtime import fault_explanations
from services._runtime.redaction import excerpt
from services.binance_connector import http_session, order_count, translate
from services.binance_connector.feed import stream_market_data
from services.binance_connector.rest import BAD_KEY
from services.binance_connector.settings import KEY_HELP, TESTNETS, BinanceSettings
from services.binance_connector.trading import assemble

T = TypeVar("T")

REQUEST_TIMEOUT = 10.0
# REQUEST_WEIGHT a minute, https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
WEIGHT_A_MINUTE = 6000
# https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams: 300 attempts in five
# minutes for each IP address; other clients may use half of them.
CONNECTIONS, CONNECTIONS_WINDOW = 150, 300.0
# In seconds, if a 418 or 429 names no time.
USUAL_BAN = 60.0
# A name that Binance doesn't list; one that it couldn't.
NO_SUCH_SYMBOL = frozenset({"-1121", "-1100"})
AGG_TRADES_PAGE = 1000
# https://developers.binance.com/docs/binance-spot-api-docs/errors: about the server, where asking
# again will help.
TRANSIENT = frozenset({-1000, -1001, -1003, -1006, -1007, -1008, -1016, -1034})
MEANINGS = {
    **dict.fromkeys((-1001, -1008, -1016), fault_explanations.DOWN),
    -1003: fault_explanations.LIMITED,
    -1021: fault_explanations.TIME,
}


def depth_weight(limit: int) -> int:
    """What `GET /api/v3/depth` costs."""
    for most, weight in ((100, 5), (500, 25), (1000, 50)):
        if limit <= most:
            return weight
    return 250


class Binance:
    """The `Exchange` that Binance is."""

    name = "binance"

    def __init__(self, sdk: Any, settings: BinanceSettings, limits: VenueLimits) -> None:
        self.world: World = "live"
        self.limits = limits
        self.order_limits: Mapping[int, int] = order_count.USUAL_LIMITS
        self.stats = VenueStats(
            limits,
            market_proxy=settings.proxy_for(settings.binance_stream_url),
            account_proxy=settings.proxy_for(settings.binance_ws_api_url),
        )
        self.sdk = sdk
        self._settings = settings

    async def find_world(self) -> None:
        """Ask whose money the REST URL leads to."""
        self.world = await world_of(self._settings.binance_rest_url, TESTNETS)

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """The instruments of *symbols*; where one isn't listed, all that are."""
        names = ",".join(f'"{symbol.replace("/", "")}"' for symbol in symbols)
        try:
            found = await self._exchange_info({"symbols": quote(f"[{names}]")})
        except RejectedError as e:
            if e.code not in NO_SUCH_SYMBOL:
                raise
            return await self._exchange_info({"showPermissionSets": "false"})
        if set(symbols) <= {instrument.symbol for instrument in found}:
            return found
        # The joined name exists, but split otherwise: show what there is.
        return await self._exchange_info({"showPermissionSets": "false"})

    async def _exchange_info(self, params: dict[str, str]) -> list[Instrument]:
        # The SDK's own method takes no parameters and asks for everything.
        answer = await self.call(20, lambda: self.sdk._get("exchangeInfo", data=params))  # noqa: SLF001
        self.order_limits = order_count.limits_of(answer) or self.order_limits
        return _translated(translate.instruments, answer)

    async def stream_market_data(self, subscriptions: Sequence[SymbolSubscription]) -> None:
        """Supply each subscription until cancelled."""
        await stream_market_data(
            subscriptions, self._settings, self.depth, self.agg_trades, self.stats.market
        )

    def trading(
        self,
        listing: Listing,
        book: Callable[[str], LiveBook | None],  # noqa: ARG002
    ) -> Trading | None:
        """What is needed to trade; None without credentials."""
        return assemble(self, self._settings, listing, self.stats, self.world)

    async def depth(self, venue_symbol: str, limit: int) -> translate.DepthSnapshot:
        """A depth snapshot of at most *limit* levels a side."""
        answer = await self.call(
            depth_weight(limit), lambda: self.sdk.get_order_book(symbol=venue_symbol, limit=limit)
        )
        return _translated(translate.snapshot, answer)

    async def agg_trades(self, venue_symbol: str, first_id: int) -> list[VenueTrade]:
        """A page of aggregate trades from *first_id* on, oldest first."""
        answer = await self.call(
            4,
            lambda: self.sdk.get_aggregate_trades(
                symbol=venue_symbol, fromId=first_id, limit=AGG_TRADES_PAGE
            ),
        )
        return _translated(translate.agg_trades, answer)

    async def call(
        self,
        weight: int,
        request: Callable[[], Awaitable[Any]],
        priority: Priority = Priority.DATA,
    ) -> Any:
        """Send one request that may be repeated safely, within the budget.

        Raises:
            TransientError: no answer, a server error, or too many requests; also where it is to
                resolve an order and may not be sent soon.
            RejectedError: the venue answered no.
            FeedStoppedError: the key is invalid.
        """
        await self.limits.spend(weight, priority)
        with self.stats.request():
            return await self._answer(request)

    async def _answer(self, request: Callable[[], Awaitable[Any]]) -> Any:
        try:
            answer = await request()
        except BinanceAPIException as e:
            raise self._sorted(e) from e
        except aiohttp.ContentTypeError as e:  # with a status of 2xx
            raise TransientError(f"Binance answered no JSON; {fault_explanations.PAGE}") from e
        except (aiohttp.ClientError, OSError, TimeoutError) as e:
            raise TransientError(venue_answers.no_answer("Binance", e)) from e
        except (BinanceRequestException, ValueError, RecursionError, AttributeError) as e:
            # No JSON, no text, too large, nested too deeply, or (AttributeError) an error answer
            # that is JSON but no object.
            raise TransientError(excerpt(f"an answer of Binance can't be read: {e!r}")) from e
        if isinstance(answer, dict) and "code" in answer:  # nothing that we ask for has one
            raise _refusal(200, answer["code"], str(answer.get("msg")))
        return answer

    def _sorted(self, error: BinanceAPIException) -> Exception:
        said = venue_answers.words(error.response.body)
        refusal = _refusal(error.status_code, error.code, said)
        if error.status_code not in (418, 429):
            return refusal
        wait = self.limits.obey(error.response.headers.get("Retry-After"))
        return RateLimitedError(f"{refusal}; not before {wait:.0f} s", retry_after=wait)


def _refusal(status: int, code: Any, said: str) -> Exception:
    """Binance's `{"code", "msg"}`, sorted by what is done about it, whatever the status."""
    # Without a code it isn't Binance that answers, but something in front of it.
    known = type(code) is int and code < 0
    meaning = MEANINGS.get(code) if known else None
    if not known or status in (418, 429):
        meaning = venue_answers.by_status(status)
    text = f"{code} {said}" if known else said or "nothing"
    message = venue_answers.with_meaning(f"Binance answered {status}: {text}", meaning)
    if known and code in BAD_KEY:
        return FeedStoppedError(f"{message}; {KEY_HELP}")
    if status >= 500 or not known or code in TRANSIENT:
        return TransientError(message)
    return RejectedError(message, code=str(code))


def _translated(function: Callable[[Any], T], answer: Any) -> T:
    try:
        return function(answer)
    except (ValueError, RecursionError) as e:
        raise TransientError(excerpt(f"an answer of Binance can't be read: {e}")) from e


@asynccontextmanager
async def open_binance(settings: BinanceSettings) -> AsyncIterator[Binance]:
    """Binance at the settings' URLs; nothing is sent yet."""
    limits = VenueLimits(
        RateBudget(WEIGHT_A_MINUTE, reserve=RESERVE),
        RateBudget(CONNECTIONS, CONNECTIONS_WINDOW),
        usual_ban=USUAL_BAN,
    )

    async def on_answer(_: object, __: object, params: aiohttp.TraceRequestEndParams) -> None:
        used = params.response.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdecimal():
            limits.requests.used(int(used))

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(on_answer)
    # The SDK takes its URLs from class attributes only.
    urls = {
        "API_URL": settings.binance_rest_url,
        "MARGIN_API_URL": settings.binance_rest_url.removesuffix("/api") + "/sapi",
        "WS_API_URL": settings.binance_ws_api_url,
    }
    sdk_type = type("ConfiguredClient", (AsyncClient,), urls)
    key, secret = settings.binance_api_key, settings.binance_api_secret
    sdk = sdk_type(
        key.get_secret_value() if key else None,
        secret.get_secret_value() if secret else None,
        session_params={
            "trace_configs": [trace],
            "proxy": settings.proxy_for(settings.binance_rest_url),
            **http_session.SESSION,
        },
        # A redirect is not followed: it would carry the key to another host.
        requests_params={"allow_redirects": False},
    )
    http_session.ask_for_gzip(sdk.session)
    sdk.REQUEST_TIMEOUT = REQUEST_TIMEOUT
    try:
        yield Binance(sdk, settings, limits)
    finally:
        async with asyncio.timeout(2.0):
            await sdk.session.close()
