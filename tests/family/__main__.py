"""python tests/family FIRST LAST [--solver NAME] [--jobs 2] [--list], or --show SEED

Fits the random problems of the seeds from FIRST up to LAST by every solver, and prints how often each says
what is not true: by solver, then the seeds of every fault.
"""

import argparse
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
for folder in (TESTS, TESTS.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import numpy as np  # noqa: E402

from family.judge import FAULTS, Truth, judged, verdicts  # noqa: E402
from family.problems import as_float64, problem  # noqa: E402
from family.table import line, table  # noqa: E402


def show(seed):
    """One problem in full."""
    p = problem(seed)
    truth = Truth(p)
    X, s = as_float64(p.X), p.sample_weight
    print(f"seed {seed}: {p.name}\n{p.parameters}")
    print(
        "columns:",
        *(f"{mean:.3g} ± {std:.2g}" for mean, std in zip(X.mean(axis=0), X.std(axis=0), strict=True)),
    )
    print("rows of each class:", *np.unique(p.y, return_counts=True)[1])
    print("weights:", "none" if s is None else f"{s.min():g} to {s.max():g}")
    print(f"F* from {truth.optimum.lower!r} to {truth.optimum.upper!r}")
    print(*(f"nearest in {dtype}: {truth.floor(dtype):.2g}" for dtype in ("float64", "float32")), sep="; ")
    for verdict in verdicts(p):
        print(f"{line(verdict).split(' | ')[0]} {verdict.faults or ''}")


def main():
    parser = argparse.ArgumentParser(prog="python tests/family", description=__doc__.split("\n\n")[1])
    parser.add_argument("first", type=int, nargs="?", default=0, help="first seed")
    parser.add_argument("last", type=int, nargs="?", default=100, help="the seed after the last")
    parser.add_argument("--solver", action="append", help="only fits by this solver; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--list", action="store_true", help="a line for every fit, faulty or not")
    parser.add_argument("--show", type=int, metavar="SEED", help="one problem in full")
    given = parser.parse_args()
    if given.show is not None:
        return show(given.show)
    found = []
    for verdict in judged(range(given.first, given.last), given.solver, given.jobs):
        found.append(verdict)
        if given.list:
            print(line(verdict), flush=True)
    print(table(found))
    for kind, meaning in FAULTS.items():
        faulty = [verdict for verdict in found if kind in verdict.faults]
        if faulty:
            print(f"\n{kind}: {meaning}", *map(line, faulty), sep="\n")


if __name__ == "__main__":
    main()
