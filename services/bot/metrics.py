"""Prometheus metrics of the bot: decisions, orders, positions, and the data it relies on."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from services._runtime.metrics import counters, gauges
from services.bot.decision_maker import DecisionMaker
from services.bot.decision_metrics import DecisionMetrics
from services.bot.journal_writer import JournalWriter
from services.bot.market_watch import MarketWatch
from services.bot.portfolio_state import BotOrder
from services.bot.settings import BotSettings
from services.bot.strategy_host import StrategyHost
from services.bot.view import Sources


class BotMetrics:
    """Reads the state of the bot's parts; it keeps none itself. `redis_time` is in seconds."""

    def __init__(
        self,
        settings: BotSettings,
        sources: Sources,
        host: StrategyHost,
        maker: DecisionMaker,
        watch: MarketWatch,
        writer: JournalWriter,
        decision_metrics: DecisionMetrics,
        redis_time: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._host = host
        self._maker = maker
        self._watch = watch
        self._writer = writer
        self._decision_metrics = decision_metrics
        self._redis_time = redis_time

    def read(self) -> Iterator[Metric]:
        """All metrics, with current values."""
        yield gauges("bot_mode_info", "How it trades.", ["mode"], {self._settings.bot_mode: 1})
        yield GaugeMetricFamily(
            "bot_halted",
            "1 while trading is halted, as the bot saw it last.",
            value=float(self._maker.halted is not None),
        )
        yield GaugeMetricFamily(
            "bot_journal_age_seconds",
            "Seconds since the bot last wrote its decisions and state; about 1 is normal.",
            value=self._sources.clock() - self._writer.written_at,
        )
        yield from self._decisions()
        yield from self._orders()
        yield from self._holdings()
        yield from self._markets()

    def _decisions(self) -> Iterator[Metric]:
        decision_metrics = self._decision_metrics
        yield counters(
            "bot_decisions",
            "Decisions of strategies, by outcome.",
            ["strategy", "outcome"],
            decision_metrics.decisions,
        )
        yield counters(
            "bot_refusals",
            "Refused decisions, by reason code.",
            ["reason_code"],
            decision_metrics.refusals,
        )
        running = self._host.running.items()
        yield gauges(
            "bot_strategy_stopped",
            "1 if a strategy has failed and no longer receives messages.",
            ["strategy"],
            {key: float(each.stopped is not None) for key, each in running},
        )

    def _orders(self) -> Iterator[Metric]:
        exchanges = dict.fromkeys(self._settings.markets, 0.0)
        found = self._sources.portfolio.open
        waiting = [order for order in found if order.state == "sent"]
        yield counters(
            "bot_order_answers",
            "Answers of connectors to orders.",
            ["exchange", "status"],
            self._decision_metrics.answers,
        )
        yield gauges(
            "bot_orders_open",
            "Orders that may still trade.",
            ["exchange"],
            {**exchanges, **Counter(order.exchange for order in found)},
        )
        yield gauges(
            "bot_orders_unanswered",
            "Orders that no connector has answered, not even with `unknown`.",
            ["exchange"],
            {**exchanges, **Counter(order.exchange for order in waiting)},
        )
        yield gauges(
            "bot_order_unanswered_oldest_seconds",
            "How long the oldest unanswered order has waited.",
            ["exchange"],
            {name: self._longest(name, waiting) for name in exchanges},
        )
        yield CounterMetricFamily(
            "bot_unknown_orders",
            "Events of orders that have the bot's id prefix and are not in its portfolio.",
            value=self._sources.portfolio.unknown_orders,
        )

    def _longest(self, exchange: str, waiting: list[BotOrder]) -> float:
        sent = [order.sent_at for order in waiting if order.exchange == exchange]
        return max(0.0, self._redis_time() - min(sent)) if sent else 0.0

    def _holdings(self) -> Iterator[Metric]:
        holdings = self._sources.portfolio.state.holdings.items()
        yield gauges(
            "bot_position",
            "Position of a strategy, in the base asset.",
            ["strategy", "exchange", "symbol"],
            {(key, each.exchange, each.symbol): float(each.quantity) for key, each in holdings},
        )
        yield gauges(
            "bot_profit_today",
            "Profit of a strategy since midnight UTC, at the market's price.",
            ["strategy", "exchange", "currency"],
            {
                (key, each.exchange, each.quote): float(each.profit_today)
                for key, each in holdings
                if each.profit_today is not None
            },
        )

    def _markets(self) -> Iterator[Metric]:
        now, feeds = self._sources.clock(), self._sources.provider.feeds.values()
        ages = {(f.exchange, f.symbol, f.data_type): f.age(now) for f in feeds}
        yield gauges(
            "bot_market_age_seconds",
            "Age of the latest message; it grows in a quiet market.",
            ["exchange", "symbol", "data_type"],
            {key: age for key, age in ages.items() if age is not None},
        )
        yield gauges(
            "bot_market_live",
            "1 if the connector reports that its latest data is the exchange's current data.",
            ["exchange", "symbol"],
            {
                (exchange, symbol): float(
                    self._sources.connectors.why_stale(exchange, symbol, now) is None
                )
                for exchange, symbols in self._settings.markets.items()
                for symbol in symbols
            },
        )
        yield counters(
            "stream_entries_malformed",
            "Entries that could not be read.",
            ["stream"],
            self._watch.malformed,
        )
