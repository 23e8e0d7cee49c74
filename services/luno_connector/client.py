"""Luno's REST through luno-python: the only place that imports it.

The SDK is synchronous, so its calls run in a small pool of threads of their own. It loses the
HTTP status, takes some error answers for success and reads whatever comes; hooks on its session see
to all three.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import requests
from luno_python.client import Client
from luno_python.error import APIError

from services._connector_kit import venue_answers
from services._connector_kit.bodies import ACCEPT_ENCODING, Body, BodyError
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
from services._connector_kit.rate_limit import Priority, RateBudget, in_force
from services._connector_kit.venue_stats import VenueStats
from services._connector_kit.world import World, world_of
from services._runtime import fault_explanations
from services._runtime.redaction import excerpt
from services.luno_connector import translate
from services.luno_connector.orders import EmptyNotFoundError, PostError
from services.luno_connector.polling import poll_market_data
from services.luno_connector.settings import KEY_HELP, KEY_REFUSED, LunoSettings
from services.luno_connector.stream import stream_market_data
from services.luno_connector.trading import assemble

T = TypeVar("T")

# https://www.luno.com/en/developers/api#section/Rate-Limiting: calls a minute.
CALLS_A_MINUTE = 300
# Luno names no limit of connection attempts, but of 50 sockets at once; these are for five minutes.
CONNECTIONS, CONNECTIONS_WINDOW = 300, 300.0
THREADS = 4
# Cancelling everything has as many of its own: it waits for no answer to anything else.
# As many as orders may be under way: none that has passed the halt switch waits for a thread.
POST_THREADS = 64
# To connect, and between two reads. A thread can't be cancelled: a stop waits no longer than this.
TIMEOUTS = (2.0, 3.0)
CALL_TIMEOUT = 10.0
# A body is read in pieces of so many bytes.
PIECE = 1 << 16
# Luno names no time after a 429; its limit is one of a minute.
USUAL_BAN = 10.0
BANNED = (418, 429)
TRANSIENT = frozenset(
    {"ErrTooManyRequests", "ErrInternal", "ErrDeadlineExceeded", "ErrUnderMaintenance"}
)
MEANINGS = {
    "ErrDeadlineExceeded": fault_explanations.TIME,
    "ErrTooManyRequests": fault_explanations.LIMITED,
    "ErrUnderMaintenance": fault_explanations.DOWN,
}


class _HTTPStatusError(Exception):
    """An answer whose status says more than the SDK would."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.empty = not response.content
        self.retry_after = response.headers.get("Retry-After", "")
        said = f"{self.status}: {venue_answers.words(response.content) or 'nothing'}"
        meaning = venue_answers.by_status(self.status)
        if self.status == 200 and venue_answers.is_page(response.content):
            meaning = fault_explanations.PAGE
        super().__init__(venue_answers.with_meaning(said, meaning))

    def posted(self) -> Exception:
        """What it says about an order: nothing, but where Luno didn't look at it at all."""
        refusals = {401: "ErrUnauthorised", 429: "ErrTooManyRequests"}
        if self.status in refusals:
            return PostError(refusals[self.status], str(self))
        return OSError(str(self))


def _read_body(response: requests.Response, *_: object, **__: object) -> None:
    """Read the body here, limited, before the SDK would read it without a limit."""
    body = Body(response.headers.get("Content-Encoding"))
    deadline = time.monotonic() + CALL_TIMEOUT
    try:
        while piece := response.raw.read(PIECE, decode_content=False):
            body.add(piece)
            if time.monotonic() > deadline:
                raise BodyError(f"not whole within {CALL_TIMEOUT:g} s")
    except BaseException:
        response.close()
        raise
    response._content = body.whole()  # noqa: SLF001 - requests has no other way
    response.encoding = "utf-8"  # nothing is to guess it


def _look_at_status(response: requests.Response, *_: object, **__: object) -> None:
    status = response.status_code
    # A redirect is not followed: that would send an order a second time.
    if status == 401 or status in BANNED or status >= 500 or 300 <= status < 400:
        raise _HTTPStatusError(response)
    if venue_answers.is_page(response.content):
        raise _HTTPStatusError(response)
    says_no = b'"error_code"' in response.content
    if status >= 400 and not says_no:  # the SDK would take it for yes
        raise _HTTPStatusError(response)
    if says_no and b'"order_id"' in response.content:  # yes and no: it proves nothing
        raise _HTTPStatusError(response)


def _refusal(answer: Any) -> tuple[str, str] | None:
    """Code and message of a rejection; None for another body. The code "" is not Luno's.

    The SDK sees only those with both "error" and "error_code", and takes others for success.
    """
    if not isinstance(answer, dict):
        return "", f"no object: {answer!r:.50}"
    if not answer.keys() & {"error", "error_code", "code", "message"}:
        return None
    code = answer.get("error_code") or answer.get("code")
    said = answer.get("error") or answer.get("message") or ""
    return (code if isinstance(code, str) and code.startswith("Err") else ""), str(said)


def _believed(request: Callable[[], Any]) -> Any:
    """What *request* gives.

    Raises:
        APIError: Luno says no, whatever the status; its code is "" where it is none of Luno's.
    """
    answer = request()
    refusal = _refusal(answer)
    if refusal is not None:
        raise APIError(*refusal)
    return answer


class Threads(NamedTuple):
    """What the SDK's calls run in; `urgent` is for those that cancel everything."""

    usual: ThreadPoolExecutor
    urgent: ThreadPoolExecutor
    posts: ThreadPoolExecutor


class Luno:
    """The `Exchange` that Luno is."""

    name = "luno"

    def __init__(
        self, sdk: Client, threads: Threads, settings: LunoSettings, limits: VenueLimits
    ) -> None:
        self.world: World = "live"
        self.limits = limits
        proxy = settings.proxy_for(settings.luno_stream_url)
        self.stats = VenueStats(limits, market_proxy=proxy, account_proxy=proxy)
        self.sdk = sdk
        self._threads = threads
        self._settings = settings
        self._date: datetime | None = None

    async def find_world(self) -> None:
        """Ask whose money the REST URL leads to."""
        self.world = await world_of(self._settings.luno_rest_url)

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:  # noqa: ARG002
        """All that Luno lists: there are few enough."""
        return _translated(translate.instruments, await self.call(self.sdk.markets))

    async def stream_market_data(self, subscriptions: Sequence[SymbolSubscription]) -> None:
        """Supply each subscription until cancelled: by stream with a key, else by polling."""
        if self._settings.luno_api_key_id is None:
            await poll_market_data(self, subscriptions)
        else:
            await stream_market_data(self, subscriptions, self._settings, self.stats.market)

    async def tickers(self, pairs: Sequence[str]) -> list[translate.TickerRow]:
        """The tickers of *pairs*, in one call."""
        return await self._tickers(pairs, Priority.DATA)

    async def _tickers(self, pairs: Sequence[str], priority: Priority) -> list[translate.TickerRow]:
        answer = await self.call(lambda: self.sdk.get_tickers(pair=list(pairs)), priority)
        return _translated(translate.tickers, answer)

    async def top_of_book(self, pair: str) -> translate.TopOfBook:
        """The best 100 price levels a side."""
        answer = await self.call(lambda: self.sdk.get_order_book(pair=pair))
        return _translated(translate.top_of_book, answer)

    async def trades(self, pair: str) -> list[VenueTrade]:
        """The latest trades, up to 100, oldest first."""
        answer = await self.call(lambda: self.sdk.list_trades(pair=pair))
        return _translated(translate.trades, answer)

    def trading(
        self,
        listing: Listing,
        book: Callable[[str], LiveBook | None],
    ) -> Trading | None:
        """What is needed to trade; None without credentials."""
        return assemble(self, self._settings, listing, book, self.stats)

    async def milliseconds(self) -> int:
        """Luno's time: an answer's HTTP `Date`, which is to the second, taken at its middle."""
        pairs = [symbol.replace("/", "") for symbol in self._settings.luno_symbols]
        await self._tickers(pairs, Priority.RESOLVE)
        if self._date is None:
            raise TransientError("Luno's answers carry no Date")
        return round(self._date.timestamp() * 1000) + 500

    def note_date(self, response: requests.Response, *_: object, **__: object) -> None:
        """Called in a pool thread with every answer."""
        try:
            self._date = parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            self._date = None

    async def send_once(self, request: Callable[[], Any]) -> Any:
        """Send one request that must not be repeated; its budget was spent before.

        Raises:
            PostError: Luno answered with an error code of its own.
            OSError: anything else; it may have been carried out.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await loop.run_in_executor(self._threads.posts, _believed, request)
        except _HTTPStatusError as e:
            if e.status in BANNED:
                self.limits.obey(e.retry_after)
            raise e.posted() from e
        except APIError as e:
            raise PostError(str(e.code or ""), excerpt(e.message)) from e
        except OSError:
            raise  # requests' own errors are OSErrors
        except Exception as e:
            raise OSError(excerpt(f"an answer that can't be read: {e}")) from e

    async def call(self, request: Callable[[], Any], priority: Priority = Priority.DATA) -> Any:
        """Send one request that may be repeated safely, within the budget.

        Raises:
            TransientError: no answer, a server error, or too many requests; also where it is to
                resolve an order and may not be sent soon.
            RejectedError: the venue answered no.
            FeedStoppedError: the key is invalid.
        """
        await self.limits.spend(1, priority)
        urgent = in_force(priority) <= Priority.CANCEL_ALL
        with self.stats.request():
            return await self._answer(
                request, self._threads.urgent if urgent else self._threads.usual
            )

    async def _answer(self, request: Callable[[], Any], pool: ThreadPoolExecutor) -> Any:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await loop.run_in_executor(pool, _sorted_errors, request)
        except TimeoutError as e:
            raise TransientError(f"no answer from Luno within {CALL_TIMEOUT:g} s") from e
        except _HTTPStatusError as e:
            wait = self.limits.obey(e.retry_after)
            said = f"Luno answered {e}; not before {wait:.0f} s"
            raise RateLimitedError(said, retry_after=wait) from e


def _sorted_errors(request: Callable[[], Any]) -> Any:
    """What *request* gives; all that goes wrong but `BANNED` as one of the kit's errors."""
    try:
        return _believed(request)
    except _HTTPStatusError as e:
        if e.status in BANNED:
            raise
        if e.status == 401:
            raise FeedStoppedError(f"Luno refused the key (401); {KEY_HELP}") from e
        sort = EmptyNotFoundError if e.status == 404 and e.empty else TransientError
        raise sort(f"Luno answered {e}") from e
    except requests.RequestException as e:
        raise TransientError(venue_answers.no_answer("Luno", e)) from e
    except APIError as e:
        said = venue_answers.with_meaning(f"{e.code}: {e.message}", MEANINGS.get(e.code))
        if e.code in KEY_REFUSED:
            raise FeedStoppedError(f"Luno refused the key: {said}; {KEY_HELP}") from e
        if not e.code or e.code in TRANSIENT:
            raise TransientError(f"Luno answered {said}") from e
        raise RejectedError(f"Luno answered {said}", code=str(e.code)) from e
    except Exception as e:
        raise TransientError(excerpt(f"an answer of Luno can't be read: {e}")) from e


def _translated(function: Callable[[Any], T], answer: Any) -> T:
    try:
        return function(answer)
    except (ValueError, RecursionError) as e:
        raise TransientError(excerpt(f"an answer of Luno can't be read: {e}")) from e


@asynccontextmanager
async def open_luno(settings: LunoSettings) -> AsyncIterator[Luno]:
    """Luno at the settings' URLs; nothing is sent yet."""
    key_id, secret = settings.luno_api_key_id, settings.luno_api_secret_key
    sdk = Client(
        base_url=settings.luno_rest_url,
        timeout=TIMEOUTS,
        api_key_id=key_id.get_secret_value() if key_id else "",
        api_key_secret=secret.get_secret_value() if secret else "",
    )
    # Neither a .netrc nor what requests makes of the environment: the settings name the proxy.
    sdk.session.trust_env = False
    if proxy := settings.proxy_for(settings.luno_rest_url):
        sdk.session.proxies["https"] = proxy
    # Luno's certificate is trusted by what all other connections trust, SSL_CERT_FILE too.
    trusted = ssl.get_default_verify_paths()
    sdk.session.verify = trusted.cafile or trusted.capath or True
    sdk.session.headers["Accept-Encoding"] = ACCEPT_ENCODING
    sdk.session.hooks["response"] += [_read_body, _look_at_status]
    threads = Threads(
        ThreadPoolExecutor(THREADS, thread_name_prefix="luno"),
        ThreadPoolExecutor(THREADS, thread_name_prefix="luno_urgent"),
        ThreadPoolExecutor(POST_THREADS, thread_name_prefix="luno_post"),
    )
    try:
        limits = VenueLimits(
            RateBudget(CALLS_A_MINUTE, reserve=RESERVE),
            RateBudget(CONNECTIONS, CONNECTIONS_WINDOW),
            usual_ban=USUAL_BAN,
        )
        luno = Luno(sdk, threads, settings, limits)
        sdk.session.hooks["response"].insert(0, luno.note_date)
        yield luno
    finally:
        for pool in threads:
            pool.shutdown(wait=False, cancel_futures=True)
        sdk.session.close()
