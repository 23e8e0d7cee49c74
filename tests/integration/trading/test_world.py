"""Whose money it is, on real processes."""

from typing import Any

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream
from tests.integration.trading.forwarder import forwarding
from tests.support.attempts import Attempts
from tests.support.eventually import eventually_async
from tests.support.orders.trading import TradingDesk


async def test_a_local_proxy_of_a_venue_does_not_count_as_a_simulator(
    desk: TradingDesk, attempt: Attempts
) -> None:
    """Its world is live: no order leaves without the live switch, and the status says so."""
    name = f"{desk.market.venue.exchange.upper()}_REST_URL"
    async with forwarding(desk.simulator_port) as port:
        root = "/api" if desk.market.venue.exchange == "binance" else ""
        async with desk.connector(**{name: f"http://127.0.0.1:{port}{root}"}):
            order = await desk.order(price=await desk.far_below())
            response = await desk.response(order)
            assert (response.status, response.reason_code) == ("rejected", "trading_disabled")
            arrived = bool(await desk.at_venue(order))
            what = "have an order leave without the live switch, as to a simulator"
            attempt("proxy on this machine before an exchange", what, succeeded=arrived)
            assert not arrived
            entries: Any = await desk.redis.xrange(str(EventStream(desk.name, "connector_status")))
            events = [ConnectorStatusEvent.model_validate_json(e[1][b"data"]) for e in entries]
            assert {event.world for event in events} == {"live"}
            assert await desk.redis.get(f"{desk.name}:state:world") == b"live"


async def test_a_redis_of_the_simulator_is_not_traded_on_through_a_proxy(desk: TradingDesk) -> None:
    """The connector ends before it writes anything, and says which key says so."""
    name = f"{desk.market.venue.exchange.upper()}_REST_URL"
    async with desk.connector():
        pass
    async with forwarding(desk.simulator_port) as port:
        root = "/api" if desk.market.venue.exchange == "binance" else ""
        url = f"http://127.0.0.1:{port}{root}"
        async with desk.starting(**{name: url}) as service:

            async def has_ended() -> bool:
                return service.exited

            await eventually_async(has_ended)
            assert "this Redis holds simulator data" in service.log.read_text()
