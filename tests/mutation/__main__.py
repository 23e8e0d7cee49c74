"""Plant each bug in a copy of the code and see which test notices it: `make mutation`."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.mutation.mutant import Mutant
from tests.mutation.mutants import MUTANTS
from tests.mutation.run import BrokenRunError, Copy, Verdict

WANTED = 0.95


def main() -> int:
    """0 if enough mutants are killed, and each survivor is one that is accounted for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at once")
    parser.add_argument("--only", default="", help="those whose file or name holds this text")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.only in f"{m.path}: {m.name}"]
    if not chosen:
        parser.error(f"no mutant's file or name holds {options.only!r}")
    started = time.monotonic()
    try:
        verdicts = list(_tried(chosen, options.jobs))
    except BrokenRunError as e:
        _say(f"the tests couldn't be run: {e}")
        return 1
    return _report(verdicts, time.monotonic() - started)


def _tried(mutants: Sequence[Mutant], jobs: int) -> Iterable[Verdict]:
    """The verdicts, each said as it comes.

    Raises:
        BrokenRunError: also where a test fails on the code as it is.
    """
    with TemporaryDirectory(prefix="mutation-") as folder, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for i in range(jobs):
            copies.put(Copy(Path(folder) / str(i)))

        def judged(mutant: Mutant | None, path: str) -> Verdict:
            copy = copies.get()
            try:
                return copy.try_on(mutant) if mutant else copy.try_unchanged(path)
            finally:
                copies.put(copy)

        # One file's tiers and another's differ in the mirrors only, which the others hold.
        sound = judged(None, mutants[0].path)
        if sound.killed_in:
            raise BrokenRunError(f"{sound.by} fails on the code as it is")
        _say(f"the code as it is passes, in {sound.took:.0f} s")
        work = [pool.submit(judged, mutant, mutant.path) for mutant in mutants]
        try:
            for done in as_completed(work):
                yield _said(done.result())
        finally:
            pool.shutdown(cancel_futures=True)


def _said(verdict: Verdict) -> Verdict:
    mutant = verdict.mutant
    name = (
        f"{Path(mutant.path).parent.name}/{Path(mutant.path).name}: {mutant.name}" if mutant else ""
    )
    what = (
        f"{verdict.killed_in}: {verdict.by.rpartition('::')[2]}"
        if verdict.killed_in
        else "SURVIVED"
    )
    _say(f"{verdict.took:5.0f} s  {name:80}  {what}")
    return verdict


def _report(verdicts: Sequence[Verdict], seconds: float) -> int:
    tiers = Counter(v.killed_in for v in verdicts if v.killed_in)
    killed = tiers.total()
    share = killed / len(verdicts)
    _say(f"\n{killed} of {len(verdicts)} mutants killed ({share:.1%}), in {seconds:.0f} s")
    for tier, count in tiers.most_common():
        _say(f"  {count:4} by {tier}")
    unexplained = 0
    for verdict in verdicts:
        if verdict.mutant is None:
            continue
        if verdict.killed_in is None:
            unexplained += verdict.mutant.survives is None
            _say(f"survived: {verdict.mutant.path}: {verdict.mutant.name}")
            _say(f"  {verdict.mutant.survives or 'nobody knows why: a test is missing'}")
        elif verdict.mutant.survives is not None:
            _say(f"said to survive, but killed: {verdict.mutant.path}: {verdict.mutant.name}")
    return 1 if unexplained or killed < WANTED * len(verdicts) else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
