"""What goes wrong on the wires of a world: for each kind of fault, how likely it is per call."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Faults:
    """Probabilities; 0 is never.

    Those of the POST: `lost` before the venue has it; `late`, held up in the network and in the
    engine's queue; `fails_before` and `fails_after`, a 5xx without and with execution; `no_reply`,
    executed, then silence; `refused`, with a definitive code. `hidden` orders don't show up in
    queries for up to five minutes. `skewed` processes have a wrong idea of the venue's clock.
    """

    lost: float = 0.0
    late: float = 0.0
    fails_before: float = 0.0
    fails_after: float = 0.0
    no_reply: float = 0.0
    refused: float = 0.0
    banned: float = 0.0
    halted: float = 0.0
    hidden: float = 0.0
    query_errors: float = 0.0
    skewed: float = 0.0
    redis_before: float = 0.0
    redis_after: float = 0.0


FAULTS = {
    "none": Faults(),
    "lost": Faults(lost=0.4),
    "late": Faults(late=0.5),
    "5xx before": Faults(fails_before=0.4),
    "5xx after": Faults(fails_after=0.4),
    "no reply": Faults(no_reply=0.4),
    "refused": Faults(refused=0.3, halted=0.2),
    "banned": Faults(banned=0.5, lost=0.1),
    "hidden": Faults(hidden=0.5, no_reply=0.4, late=0.2, query_errors=0.1),
    "queries": Faults(query_errors=0.5, lost=0.2, no_reply=0.2),
    "skewed": Faults(skewed=1.0, late=0.3, no_reply=0.2),
    "redis": Faults(redis_before=0.05, redis_after=0.05),
    "all": Faults(
        lost=0.08,
        late=0.1,
        fails_before=0.06,
        fails_after=0.08,
        no_reply=0.1,
        refused=0.06,
        banned=0.1,
        halted=0.03,
        hidden=0.15,
        query_errors=0.15,
        skewed=0.3,
        redis_before=0.03,
        redis_after=0.03,
    ),
}


def certain(fault: str) -> Faults:
    """The one fault of that name, on every call.

    Raises:
        ValueError: there is no fault of that name.
    """
    names = [field.name for field in fields(Faults)]
    if fault not in names:
        raise ValueError(f"fault={fault!r}; want one of {', '.join(names)}")
    return Faults(**{fault: 1.0})
