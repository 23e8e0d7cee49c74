"""The switch `control:halt`: why trading is halted, as whoever set it says."""

# Of a reason that is longer, this much is told: it stands in every refusal.
MOST_SHOWN = 200


def halt_reason(found: bytes | None) -> str | None:
    """The reason in the key's value, any bytes; None where the key isn't there: not halted."""
    if found is None:
        return None
    return found[:MOST_SHOWN].decode("utf-8", "replace") or "no reason given"
