"""Publishes balances, and never an older one after a newer one.

Two sequences separate older from newer, and neither alone is enough (docs/adr/0012):

* the venue's own version, if it gives one: it orders the pushed balances;
* Redis's clock: a balance published before a request was sent is not newer than its reply.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from redis.asyncio import Redis

from common_models import AccountBalanceEvent
from common_models.stream_names import EventStream
from services._connector_kit.orders.account.venue import Balance
from services._connector_kit.orders.keys import balances_key
from services._runtime.redis_transaction import Change, reading, transact

# A version is venue milliseconds times this, plus a number within the millisecond.
PER_MILLISECOND = 1000
# In microseconds: how far a venue's reply may lag behind its pushed balances.
LAG = 10_000_000


class BalanceUpdate(NamedTuple):
    """Balances from the venue: pushed, or the reply to a request.

    `version` is the venue's own; 0 if it gives none. `received_at` is the time of receipt in venue
    milliseconds. `asked_at` is Redis's time in microseconds before the request was sent; None for
    pushed balances.
    """

    balances: Sequence[Balance]
    version: int
    received_at: int
    asked_at: int | None = None


class PublishedBalance(NamedTuple):
    """The last published balance of an asset.

    `version` is the venue's own. Pushed balances up to the version `includes` may be included
    already. `published_at` is Redis's time in microseconds.
    """

    amounts: str
    version: int = 0
    includes: int = 0
    published_at: int = 0

    @classmethod
    def read(cls, text: bytes) -> "PublishedBalance":
        """Parse the text in Redis; an earlier release wrote only the amounts."""
        free, locked, *numbers = text.decode().split()
        return cls(f"{free} {locked}", *map(int, numbers))

    def __str__(self) -> str:
        """The text in Redis."""
        return f"{self.amounts} {self.version} {self.includes} {self.published_at}"

    def after(self, update: BalanceUpdate, amounts: str, now: int) -> "PublishedBalance":
        """The state after publishing *update*; *now* is Redis's time in microseconds."""
        if update.asked_at is None:
            return PublishedBalance(amounts, update.version, 0, now)
        if amounts == self.amounts and self.published_at >= update.asked_at:
            return self  # unchanged; the state published meanwhile is newer
        includes = max(update.received_at * PER_MILLISECOND + PER_MILLISECOND - 1, update.version)
        return PublishedBalance(amounts, update.version, includes, now)

    def may_be_newer(self, update: BalanceUpdate, now: int) -> bool:
        """True if this balance may be newer than *update*."""
        if update.asked_at is None:
            return update.version <= max(self.version, self.includes)
        if self.published_at > now:
            return False  # Redis's clock was set back: it can't be compared
        lags = 0 < update.version < self.version and update.asked_at - self.published_at < LAG
        return self.published_at >= update.asked_at or lags


NOTHING = PublishedBalance("0 0")


class PublishedBalances:
    """The published balances of one account, kept in Redis beside the stream.

    Every change reads the published balances, and writes the event and the new state in one
    transaction. So the same update publishes nothing a second time, from another instance or after
    a lost reply.
    """

    def __init__(self, redis: Redis, connector: str, exchange: str, events_maxlen: int) -> None:
        self._redis: Any = redis
        self._exchange = exchange
        self._maxlen = events_maxlen
        self._stream = str(EventStream(connector, "account_balance"))
        self._key = balances_key(connector)

    async def now(self) -> int:
        """Redis's time in microseconds. Raises TransientError."""
        return _microseconds(await reading(self._redis.time()))

    async def assets(self) -> set[str]:
        """The assets whose last published balance is not zero. Raises TransientError."""
        found = await reading(self._redis.hgetall(self._key))
        read = {asset.decode(): PublishedBalance.read(text) for asset, text in found.items()}
        return {asset for asset, kept in read.items() if kept.amounts != NOTHING.amounts}

    async def publish(self, update: BalanceUpdate, *, all_of: Sequence[str] | None = None) -> bool:
        """Publish the balances that changed, including those that became zero.

        The assets of *all_of* are published even if unchanged; empty: all that are not zero. False
        if a balance was withheld because the published one may be newer: request a new snapshot.

        Raises:
            TransientError: Redis failed; publishing again is safe.
        """

        async def decide(change: Change) -> bool:
            words, time = change.found
            now = _microseconds(time)
            kept = {
                asset.decode(): PublishedBalance.read(text)
                for asset, text in zip(words[::2], words[1::2], strict=True)
            }
            complete = True
            for balance in update.balances:
                before = kept.get(balance.asset, NOTHING)
                changed = before.amounts != balance.amounts
                if changed and before.may_be_newer(update, now):
                    complete = False
                elif changed or _asked_for(balance, all_of):
                    after = before.after(update, balance.amounts, now)
                    kept[balance.asset] = after
                    change.write("HSET", self._key, balance.asset, str(after))
                    self._publish(change, self._event(balance, update.received_at))
            return complete

        reads = [("HGETALL", self._key), ("TIME",)]
        return await transact(self._redis, [self._key], reads, decide)

    def _event(self, balance: Balance, at: int) -> AccountBalanceEvent:
        return AccountBalanceEvent(
            exchange=self._exchange,
            asset=balance.asset,
            free=float(balance.free),
            locked=float(balance.locked),
            total=float(balance.free + balance.locked),
            timestamp=datetime.fromtimestamp(at / 1000, UTC),
        )

    def _publish(self, change: Change, event: AccountBalanceEvent) -> None:
        data = event.model_dump_json()
        change.write("XADD", self._stream, "MAXLEN", "~", self._maxlen, "*", "data", data)


def _microseconds(time: Any) -> int:
    """Microseconds from the reply to TIME."""
    seconds, micro = time
    return int(seconds) * 1_000_000 + int(micro)


def _asked_for(balance: Balance, all_of: Sequence[str] | None) -> bool:
    if all_of is None:
        return False
    return balance.asset in all_of if all_of else not balance.is_zero
