"""The simulator's Prometheus metrics: requests, connections, orders and trades."""

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from services._runtime.metrics import counters, gauges
from services.exchange_simulator.account import SimulatedAccount
from services.exchange_simulator.fault_middleware import FaultMiddleware
from services.exchange_simulator.instruments import Venue
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.sockets import Connections


def simulator_metrics(
    fault_middleware: FaultMiddleware,
    connections: Connections,
    accounts: Mapping[Venue, SimulatedAccount],
    markets: Mapping[str, SimulatedMarket],
) -> Iterator[Metric]:
    """The current values of all metrics."""
    yield counters(
        "simulator_requests",
        "Requests that arrived, over HTTP and Binance's WebSocket API.",
        ["venue", "endpoint"],
        fault_middleware.requests,
    )
    yield GaugeMetricFamily(
        "simulator_connections_open",
        "WebSockets that are open.",
        value=len(connections),
    )
    yield CounterMetricFamily(
        "simulator_connections",
        "WebSockets that were opened.",
        value=connections.accepted,
    )
    yield counters(
        "simulator_orders",
        "Orders of the account, those in the state file too.",
        ["venue"],
        {venue: len(account.orders) for venue, account in accounts.items()},
    )
    yield gauges(
        "simulator_orders_open",
        "Orders of the account that may still trade.",
        ["venue"],
        {venue: sum(1 for _ in account.open_orders()) for venue, account in accounts.items()},
    )
    yield counters(
        "simulator_trades",
        "Trades of each market.",
        ["symbol"],
        {symbol: market.trades.next_id - market.first_id for symbol, market in markets.items()},
    )
