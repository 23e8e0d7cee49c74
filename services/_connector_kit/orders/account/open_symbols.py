"""The symbols of all orders that aren't over, whatever the settings say of them."""

from redis.asyncio import Redis

from common_models.stream_names import connector
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.execution.redis_journal import RedisJournal


async def symbols_in_use(redis: Redis, exchange: str) -> set[str]:
    """The symbols of the orders that are open or accepted, or have no final answer yet.

    Raises:
        TransientError: Redis is in trouble.
    """
    name = connector(exchange)
    ledger = Ledger(redis, name, exchange, events_maxlen=0)
    unanswered = await RedisJournal(redis, name, events_maxlen=0).unanswered()
    return {
        *(record.order.symbol for record in unanswered),
        *(order.symbol for order in await ledger.accepted()),
        *(published.symbol for _, published in await ledger.open_orders()),
    }
