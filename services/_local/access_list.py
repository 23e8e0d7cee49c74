"""The Redis ACL: one user per service, with only the permissions that it needs.

An ACL file as https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ has it:
each bracket is a selector, and a command must be allowed as a whole by one of them.
"""

import hashlib
from collections.abc import Mapping

from services._runtime.exchanges import EXCHANGES

# Commands without keys that every service's connection, clock and transactions need.
CONNECTION = (
    "+auth +hello +ping +select +client|setname +client|id "
    "+info +time +multi +exec +discard +unwatch"
)
READ_STREAM = "+xread +xrange +xrevrange +xlen +xinfo|stream"
CONSUME = (
    "+xgroup|create +xreadgroup +xautoclaim +xack +xpending +xinfo|groups "
    "+xinfo|stream +xlen +xrange +xrevrange +xtrim +xdel +watch "
    # To repair a stream that has an entry with an id in the future.
    "+xsetid +xgroup|setid"
)
KEEP_STATE = (
    "+watch +get +mget +set +incrby +exists +pexpire +persist +hget +hmget +hset +hdel +hgetall "
    "+hincrby +hlen +sadd +srem +smembers +scard "
    "+zadd +zrem +zrange +zremrangebyscore +zcount +zintercard +zscore"
)
READ_ANYTHING = (
    "+xinfo|groups +xinfo|consumers +xpending +type +ttl +exists "
    "+get +mget +hget +hmget +hgetall +lrange +smembers +zrange"
)
TRADING = "control:trading"
HALT = "control:halt"
BOT_HEARTBEAT = "bot:state:heartbeat"
OPERATOR = "operator"


def _connector(exchange: str) -> list[str]:
    """Reads its own commands, writes its own events and market data.

    It halts if Redis lost data or is full. SETNX, unlike SET, does not change an existing halt.
    """
    name = f"{exchange}_connector"
    return [
        # Before it writes again, it kills the connection that it lost.
        "+client|kill",
        f"(%RW~{name}:commands:* %RW~{name}:operator:* {CONSUME})",
        f"(%RW~{name}:events:* %RW~{name}:dead_letter:* %RW~{exchange}:* +xadd +xrevrange)",
        f"(%RW~{name}:state:* {KEEP_STATE})",
        f"(%R~{TRADING} %R~{HALT} +watch +get)",
        f"(%RW~{TRADING} +setnx +del)",
        f"(%RW~{HALT} +setnx +persist)",
        f"(%R~{BOT_HEARTBEAT} +get)",
    ]


def _markets() -> str:
    return " ".join(f"%R~{exchange}:*" for exchange in EXCHANGES)


def _indicators() -> list[str]:
    """Reads market data, writes values, and its state in the same transaction."""
    return [
        f"({_markets()} {READ_STREAM})",
        "(%RW~indicators:* +xadd)",
        "(%RW~indicator_host:state:* +watch +hget +hgetall +hset +del +lrange +rpush +ltrim)",
    ]


def _bot() -> list[str]:
    """Reads all events and market data, sends commands, writes its own events; can't resume."""
    connectors = " ".join(f"%R~{exchange}_connector:events:*" for exchange in EXCHANGES)
    commands = " ".join(f"%W~{exchange}_connector:commands:*" for exchange in EXCHANGES)
    instruments = " ".join(f"%R~{exchange}_connector:state:instruments" for exchange in EXCHANGES)
    return [
        f"({instruments} +hget)",
        "(%R~indicator_host:state:progress +hmget)",
        # One XREAD covers all of them.
        f"({_markets()} {connectors} %R~indicators:* {READ_STREAM})",
        f"({commands} +xadd)",
        "(%RW~bot:events:* +xadd +xrevrange)",
        # One WATCH covers the bot's books and the halt switch.
        f"(%R~bot:state:* %R~{TRADING} %R~{HALT} +watch +get)",
        "(%RW~bot:state:* +get +set +hget +hmget +hgetall +hset +hdel +del)",
    ]


def _operator() -> list[str]:
    """The operator, with tradectl: reads everything, sends commands, halts and resumes.

    No other user may write to the operator's streams, which connectors read before all others.
    """
    commands = " ".join(f"%W~{exchange}_connector:commands:*" for exchange in EXCHANGES)
    emergencies = " ".join(f"%W~{exchange}_connector:operator:*" for exchange in EXCHANGES)
    return [
        "+scan +dbsize +memory|usage +acl|whoami",
        f"(%R~* {READ_STREAM} {READ_ANYTHING})",
        f"({commands} {emergencies} +xadd)",
        f"(%RW~{TRADING} %RW~{HALT} +get +set +del +watch)",
    ]


USERS: Mapping[str, list[str]] = {
    **{f"{exchange}_connector": _connector(exchange) for exchange in EXCHANGES},
    "indicators": _indicators(),
    "bot": _bot(),
    OPERATOR: _operator(),
}
ADMIN = "admin"  # for backups, upgrades and repairs: everything


def access_list(passwords: Mapping[str, str]) -> str:
    """The file's text; a password for each of `USERS` and for `ADMIN`, kept as its hash only.

    Raises:
        KeyError: a user without a password.
    """
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    for user, rules in USERS.items():
        lines.append(
            f"user {user} on {_hash(passwords[user])} -@all {CONNECTION} {' '.join(rules)}"
        )
    lines.append(f"user {ADMIN} on {_hash(passwords[ADMIN])} ~* &* +@all")
    # For the container's health check: it may only PING, so it needs no password.
    lines.append("user health on nopass -@all +ping")
    return "\n".join(lines) + "\n"


def _hash(password: str) -> str:
    return "#" + hashlib.sha256(password.encode()).hexdigest()
