"""One client of Binance's WebSocket API: signed requests, and its user data stream.

Methods and envelope: developers.binance.com, "WebSocket API for Binance".
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from services.exchange_simulator.binance import errors, ws_api
from services.exchange_simulator.binance.queries import Answer, Query
from services.exchange_simulator.binance.signing import SigningWindow
from services.exchange_simulator.binance.trading import ENDPOINTS, BinanceTrading, answer_signed
from services.exchange_simulator.binance.user_events import UserEvents, wrapped
from services.exchange_simulator.endpoints import ws_api_endpoint
from services.exchange_simulator.fault_answers import error_body
from services.exchange_simulator.fault_middleware import FaultMiddleware
from services.exchange_simulator.faults import RequestFault
from services.exchange_simulator.sockets import Connection
from services.exchange_simulator.stream_faults import StreamFaults

SUBSCRIBE_WEIGHT = 2
SIGNED = frozenset(ENDPOINTS) - {"account.permissions"}


class WsApiSession:
    """One connection: its requests, their answers, and its subscription."""

    def __init__(
        self,
        trading: BinanceTrading,
        events: UserEvents,
        fault_middleware: FaultMiddleware,
        connection: Connection,
        stream_faults: StreamFaults,
        client: str,
    ) -> None:
        self._trading = trading
        self._events = events
        self._fault_middleware = fault_middleware
        self._connection = connection
        self._stream_faults = stream_faults
        self._client = client
        self._subscription: int | None = None
        self._subscriptions = 0
        self._later: list[bytes] = []  # frames to send after the answer
        self._methods: dict[str, Callable[[dict[str, Any], int], Answer]] = {
            "userDataStream.subscribe.signature": self._subscribe,
            "userDataStream.unsubscribe": self._unsubscribe,
            "session.subscriptions": self._list,
        }

    def close(self) -> None:
        """Unsubscribe from the user data stream."""
        self._events.leave(self._stream_faults.push)

    def on_text(self, text: str) -> None:
        """Answer one request, with the fault of a matching rule."""
        received = self._trading.venue.clock()
        method, params, request_id = _peek(text)
        endpoint = ws_api_endpoint(method)
        self._fault_middleware.requests["binance", endpoint] += 1
        if endpoint == "place":
            self._fault_middleware.count("binance", str(params.get("newClientOrderId", "")))
        fault = self._fault_middleware.plan.take_request("binance", endpoint, text)
        if fault is None:
            self._send(self._answer(text, received))
        else:
            client_id = str(params.get("newClientOrderId", ""))
            self._apply(fault, partial(self._answer, text, received), request_id, client_id)

    def _answer(self, text: str, received_ms: int) -> bytes:
        def look_up(method: str, params: dict[str, Any]) -> Answer:
            return self._look_up(method, params, received_ms)

        return msgspec.json.encode(ws_api.answer(self._trading.venue, self._client, text, look_up))

    def _send(self, frame: bytes) -> None:
        self._connection.push(frame)
        for later in self._later:
            self._stream_faults.push(later)
        self._later.clear()

    def _apply(
        self, fault: RequestFault, answer: Callable[[], bytes], request_id: Any, client_id: str
    ) -> None:
        call_later = asyncio.get_running_loop().call_later
        answer_after = fault.answer_after_ms / 1000

        def execute() -> bytes:
            frame = answer()
            if client_id:
                self._fault_middleware.hide(fault, client_id)
            return frame

        def execute_and_send() -> None:
            frame = execute()
            if fault.answer in ("normal", "earlier"):  # no cache stands before a WebSocket
                call_later(answer_after, self._send, frame)

        waits_for_execution = fault.answer in ("normal", "hang")
        if fault.execute == "late" and waits_for_execution:
            call_later(fault.execute_after_ms / 1000, execute_and_send)
        elif fault.execute == "late":
            call_later(fault.execute_after_ms / 1000, execute)
        elif fault.execute == "now":
            execute_and_send()
        if fault.answer == "close":
            call_later(answer_after, self._connection.cut)
        elif fault.answer == "error":
            call_later(answer_after, self._send, self._error(fault, request_id))

    def _error(self, fault: RequestFault, request_id: Any) -> bytes:
        body = error_body(fault)
        error = errors.BinanceError(fault.status, body["code"], body["msg"], fault.retry_after)
        answer = {"id": request_id, "status": fault.status}
        return msgspec.json.encode(answer | {"error": ws_api.error(self._trading.venue, error)})

    def _look_up(self, method: str, params: dict[str, Any], received_ms: int) -> Answer:
        own = self._methods.get(method)
        if own is not None:
            return own(params, received_ms)
        if method in SIGNED:
            signed = self._check(params)
            return answer_signed(self._trading, method, signed, received_ms)
        return ws_api.look_up(self._trading.venue, method, params)

    def _check(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Check key and signature; returns the parameters as texts.

        The payload is all parameters except the signature, sorted by name, as "name=value" joined
        by "&": "SIGNED request security" in the WebSocket API docs.

        Raises:
            BinanceError: the venue's refusal.
        """
        texts = {name: _text(value) for name, value in params.items()}
        self._trading.key.check(texts.get("apiKey"))
        signature = texts.pop("signature", "")
        if not signature:
            raise errors.missing("signature")
        payload = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
        self._trading.key.check_signature(payload, signature)
        return texts

    def _subscribe(self, params: dict[str, Any], received_ms: int) -> Answer:
        signed = self._check(params)
        SigningWindow.from_params(signed).check(received_ms)
        if self._subscription is not None:
            raise errors.BinanceError(400, -2035, "User Data Stream subscription already active.")
        self._subscription = self._subscriptions
        self._subscriptions += 1
        self._events.join(self._stream_faults.push, self._subscription)
        return SUBSCRIBE_WEIGHT, {"subscriptionId": self._subscription}

    def _unsubscribe(self, params: dict[str, Any], _: int) -> Answer:
        query = Query(params)
        wanted = query.number("subscriptionId")
        query.done()
        ended = self._subscription
        if ended is None or wanted not in (None, ended):
            raise errors.BinanceError(400, -2036, "User Data Stream subscription not active.")
        self._subscription = None
        self._events.leave(self._stream_faults.push)
        terminated = {"e": "eventStreamTerminated", "E": self._trading.venue.clock()}
        self._later.append(wrapped(msgspec.json.encode(terminated), ended))
        return SUBSCRIBE_WEIGHT, {}

    def _list(self, params: dict[str, Any], _: int) -> Answer:
        Query(params).done()
        open_ = [] if self._subscription is None else [{"subscriptionId": self._subscription}]
        return SUBSCRIBE_WEIGHT, open_


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _peek(text: str) -> tuple[str, dict[str, Any], Any]:
    """Method, parameters and id, each empty if it can't be read."""
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        request = None
    if not isinstance(request, dict):
        return "", {}, None
    params = request.get("params")
    params = params if isinstance(params, dict) else {}
    return str(request.get("method", "")), params, request.get("id")
