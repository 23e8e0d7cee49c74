"""The halt switch: two keys, `control:trading` and `control:halt`, and what they say together.

Orders leave only while `control:trading` is there and `control:halt` is not. So halting needs no
memory in Redis: it deletes `control:trading`, and sets `control:halt` to the reason as far as that
goes. A Redis that lost both keys is halted.
"""

import json
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import HALT, TRADING

# Of a reason that is longer, this much is shown: it stands in every refusal.
MAX_REASON_LENGTH = 200
NO_REASON = "no reason given"
NEVER_RESUMED = "nobody has resumed trading on this Redis; `tradectl resume` does"


def halt_reason(trading: bytes | None, halt: bytes | None) -> str | None:
    """Why trading is halted, by the two keys' values, any bytes; None where it isn't."""
    if halt is not None:
        return halt[:MAX_REASON_LENGTH].decode("utf-8", "replace") or NO_REASON
    return NEVER_RESUMED if trading is None else None


async def read_halt_reason(redis: Redis) -> str | None:
    """Why trading is halted now, from Redis; None if it is not.

    Raises:
        RedisError, OSError: the switch can't be read.
    """
    client: Any = redis
    return halt_reason(await client.get(TRADING), await client.get(HALT))


def trading_permission(by: str) -> str:
    """The value of `control:trading` that lets orders go: who allowed it, and when.

    It differs from every value before: that is how a running connector recognises a resume.
    """
    return json.dumps({"by": by, "at": datetime.now(UTC).isoformat()})
