"""The halt switch: the keys `control:trading` and `control:halt`.

Orders are sent only while `control:trading` exists and `control:halt` does not. So halting needs
no memory in Redis: it deletes `control:trading`, and then tries to set `control:halt` to the
reason. Without both keys, trading is halted.
"""

import json
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import HALT, TRADING

# In bytes. A longer reason is cut: every rejection repeats it.
MAX_REASON_LENGTH = 200
NO_REASON = "no reason given"
NEVER_RESUMED = "trading has not been resumed on this Redis; run `tradectl resume`"


def halt_reason(trading: bytes | None, halt: bytes | None) -> str | None:
    """Why trading is halted, from the values of the two keys (any bytes); None if it is not."""
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
    """The value of `control:trading` that allows orders: JSON with who resumed, and when.

    Each value is different, so that a running connector detects the resume.
    """
    return json.dumps({"by": by, "at": datetime.now(UTC).isoformat()})
