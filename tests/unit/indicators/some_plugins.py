"""Plugins as a user might write them, good and bad."""

from typing import Any

from services.indicators.candles import Candle


class Highest:
    """The highest price of the last candles."""

    name = "highest"
    outputs: Any = ("",)
    REMEMBERS = 1

    def __init__(self, period: int) -> None:
        self.memory = period * self.REMEMBERS
        self._highs: list[float] = []

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """The highest, once there are enough candles."""
        self._highs = [*self._highs, candle.high][-self.memory :]
        return (max(self._highs),) if len(self._highs) == self.memory else None


class Named(Highest):
    """One that an entry point gives another name than its own."""

    name = "named"


class Taken(Highest):
    """One that calls itself as ours does."""

    name = "rsi"


class Shouting(Highest):
    """One whose name no stream may have."""

    name = "Highest!"


class Mute(Highest):
    """One that says nothing."""

    outputs = ()


class Twice(Highest):
    """One that says two things under one name."""

    outputs = ("", "")


class Wordy(Highest):
    """One that takes a text."""

    name = "wordy"

    def __init__(self, text: str) -> None:
        super().__init__(len(text))


class Failing(Highest):
    """One that can't say anything."""

    name = "failing"

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """It divides by what it hasn't got."""
        raise ZeroDivisionError(f"nothing to divide {candle.high} by")


class Idle:
    """One that can't be fed."""

    name = "idle"
    outputs = ("",)


A_NUMBER = 5
