"""The results of a bench as lines of a table: medians, ratios pair by pair, goals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.rig import Result

MB = 1 << 20
# Entries a second against cryptofeed's, at least.
RATE_GOALS = {"trades": 5.0, "books": 4.0, "tickers": 4.0}
WHAT = {
    "trades": "aggTrades into Redis, 10 symbols",
    "books": "depth diffs (20 + 20 levels) to top-20 books",
    "tickers": "tickers, 10 symbols",
}
CPU_GOAL = 0.5
MEMORY_GOAL = 1.0
P50_GOAL, P99_GOAL = 0.75, 1.0
LUNO_GOAL = 20_000
BOT_GOAL = 0.5


@dataclass(frozen=True)
class Pair:
    """Two runs that followed each other."""

    ours: Result
    theirs: Result


def _line(what: str, ours: str, theirs: str, ratio: str, goal: str, *, reached: bool) -> str:
    return f"| {what} | {ours} | {theirs} | {ratio} | {goal}{'' if reached else ': not reached'} |"


def _both(
    pairs: Sequence[Pair], value: Callable[[Result], float]
) -> tuple[float, float, float, str]:
    """Both medians, the median ratio, and all ratios' range."""
    ours = median(value(pair.ours) for pair in pairs)
    theirs = median(value(pair.theirs) for pair in pairs)
    ratios = [value(pair.ours) / value(pair.theirs) for pair in pairs]
    return ours, theirs, median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"


def burst_lines(work: str, pairs: Sequence[Pair]) -> list[str]:
    """Entries a second and CPU a frame."""
    ours, theirs, ratio, spread = _both(pairs, lambda result: result.rate)
    goal = RATE_GOALS[work]
    rate = _line(
        WHAT[work],
        f"{ours:,.0f}/s",
        f"{theirs:,.0f}/s",
        f"{ratio:.1f} ({spread})",
        f"at least {goal:g}",
        reached=ratio >= goal,
    )
    ours, theirs, ratio, spread = _both(pairs, lambda result: result.cpu_each)
    each = f"{ours * 1e6:.2f} µs | {theirs * 1e6:.1f} µs"
    cpu = f"| … CPU a frame | {each} | {ratio:.2f} ({spread}) | |"
    return [rate, cpu]


def lost_line(work: str, default: Result) -> str:
    """What cryptofeed's default loses of a burst."""
    return (
        f"cryptofeed's default (`drop_oldest`) in a burst of {work}: {default.rate:,.0f}/s come "
        f"out, {default.lost:.0%} of the frames are lost."
    )


def memory_line(pairs: Sequence[Pair]) -> str:
    """Resident memory during the bursts: its peak, and how much was added."""
    ours, theirs, ratio, spread = _both(pairs, lambda result: max(result.resident) / MB)
    added = [
        median((max(result.resident) - result.resident[0]) / MB for result in results)
        for results in zip(*((pair.ours, pair.theirs) for pair in pairs), strict=True)
    ]
    return _line(
        "resident memory during that burst, at most (added by it)",
        f"{ours:.0f} MB ({added[0]:+.0f})",
        f"{theirs:.0f} MB ({added[1]:+.0f})",
        f"{ratio:.2f} ({spread})",
        f"at most {MEMORY_GOAL:g}",
        reached=ratio <= MEMORY_GOAL,
    )


def _quantile(share: float) -> Callable[[Result], float]:
    def value(result: Result) -> float:
        ordered = sorted(result.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000

    return value


def steady_lines(pairs: Sequence[Pair]) -> list[str]:
    """CPU and latency at a steady rate."""
    ours, theirs, ratio, spread = _both(pairs, lambda result: result.cpu_each)
    lines = [
        _line(
            "CPU a trade, at 1,000 trades/s",
            f"{ours * 1e6:.0f} µs",
            f"{theirs * 1e6:.0f} µs",
            f"{ratio:.2f} ({spread})",
            f"at most {CPU_GOAL:g}",
            reached=ratio <= CPU_GOAL,
        )
    ]
    for share, name, goal in ((0.5, "p50", P50_GOAL), (0.9, "p90", None), (0.99, "p99", P99_GOAL)):
        ours, theirs, ratio, spread = _both(pairs, _quantile(share))
        lines.append(
            _line(
                f"frame sent to entry readable, at 1,000 trades/s, {name}",
                f"{ours:.2f} ms",
                f"{theirs:.2f} ms",
                f"{ratio:.2f} ({spread})",
                f"at most {goal:g}" if goal else "",
                reached=goal is None or ratio <= goal,
            )
        )
    return lines


def late_line(default: Result) -> str:
    """How long cryptofeed's default holds an entry back."""
    told = ", ".join(f"{_quantile(share)(default):.0f} ms" for share in (0.5, 0.99))
    return f"cryptofeed's default (batches of up to 0.5 s) at 1,000 trades/s, p50 and p99: {told}."


def luno_line(runs: Sequence[Result]) -> str:
    """Updates a second on Luno's busiest book."""
    rate = median(run.rate for run in runs)
    cpu = median(run.cpu_each for run in runs) * 1e6
    return _line(
        f"Luno updates on an 18,600-order book, each a book out ({cpu:.1f} µs CPU)",
        f"{rate:,.0f}/s",
        "",
        "",
        f"at least {LUNO_GOAL:,}/s",
        reached=rate >= LUNO_GOAL,
    )


def bot_line(rates: Mapping[str, Sequence[float]]) -> str:
    """The bot's reading against a bare XREAD."""
    shares = [ours / bare for ours, bare in zip(rates["bot"], rates["bare"], strict=True)]
    ratio = median(shares)
    return _line(
        "bot: stream to validated model, against a bare XREAD",
        f"{median(rates['bot']):,.0f}/s",
        f"XREAD: {median(rates['bare']):,.0f}/s",
        f"{ratio:.2f} ({min(shares):.2f} to {max(shares):.2f})",
        f"at least {BOT_GOAL:g}",
        reached=ratio >= BOT_GOAL,
    )
