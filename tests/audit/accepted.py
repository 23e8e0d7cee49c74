"""Known vulnerabilities that are accepted for a time: each with its reason and last day."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Accepted:
    """One vulnerability, by any of its ids, of one package; the last day on which it passes."""

    package: str
    vulnerability: str
    reason: str
    until: date


ACCEPTED: tuple[Accepted, ...] = ()
