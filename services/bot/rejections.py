"""The delay before the next order after a rejection. Pure."""

from typing import Literal

import msgspec

# Temporary reasons: the same order may be accepted a moment later.
PASSING = frozenset(
    {
        *("account_unavailable", "book_out_of_sync", "clock", "expired", "halt_unreadable"),
        *("halted", "max_open_orders", "no_liquidity", "not_found", "orders_per_minute"),
        *("post_only_mode", "rate_limited", "redis_unfit", "symbol_not_trading"),
    }
)
# In seconds. After a lasting reason the delay doubles with each rejection in a row.
PASSING_WAIT = 2.0
FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0


class Rejections(msgspec.Struct, frozen=True):
    """The rejections in a row of one strategy's orders on one side; `at` is when, in seconds."""

    at: float
    reason_code: str
    message: str
    lasting: int  # how many of them had a lasting reason

    def left(self, now: float) -> float:
        """The rest of the delay, in seconds; 0 if the clock was set back."""
        wait = PASSING_WAIT
        if self.reason_code not in PASSING:
            wait = min(FIRST_WAIT * 2.0 ** min(self.lasting - 1, 30), LONGEST_WAIT)
        return max(0.0, self.at + wait - now) if now >= self.at else 0.0


def after(before: Rejections | None, at: float, reason_code: str, message: str) -> Rejections:
    """The rejections in a row after one more."""
    lasting = (before.lasting if before else 0) + (reason_code not in PASSING)
    return Rejections(at, reason_code, message, lasting)


def about(strategy: str, side: Literal["buy", "sell"]) -> str:
    """The key of the rejections of one strategy and side."""
    return f"{strategy} {side}"
