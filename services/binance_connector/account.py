"""Binance's account: its stream over the WebSocket API, and its REST, as the kit needs them.

https://developers.binance.com/docs/binance-spot-api-docs/user-data-stream: a subscription by
signature, bound to its connection; it needs no keep-alive and is made again on each connection.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import structlog

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import (
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.frames import BadFrames
from services._connector_kit.instruments import Instrument
from services._connector_kit.listing import Listing
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.published_balances import PER_MILLISECOND
from services._connector_kit.orders.account.venue import (
    AccountListener,
    Balance,
    BalanceSnapshot,
    PushedBalances,
    TradeEvidence,
)
from services._connector_kit.orders.commands.request_ports import VenueOpenOrder
from services._connector_kit.rate_limit import RateBudget
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import open_socket
from services._runtime.redaction import excerpt
from services._runtime.supervise import keep_alive, raise_first_error
from services.binance_connector import translate_orders
from services.binance_connector.rest import (
    BAD_KEY,
    TRADES_WEIGHT,
    SignedRest,
    TradeRow,
    signature,
)
from services.binance_connector.settings import KEY_HELP, BinanceSettings

log = structlog.get_logger()

SUBSCRIBE = "subscribe"
SUBSCRIBED_WITHIN = 10.0
NO_SUCH_ORDER = "-2013"
# What looking at trades may cost: in the long run half of it, 60 symbols a minute. With the open
# orders that stays within half of Binance's 6000, whatever the number of symbols.
TRADES_WEIGHT_A_MINUTE = 2400


class BinanceAccount:
    """One account, for the symbols that this connector serves."""

    no_such_order: Collection[str] = frozenset({NO_SUCH_ORDER})

    def __init__(
        self,
        rest: SignedRest,
        clock: VenueClock,
        settings: BinanceSettings,
        listing: Listing,
        trades_budget: RateBudget,
        stats: SocketStats,
    ) -> None:
        key, secret = settings.binance_api_key, settings.binance_api_secret
        self._rest = rest
        self._clock = clock
        self._url = settings.binance_ws_api_url
        self._key = key.get_secret_value() if key else ""
        self._secret = secret.get_secret_value() if secret else ""
        self._listing = listing
        self._bad_frames = BadFrames("binance account", stats)
        self._trades_budget = trades_budget
        self._stats = stats
        # Whose trades are looked at next: venue symbols.
        self._turn = [i.venue_symbol for i in listing.configured.values()]
        # Symbols whose trade ids may have restarted since they were read: all, on each connection.
        self._unsure = set(self._turn)

    def milliseconds(self) -> int:
        """Binance's clock, as we know it."""
        return self._clock.milliseconds()

    def knows(self, symbol: str) -> bool:
        """True for a symbol of ours."""
        return symbol in self._listing.served

    async def listen(self, listener: AccountListener) -> None:
        """Keep the account stream alive until cancelled; FeedStoppedError if it is refused."""
        await keep_alive(
            lambda: self._session(listener),
            name="binance_account_stream",
            on_down=listener.disconnected,
        )

    async def _session(self, listener: AccountListener) -> None:
        self._unsure = set(self._turn)
        session = _Session(listener, self._listing.named, self._bad_frames, self._ban)
        async with open_socket(self._url, session.on_text, stats=self._stats) as socket:
            socket.send(self._subscription())
            await raise_first_error(socket.closed(), session.subscribed_in_time())

    def _ban(self, error: Mapping[str, Any]) -> float:
        """Obey the ban that the WebSocket API answered with; return its seconds."""
        seconds = ban_seconds(error, self._clock.milliseconds())
        limits = self._stats.limits
        return limits.ban(seconds) if limits else seconds or 0.0

    def _subscription(self) -> bytes:
        params: dict[str, Any] = {"apiKey": self._key, "timestamp": self._clock.milliseconds()}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = signature(payload, self._secret)
        request = {
            "id": SUBSCRIBE,
            "method": "userDataStream.subscribe.signature",
            "params": params,
        }
        return msgspec.json.encode(request)

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """The open orders of our symbols, without their fills."""
        return await self._rest.open_orders()

    async def traded_since(self, mark: str | None) -> tuple[Sequence[TradeEvidence], str]:
        """What traded after *mark*: the last trade id of each symbol, as JSON.

        With many symbols each call polls some of them, in turn. It is late only for orders that
        were placed elsewhere and filled between two polls: an open order's fills show in the
        order, and our own orders are polled by their ids.
        """
        last: dict[str, int] = (
            {} if mark is None else msgspec.json.decode(mark, type=dict[str, int])
        )
        found = []
        for name in self._due(last):
            await self._trades_budget.spend(TRADES_WEIGHT)
            instrument, since = self._listing.named(name), last.get(name)
            rows: Sequence[TradeRow] = await self._rest.trades_since(name, since)
            if not rows and since and (begun := await self._begun_anew(name, since)) is not None:
                last[name], rows = 0, begun
            for trade_id, order_id, at in rows:
                last[name] = max(last.get(name, 0), trade_id)
                # Trades before the first poll are history.
                if since is not None and instrument is not None:
                    trade = TradeEvidence(
                        instrument.symbol, order_id, str(trade_id), Decimal(0), at
                    )
                    found.append(trade)
            last.setdefault(name, 0)
            self._turn.remove(name)
            self._turn.append(name)
        return found, msgspec.json.encode(last).decode()

    async def _begun_anew(self, name: str, since: int) -> Sequence[TradeRow] | None:
        """The newest trades, where they lie before *since*: a testnet that was reset.

        That is found out once a connection, as soon as there is room for the question.
        """
        if name not in self._unsure or self._trades_budget.left < TRADES_WEIGHT:
            return None
        await self._trades_budget.spend(TRADES_WEIGHT)
        rows = await self._rest.trades_since(name, None)
        self._unsure.discard(name)
        if max((trade_id for trade_id, *_ in rows), default=0) >= since:
            return None
        log.warning("venue_ids_restarted", symbol=name, trade_id=since)
        return rows

    def _due(self, last: Mapping[str, int]) -> list[str]:
        """Those never looked at, and of the others as many as there is room for, in turn."""
        new = [name for name in self._turn if name not in last]
        room = int(self._trades_budget.left) // TRADES_WEIGHT - len(new)
        return new + [name for name in self._turn if name in last][: max(room, 0)]

    async def report(
        self, symbol: str, *, order_id: str | None, client_order_id: str | None
    ) -> OrderStatusReport:
        """What became of one order, with its fills; RejectedError if there is none."""
        _check_ids(order_id, client_order_id)
        instrument = await self._listing.serve(symbol)
        return await self._rest.report(
            instrument, order_id=order_id, client_order_id=client_order_id
        )

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Cancel one order, which keeps its client order id; returns its order id.

        Raises:
            RejectedError: there is nothing to cancel.
        """
        _check_ids(order_id, client_order_id)
        instrument = await self._listing.serve(symbol)
        keep = keep or client_order_id
        if keep is None:
            found = await self._rest.report(instrument, order_id=order_id, client_order_id=None)
            keep = found.client_order_id
        # An id given elsewhere may have characters that can't be sent here: see `carries`.
        return await self._rest.cancel(
            instrument.venue_symbol,
            order_id=order_id,
            client_order_id=client_order_id,
            keep=keep if keep and translate_orders.RULES.carries(keep) else None,
        )

    async def stop(self, order: VenueOpenOrder) -> None:
        """Cancel an order that is known, by one request; RejectedError if it isn't open."""
        await self.cancel(
            order.symbol,
            order_id=order.order_id,
            client_order_id=None,
            keep=order.client_order_id,
        )

    async def stop_all(self, symbol: str) -> bool:
        """Cancel all open orders of a symbol by one request; True: that was done.

        Binance gives each of them a client order id of its own making: they must be known.
        """
        instrument = await self._listing.serve(symbol)
        await self._rest.cancel_all(instrument.venue_symbol)
        return True

    async def became(self, orders: Sequence[VenueOpenOrder]) -> Sequence[OrderStatusReport]:
        """What became of *orders*: by one listing for each symbol; those with fills one by one."""
        found: list[OrderStatusReport] = []
        for symbol in dict.fromkeys(order.symbol for order in orders):
            ids = {int(order.order_id) for order in orders if order.symbol == symbol}
            try:
                instrument = await self._listing.serve(symbol)
                found += await self._rest.reports(instrument, ids)
            except RejectedError as e:  # delisted: it says nothing about the other symbols
                log.warning("orders_not_shown", symbol=symbol, error=str(e))
        return found

    async def balances(self) -> BalanceSnapshot:
        """The balances that are not zero."""
        return await self._rest.balances()


def _check_ids(order_id: str | None, client_order_id: str | None) -> None:
    """Refuse ids that Binance can't have given or taken; they aren't sent.

    Raises:
        RejectedError: as if Binance had been asked.
    """
    if order_id is not None and not (order_id.isascii() and order_id.isdecimal()):
        message = f"order_id {order_id[:50]!r}: Binance's are digits"
        raise RejectedError(message, code=NO_SUCH_ORDER)
    if client_order_id is not None and not translate_orders.RULES.carries(client_order_id):
        message = f"client_order_id {client_order_id[:50]!r}: none that Binance takes"
        raise RejectedError(message, code=NO_SUCH_ORDER)


def ban_seconds(error: Mapping[str, Any], now_ms: int) -> float | None:
    """How long the ban lasts that an `error` of the WebSocket API names; None where it names none.

    `data.retryAfter` is a moment in Unix ms, `data.serverTime` the venue's time of the answer.
    """
    data = error.get("data")
    if not isinstance(data, dict):
        return None
    until, now = data.get("retryAfter"), data.get("serverTime")
    if type(until) is not int:
        return None
    return (until - (now if type(now) is int else now_ms)) / 1000


class _Session:
    """One connection of the account stream. `ban` obeys an error's ban and gives its seconds."""

    def __init__(
        self,
        listener: AccountListener,
        named: Callable[[str], Instrument | None],
        bad_frames: BadFrames,
        ban: Callable[[Mapping[str, Any]], float],
    ) -> None:
        self._ban = ban
        self._listener = listener
        self._named = named
        self._bad_frames = bad_frames
        self._subscribed = asyncio.Event()
        self._position_at = self._position_number = 0
        self._position_said: Sequence[Balance] = ()

    async def subscribed_in_time(self) -> None:
        """Wait for the subscription.

        Raises:
            TransientError: it didn't come.
        """
        try:
            async with asyncio.timeout(SUBSCRIBED_WITHIN):
                await self._subscribed.wait()
        except TimeoutError:
            raise TransientError(f"no subscription within {SUBSCRIBED_WITHIN:g} s") from None

    def on_text(self, text: bytes) -> None:
        """One frame: the answer to the subscription, or an event."""
        try:
            frame = msgspec.json.decode(text)
            if "event" in frame:
                self._on_event(frame["event"])
            elif frame.get("status") == 200:
                log.info("account_stream_connected")
                self._subscribed.set()
                self._listener.connected()
            else:
                self._refused(frame.get("status"), frame.get("error") or {})
        except (
            *(LookupError, TypeError, ValueError, AttributeError),
            *(ArithmeticError, RecursionError),
        ) as e:
            self._bad_frames.add(text, e)
            self._listener.missed()  # what it said, the next comparison finds out

    def _on_event(self, event: Mapping[str, Any]) -> None:
        match event["e"]:
            case "executionReport":
                instrument = self._named(event["s"])
                if instrument is not None:
                    self._listener.received(
                        translate_orders.execution_report(event, instrument.symbol)
                    )
            case "outboundAccountPosition":
                self._listener.received(self._position(event))
            case "balanceUpdate" | "externalLockUpdate":
                self._listener.balances_changed()
            case "serverShutdown" | "eventStreamTerminated":
                raise TransientError(f"the venue ended the account stream: {event['e']}")
            case other:
                log.debug("account_event_ignored", kind=str(other)[:50])

    def _position(self, event: Mapping[str, Any]) -> PushedBalances:
        """Balances with their place in time: `u` is in milliseconds, and may be of several."""
        at, balances = translate_orders.account_position(event)
        if at != self._position_at:
            self._position_at, self._position_number = at, 0
        elif balances != self._position_said:
            self._position_number = min(self._position_number + 1, PER_MILLISECOND - 1)
        self._position_said = balances
        return PushedBalances(balances, at * PER_MILLISECOND + self._position_number)

    def _refused(self, status: object, error: Mapping[str, Any]) -> None:
        said = excerpt(f"{error.get('code')} {error.get('msg')}")
        message = f"Binance refused the account stream: {said}"
        if status in (418, 429):
            raise RateLimitedError(message, retry_after=self._ban(error))
        if error.get("code") in BAD_KEY:
            raise FeedStoppedError(f"{message}; {KEY_HELP}")
        raise TransientError(message)
