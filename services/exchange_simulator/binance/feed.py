"""One Binance symbol's public streams: update ids, aggregate trades, and payloads.

Payloads and speeds: developers.binance.com, "WebSocket Streams for Binance".
"""

from itertools import groupby
from typing import Any

import msgspec

from services.exchange_simulator.binance import tickers
from services.exchange_simulator.binance.channels import Channel
from services.exchange_simulator.binance.wire import EMPTY, levels, price, quantity
from services.exchange_simulator.market import KEEP_TRADES, MarketStep, SimulatedMarket
from services.exchange_simulator.matching import (
    BookSide,
    Level,
    Match,
    Reduced,
    Removed,
    Rested,
)
from services.exchange_simulator.trade_history import TradeHistory

REAL_TIME = ("aggTrade", "trade", "bookTicker")
PARTIAL_DEPTHS = (5, 10, 20)
EVERY_100MS = ("depth@100ms", *(f"depth{n}@100ms" for n in PARTIAL_DEPTHS))
EVERY_SECOND = ("ticker", "miniTicker", "depth", *(f"depth{n}" for n in PARTIAL_DEPTHS))
STREAM_KINDS = frozenset({*REAL_TIME, *EVERY_100MS, *EVERY_SECOND})

encode = msgspec.json.encode


class Changes:
    """The prices (ticks) whose levels changed since the last frame of a diff stream."""

    def __init__(self, update_id: int) -> None:
        self.bids: set[int] = set()
        self.asks: set[int] = set()
        self.sent_up_to = update_id

    def clear(self, update_id: int) -> None:
        """Drop the prices: all changes up to *update_id* were sent."""
        self.bids.clear()
        self.asks.clear()
        self.sent_up_to = update_id


class BinanceFeed:
    """Publishes a market's events. Create it before the market opens, so that it misses none."""

    def __init__(self, market: SimulatedMarket) -> None:
        self.market = market
        self.instrument = market.instrument
        # Each level that a step changes uses one update id, so diffs are contiguous.
        self.update_id = market.first_id
        # A row: time, price, quantity, first and last trade id, 1 when the taker bought.
        self.aggregates = TradeHistory(market.first_id, 6, KEEP_TRADES)
        prefix = self.instrument.pair.lower()
        self.channels = {kind: Channel(f"{prefix}@{kind}") for kind in STREAM_KINDS}
        self._fast = Changes(self.update_id)
        self._slow = Changes(self.update_id)
        self._best: tuple[Level | None, Level | None] = (None, None)
        market.subscribe(self._on_step)

    def tick(self, *, second: bool) -> None:
        """Publish what is due; call it every 100 ms, with *second* true at every tenth call."""
        if self._fast.sent_up_to != self.update_id:
            self._send_depth(self._fast, "@100ms")
        if second:
            if self._slow.sent_up_to != self.update_id:
                self._send_depth(self._slow, "")
            self._send_tickers()

    def _on_step(self, step: MarketStep) -> None:
        bids: set[int] = set()
        asks: set[int] = set()
        trades: list[Match] = []
        for event in step.events:
            if isinstance(event, Match):
                trades.append(event)
                (asks if event.taker.terms.side == "buy" else bids).add(event.price)
            elif isinstance(event, Rested | Removed | Reduced):
                terms = event.order.terms
                if terms.price is not None:
                    (bids if terms.side == "buy" else asks).add(terms.price)
        if trades:
            self._send_trades(step.time_ms, trades)
        if bids or asks:
            self.update_id += len(bids) + len(asks)
            for changes in (self._fast, self._slow):
                changes.bids |= bids
                changes.asks |= asks
            self._send_best()

    def _send_trades(self, time_ms: int, trades: list[Match]) -> None:
        instrument = self.instrument
        bought = trades[0].taker.terms.side == "buy"
        channel = self.channels["trade"]
        if channel.listeners:
            for trade in trades:
                payload: dict[str, Any] = {
                    "e": "trade",
                    "E": time_ms,
                    "s": instrument.pair,
                    "t": trade.trade_id,
                    "p": price(instrument, trade.price),
                    "q": quantity(instrument, trade.quantity),
                    "T": time_ms,
                    "m": not bought,
                    "M": True,
                }
                channel.publish(encode(payload))
        channel = self.channels["aggTrade"]
        for ticks, group in groupby(trades, key=lambda trade: trade.price):
            fills = list(group)
            lots = sum(fill.quantity for fill in fills)
            first, last = fills[0].trade_id, fills[-1].trade_id
            aggregate_id = self.aggregates.append(time_ms, ticks, lots, first, last, bought)
            if channel.listeners:
                payload = {
                    "e": "aggTrade",
                    "E": time_ms,
                    "s": instrument.pair,
                    "a": aggregate_id,
                    "p": price(instrument, ticks),
                    "q": quantity(instrument, lots),
                    "f": first,
                    "l": last,
                    "T": time_ms,
                    "m": not bought,
                    "M": True,
                }
                channel.publish(encode(payload))

    def _send_best(self) -> None:
        best = self.market.engine.best()
        if best == self._best:
            return
        self._best = best
        channel = self.channels["bookTicker"]
        if channel.listeners:
            bid, ask = (level or EMPTY for level in best)
            payload = {
                "u": self.update_id,
                "s": self.instrument.pair,
                "b": price(self.instrument, bid[0]),
                "B": quantity(self.instrument, bid[1]),
                "a": price(self.instrument, ask[0]),
                "A": quantity(self.instrument, ask[1]),
            }
            channel.publish(encode(payload))

    def _send_depth(self, changes: Changes, speed: str) -> None:
        engine = self.market.engine
        channel = self.channels[f"depth{speed}"]
        if channel.listeners:
            payload = {
                "e": "depthUpdate",
                "E": self.market.now(),
                "s": self.instrument.pair,
                "U": changes.sent_up_to + 1,
                "u": self.update_id,
                "b": self._changed(engine.bids, sorted(changes.bids, reverse=True)),
                "a": self._changed(engine.asks, sorted(changes.asks)),
            }
            channel.publish(encode(payload))
        changes.clear(self.update_id)
        for count in PARTIAL_DEPTHS:
            channel = self.channels[f"depth{count}{speed}"]
            if channel.listeners:
                channel.publish(encode(self.book(count)))

    def _changed(self, side: BookSide, prices: list[int]) -> list[list[str]]:
        return levels(self.instrument, [(ticks, side.quantity_at(ticks)) for ticks in prices])

    def book(self, count: int) -> dict[str, Any]:
        """A snapshot: `{"lastUpdateId", "bids", "asks"}` with at most *count* levels a side."""
        engine = self.market.engine
        return {
            "lastUpdateId": self.update_id,
            "bids": levels(self.instrument, engine.bids.top(count)),
            "asks": levels(self.instrument, engine.asks.top(count)),
        }

    def _send_tickers(self) -> None:
        for kind, payload in (("ticker", tickers.ticker), ("miniTicker", tickers.mini_ticker)):
            channel = self.channels[kind]
            if channel.listeners:
                channel.publish(encode(payload(self.market)))
