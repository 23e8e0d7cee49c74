"""Nobody writes to a key that isn't its own: every user, every kind of key, every way to write."""

from collections.abc import Iterator

import pytest
from redis.exceptions import NoPermissionError

from common_models.stream_names import HALT, TRADING
from services._local.access_list import OPERATOR, USERS
from services._runtime.exchanges import EXCHANGES
from tests.support.attempts import Attempts
from tests.support.redis.secure import Guarded

CONNECTORS = tuple(f"{name}_connector" for name in EXCHANGES)
BOOKS = (
    *("world", "lease", "redis", "beat", "deleted_commands", "unanswered", "sending", "sent:bot"),
    *("order:id", "answered:cancel_order:1-0", "open_orders", "accepted_orders", "fills_missing"),
    *("told:BTC/USDT:1", "told_as:id", "ghosts", "trades_mark", "balances"),
)
COMMANDS = ("place_order", "cancel_order", "cancel_all_orders", "query_order", "request_balance")
EVENTS = (
    *("order_response", "order_status", "command_response", "account_balance"),
    "connector_status",
)
# Whose each kind of key is: who writes to it.
OWNERS = {
    **{f"{c}:state:{book}": {c} for c in CONNECTORS for book in BOOKS},
    **{f"{c}:events:{event}": {c} for c in CONNECTORS for event in EVENTS},
    **{f"{c}:dead_letter:place_order": {c} for c in CONNECTORS},
    **{f"{n}:BTCUSDT:{k}": {f"{n}_connector"} for n in EXCHANGES for k in ("trades", "orderbook")},
    **{f"{c}:commands:{command}": {c, "bot", OPERATOR} for c in CONNECTORS for command in COMMANDS},
    **{f"{c}:operator:cancel_all_orders": {c, OPERATOR} for c in CONNECTORS},
    **{f"{c}:operator:cancel_order": {c, OPERATOR} for c in CONNECTORS},
    **{f"bot:{key}": {"bot"} for key in ("events:decision", "state:books", "state:heartbeat")},
    "indicators:rsi_14:binance:BTCUSDT": {"indicators"},
    "indicator_host:state:binance:BTCUSDT:trades:1m": {"indicators"},
    HALT: {OPERATOR, *CONNECTORS},
    TRADING: {OPERATOR, *CONNECTORS},
}
WRITES = (
    *("SET {} x", "SET {} x PX 1", "SETNX {} x", "SETEX {} 1 x", "GETSET {} x", "GETDEL {}"),
    *("GETEX {} PX 1", "APPEND {} x", "SETRANGE {} 0 x", "INCR {}", "INCRBY {} 9", "SETBIT {} 0 1"),
    *("MSET {} x", "MSETNX {} x", "PFADD {} x", "GEOADD {} 1 1 x", "BITOP NOT {} {}"),
    *("DEL {}", "UNLINK {}", "EXPIRE {} 1", "PEXPIRE {} 1", "EXPIREAT {} 1", "PERSIST {}"),
    *(
        "RENAME {} {}",
        "RENAMENX {} {}",
        "COPY {} {} REPLACE",
        "MOVE {} 1",
        "RESTORE {} 0 x REPLACE",
    ),
    *("SORT {} STORE {}", "HSET {} f x", "HSETNX {} f x", "HDEL {} f", "HINCRBY {} f 1"),
    *("SADD {} x", "SREM {} x", "SPOP {}", "SMOVE {} {} x", "SUNIONSTORE {} {}"),
    *("ZADD {} 1 x", "ZREM {} x", "ZINCRBY {} 1 x", "ZPOPMIN {}", "ZREMRANGEBYSCORE {} 0 9"),
    *("ZUNIONSTORE {} 1 {}", "LPUSH {} x", "RPUSH {} x", "LPOP {}", "LTRIM {} 1 0", "LSET {} 0 x"),
    *("XADD {} * data x", "XADD {} MAXLEN 0 * data x", "XADD {} 18446744073709551615-1 data x"),
    *("XTRIM {} MAXLEN 0", "XDEL {} 1-0", "XSETID {} 1-0", "XGROUP CREATE {} g 0 MKSTREAM"),
    *("XGROUP DESTROY {} g", "XGROUP SETID {} g 0", "XGROUP DELCONSUMER {} g c", "XACK {} g 1-0"),
    *("XREADGROUP GROUP g c STREAMS {} >", "XCLAIM {} g c 0 1-0", "XAUTOCLAIM {} g c 0 0"),
)
# An owner that shares a key has no other way to write to it than these.
MAY = {
    "bot": ("XADD",),
    OPERATOR: ("XADD", "SET {}", "DEL {}"),
}
CONNECTOR_MAY = {TRADING: ("SETNX {}", "DEL {}"), HALT: ("SETNX {}", "PERSIST {}")}


def _tries(user: str) -> Iterator[str]:
    """What that user may not do, as the keys' owners are."""
    for key, owners in OWNERS.items():
        for write in WRITES:
            if user in owners and _may(user, key, write):
                continue
            yield write.replace("{}", key)


def _may(user: str, key: str, write: str) -> bool:
    if user in CONNECTORS:
        return key not in CONNECTOR_MAY or write.startswith(CONNECTOR_MAY[key])
    shared = len(OWNERS[key]) > 1
    return not shared or write.startswith(MAY[user])


@pytest.mark.parametrize("user", USERS)
async def test_no_user_writes_to_a_key_that_is_anothers(
    guarded: Guarded, user: str, attempt: Attempts
) -> None:
    """For real: the server refuses each of them."""
    tries = list(_tries(user))
    async with guarded.user(user) as client, client.pipeline(transaction=False) as pipe:
        for command in tries:
            pipe.execute_command(*command.split())
        answers = await pipe.execute(raise_on_error=False)
    succeeded = []
    for command, answer in zip(tries, answers, strict=True):
        refused = isinstance(answer, NoPermissionError)
        attempt(f"{user} (secure mode)", "write to a key that is not its own", not refused)
        if not refused:
            succeeded.append((command, answer))
    assert succeeded == []
    assert await guarded.admin.dbsize() == 0
