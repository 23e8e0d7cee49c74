"""Where each symbol's feed stands, for Prometheus."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import Metric

from services._connector_kit.market_data.subscription import SymbolSubscription
from services._runtime.metrics import counters, gauges

SYMBOL = ["symbol"]


def feed_metrics(subscriptions: Sequence[SymbolSubscription]) -> Iterator[Metric]:
    """Of each symbol: live or for how long not, how old its news is, and what was lost of it."""

    def each(read: Callable[[SymbolSubscription], float | None]) -> dict[str, float]:
        found = {
            subscription.instrument.symbol: read(subscription) for subscription in subscriptions
        }
        return {symbol: value for symbol, value in found.items() if value is not None}

    yield gauges(
        "feed_live",
        "1 while the venue's book is published, as it is streamed or when it is asked for.",
        SYMBOL,
        each(lambda subscription: float(subscription.status.works)),
    )
    yield gauges(
        "feed_stale_seconds",
        "For how long the feed hasn't been live; 0 while it is.",
        SYMBOL,
        each(lambda subscription: subscription.status.not_live_for),
    )
    yield gauges(
        "feed_last_message_age_seconds",
        "Since anything came from the venue for this symbol.",
        SYMBOL,
        each(lambda subscription: subscription.status.age),
    )
    yield gauges(
        "venue_lag_seconds",
        "From the newest event's own time to when we had it; below 0 where our clock is behind.",
        SYMBOL,
        each(lambda subscription: subscription.status.lag),
    )
    yield counters(
        "feed_resyncs",
        "Times that the feed stopped being live, and its book had to be synchronized again.",
        SYMBOL,
        each(lambda subscription: subscription.status.resyncs),
    )
    yield counters(
        "feed_books_compared",
        "Times that the book's levels were compared with those of the venue's REST.",
        SYMBOL,
        each(lambda subscription: subscription.status.compared),
    )
    yield counters(
        "feed_books_differed",
        "Comparisons that found a difference, after which the book was synchronized again.",
        SYMBOL,
        each(lambda subscription: subscription.status.differed),
    )
    yield counters(
        "feed_messages_refused",
        "Venue messages that failed validation and weren't published.",
        SYMBOL,
        each(lambda subscription: subscription.publisher.refused),
    )
    yield counters(
        "trades_lost",
        "Trades that are missing in the stream for good.",
        SYMBOL,
        each(lambda subscription: subscription.status.trades.lost),
    )
    yield counters(
        "trades_refilled",
        "Trades that the socket missed, fetched from the venue's history.",
        SYMBOL,
        each(lambda subscription: subscription.status.trades.refilled),
    )
    yield counters(
        "trades_repeated",
        "Trades that the venue sent again and that weren't published again.",
        SYMBOL,
        each(lambda subscription: subscription.status.trades.repeated),
    )
