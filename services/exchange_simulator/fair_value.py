"""The price that a market's traders believe in: it wanders, or it trends and ranges."""

import math
from random import Random
from typing import NamedTuple

# It wanders this much an action, as a share of the price at the start.
NOISE = 0.00002
# Without phases it is drawn back to where it began by this share of the distance.
PULL_BACK = 0.00005
# So far from where the market began every trend leads back.
MAX_DISTANCE = 0.08


class Character(NamedTuple):
    """How often a market trends, and how far it goes, as shares of the price at the start.

    A trend moves it by `trend` from end to end. Otherwise it swings `swings` times around where it
    stood, by `swing` to each side. Each is a lowest and a highest number.
    """

    trend_share: float
    trend: tuple[float, float]
    swing: tuple[float, float]
    swings: tuple[int, int]


# Wide enough for what a round trip costs, 0.2 % in fees and the spread: who buys low and sells
# high gains on the one, who follows trends on the other.
RANGING = Character(0.25, (0.004, 0.01), (0.004, 0.007), (2, 3))
TRENDING = Character(0.75, (0.01, 0.025), (0.001, 0.002), (1, 2))


class Phase(NamedTuple):
    """A trend or a range: its length in actions, and how far it moves or swings, as a share."""

    actions: int
    trend: float
    swing: float
    swings: int

    def shift(self, action: int) -> float:
        """How far from its first price it is at an action, as a share of the market's start."""
        done = action / self.actions
        return self.trend * done + self.swing * math.sin(2 * math.pi * self.swings * done)


class FairValue:
    """One market's, in ticks, as a function of its random numbers and of how often it moved.

    *phase* is how many actions a trend or a range lasts on average; None: there are none, and the
    price is drawn back to where the market began.
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
        """Begin anew at *price*."""
        self._start = price
        self.price = float(price)
        self._phase: Phase | None = None
        self._action = 0

    def act(self) -> None:
        """One action further."""
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
        """Another phase; a trend leads back the more likely, the farther away the price is."""
        rng, character = self._phases, self._character
        actions = max(round(length * rng.uniform(0.5, 1.5)), 1)
        if rng.random() >= character.trend_share:
            return Phase(
                actions, 0.0, rng.uniform(*character.swing), rng.randint(*character.swings)
            )
        away = (self.price / self._start - 1) / MAX_DISTANCE
        direction = 1 if rng.random() < (1 - away) / 2 else -1
        return Phase(actions, rng.uniform(*character.trend) * direction, 0.0, 1)
