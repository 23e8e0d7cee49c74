"""Loads the bot's state: the saved fields, and the latest entries of each stream."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models import AccountBalanceEvent
from services._runtime.entry_ids import entry_milliseconds
from services._runtime.lifecycle import FatalError
from services._runtime.redis_client import explain
from services._runtime.stream_position import StreamPosition, entry_data
from services._runtime.supervise import TransientError
from services.bot.data_provider import RECENT_TRADES
from services.bot.journal import POSITIONS, SAVED_STATE
from services.bot.portfolio_state import BotOrder, Holding, PortfolioState
from services.bot.rejections import Rejections
from services.bot.view import Sources

log = structlog.get_logger()

# The fields of the hash: one for each order, and one for everything else.
ORDER = "order:"
REST = "rest"


class SavedBalance(msgspec.Struct, frozen=True):
    """One balance, as it is saved."""

    exchange: str
    asset: str
    event: str  # the event's JSON


class Saved(msgspec.Struct):
    """The state except for orders, as it is saved."""

    sent: list[float]
    holdings: dict[str, Holding]
    balances: list[SavedBalance]
    strategies: dict[str, msgspec.Raw]
    rejections: dict[str, Rejections] = msgspec.field(default_factory=dict)


class FeesAsMoney(msgspec.Struct):
    """The fees of an order as an earlier release saved them: in the quote asset."""

    fees: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class SavedState:
    """The saved state, decoded."""

    state: PortfolioState
    balances: list[AccountBalanceEvent]
    states: dict[str, msgspec.Raw]


class StateEncoder:
    """Makes the fields of the hash; a closed order is encoded once."""

    def __init__(self) -> None:
        self._ended: dict[str, tuple[BotOrder, bytes]] = {}

    def encode(
        self,
        state: PortfolioState,
        balances: Iterable[AccountBalanceEvent],
        states: dict[str, msgspec.Raw],
    ) -> dict[str, bytes]:
        """One field for each order, and one for everything else."""
        saved = [SavedBalance(b.exchange, b.asset, b.model_dump_json()) for b in balances]
        rest = Saved(state.sent, state.holdings, saved, states, state.rejections)
        fields = {f"{ORDER}{order.id}": self._order(order) for order in state.orders.values()}
        self._ended = {i: known for i, known in self._ended.items() if i in state.orders}
        return {**fields, REST: msgspec.json.encode(rest)}

    def _order(self, order: BotOrder) -> bytes:
        if not order.ended:
            return msgspec.json.encode(order)
        known = self._ended.get(order.id)
        if known is not None and known[0] == order:
            return known[1]
        data = msgspec.json.encode(order)
        self._ended[order.id] = (msgspec.structs.replace(order), data)
        return data


def decode(fields: Mapping[str, bytes]) -> SavedState:
    """Decode the fields that `StateEncoder` made, also those of earlier releases.

    Raises:
        FatalError: they are invalid. The bot never guesses its positions.
    """
    try:
        saved = msgspec.json.decode(fields[REST], type=Saved)
        found = [
            _order(data, saved.holdings) for name, data in fields.items() if name.startswith(ORDER)
        ]
        balances = [AccountBalanceEvent.model_validate_json(b.event) for b in saved.balances]
    except (KeyError, msgspec.DecodeError, ValueError) as e:
        raise FatalError(
            f"{SAVED_STATE} can't be read: {e}; expected what this bot wrote. To start with an "
            f"empty portfolio, stop trading, and delete {SAVED_STATE} and {POSITIONS}"
        ) from e
    orders = {order.id: order for order in sorted(found, key=lambda order: order.sent_at)}
    state = PortfolioState(orders, saved.sent, saved.holdings, saved.rejections)
    return SavedState(state, balances, saved.strategies)


def _order(data: bytes, holdings: Mapping[str, Holding]) -> BotOrder:
    order = msgspec.json.decode(data, type=BotOrder)
    money = msgspec.json.decode(data, type=FeesAsMoney).fees
    holding = holdings.get(order.strategy)
    if not money or holding is None:
        return order
    if order.side == "sell" or not order.spent:
        order.fees_paid[holding.quote] = money
        return order
    # The fee of a buy was taken from the bought quantity.
    amount = round(money * order.filled / order.spent, 10)
    order.fees_paid[holding.base] = amount
    holding.quantity -= amount
    holding.cash += money
    return order


async def reload(redis: Redis, sources: Sources) -> None:
    """Load the latest entries of the streams, up to the saved positions.

    The stream reader reads the later ones.

    Raises:
        TransientError: Redis failed.
    """
    names = [*sources.provider.feeds, *sources.connectors.streams, *sources.indicators]
    try:
        saved: Any = await redis.hmget(POSITIONS, names)
        pipe = redis.pipeline(transaction=False)
        pipe.time()
        for name, position in zip(names, saved, strict=True):
            feed = sources.provider.feeds.get(name)
            count = RECENT_TRADES if feed and feed.data_type == "trades" else 1
            pipe.xrevrange(name, _upto(position), "-", count)
        (seconds, microseconds), *replies = await pipe.execute()
    except (RedisError, OSError) as e:  # a TimeoutError is an OSError
        raise TransientError(explain(e)) from e
    offset = sources.clock() - (seconds + microseconds / 1e6)
    for name, entries in zip(names, replies, strict=True):
        flat = [(i.decode(), entry_data(_flat(fields))) for i, fields in reversed(entries)]
        if flat:
            _remember(sources, name, flat, offset)


def _remember(sources: Sources, name: str, entries: list[tuple[str, bytes]], offset: float) -> None:
    received_at = entry_milliseconds(entries[-1][0]) / 1000 + offset
    if name in sources.connectors.streams:
        sources.connectors.handle(name, entries[-1][1], received_at)
    elif name in sources.indicators:
        sources.indicators[name].handle(entries, received_at, -offset, _ignored)
    else:
        sources.provider.feeds[name].reload([data for _, data in entries], received_at)


def _ignored(*_: object) -> None:
    """Does nothing: entries from before the start are not decided on again."""


def _flat(fields: dict[bytes, bytes]) -> list[bytes]:
    return [word for pair in fields.items() for word in pair]


def _upto(position: bytes | None) -> str:
    try:
        return StreamPosition.parse(position.decode()).id if position else "+"
    except ValueError:
        return "+"
