"""The fair value of a market: a random walk, or a sequence of trends and ranges."""

import math
from random import Random
from typing import NamedTuple

# Standard deviation of one step of the random walk, as a share of the starting price.
NOISE = 0.00002
# Without phases each step returns this share of the distance to the starting price.
PULL_BACK = 0.00005
# At this distance from the starting price every trend leads back to it.
MAX_DISTANCE = 0.08


class Character(NamedTuple):
    """How often a market trends, and how far it goes, as shares of the price at the start.

    A trend moves the price by `trend` from end to end. A range moves it `swings` times around its
    first price, by `swing` to each side. Each is a lowest and a highest value.
    """

    trend_share: float
    trend: tuple[float, float]
    swing: tuple[float, float]
    swings: tuple[int, int]


# Wide enough to cover a round trip: 0.2 % in fees, and the spread. A mean-reverting strategy gains
# in the first kind of market, a trend-following strategy in the second.
RANGING = Character(0.25, (0.004, 0.01), (0.004, 0.007), (2, 3))
TRENDING = Character(0.75, (0.01, 0.025), (0.001, 0.002), (1, 2))


class Phase(NamedTuple):
    """A trend or a range: its length in actions, and how far it moves or swings, as a share."""

    actions: int
    trend: float
    swing: float
    swings: int

    def shift(self, action: int) -> float:
        """The distance from the phase's first price at *action*, as a share of the start price."""
        done = action / self.actions
        return self.trend * done + self.swing * math.sin(2 * math.pi * self.swings * done)


class FairValue:
    """One market's fair value in ticks, a function of its random numbers and its steps alone.

    *phase* is the average length of a trend or a range in actions; with None there are none, and
    the price returns to the starting price.
    """

    def __init__(
        self, start: int, noise: Random, phases: Random, character: Character, phase: int | None
    ) -> None:
        self._noise = noise
        self._phases = phases
        self._character = character
        self._length = phase
        self.move(start)

    def move(self, price: int) -> None:
        """Restart at *price* (ticks)."""
        self._start = price
        self.price = float(price)
        self._phase: Phase | None = None
        self._action = 0

    def act(self) -> None:
        """Advance by one action."""
        self.price += self._noise.gauss(0.0, NOISE) * self._start
        if self._length is None:
            self.price += PULL_BACK * (self._start - self.price)
            return
        phase = self._phase
        if phase is None or self._action == phase.actions:
            phase = self._phase = self._next(self._length)
            self._action = 0
        moved = phase.shift(self._action + 1) - phase.shift(self._action)
        self.price += moved * self._start
        self._action += 1

    def _next(self, length: int) -> Phase:
        """Draw a phase; the farther the price is away, the more likely a trend leads back."""
        rng, character = self._phases, self._character
        actions = max(round(length * rng.uniform(0.5, 1.5)), 1)
        if rng.random() >= character.trend_share:
            return Phase(
                actions, 0.0, rng.uniform(*character.swing), rng.randint(*character.swings)
            )
        away = (self.price / self._start - 1) / MAX_DISTANCE
        direction = 1 if rng.random() < (1 - away) / 2 else -1
        return Phase(actions, rng.uniform(*character.trend) * direction, 0.0, 1)
