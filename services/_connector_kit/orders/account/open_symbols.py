"""The symbols of all orders without a final status, configured or not."""

from redis.asyncio import Redis

from common_models.stream_names import connector
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.execution.redis_journal import RedisJournal


async def symbols_in_use(redis: Redis, exchange: str) -> set[str]:
    """The symbols of all orders that are open, accepted or without a final answer.

    Raises:
        TransientError: Redis failed.
    """
    name = connector(exchange)
    ledger = Ledger(redis, name, exchange, events_maxlen=0)
    unanswered = await RedisJournal(redis, name, events_maxlen=0).unanswered()
    return {
        *(record.order.symbol for record in unanswered),
        *(order.symbol for order in await ledger.accepted()),
        *(published.symbol for _, published in await ledger.open_orders()),
    }
