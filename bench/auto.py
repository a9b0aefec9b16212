"""Which solver is fastest where, and what "auto" takes: python bench/auto.py [--output FILE] [--quick]

Fits every solver to generated float32 data over shapes, strengths of the penalty and conditioning, to
tol=1e-6 on the backend that "auto" takes there. A solver counts where its value is within 1e-5 of the least
one found. The rule in logreg_accel/solvers/__init__.py was read off this table.
"""

import argparse
import json
import math
import time
import warnings
from pathlib import Path

import numpy as np

from logreg_accel import LogisticRegression
from logreg_accel.cli.doctor import machine
from logreg_accel.solvers import choose_solver

SHAPES = [
    (100, 2_000),
    (100, 10_000),
    (200, 10_000),
    (400, 10_000),
    (1_000, 4_000),
    (2_000, 900),
    (600, 50),
    (3_000, 100),
    (3_000, 200),
    (3_000, 400),
    (20_000, 100),
    (20_000, 300),
    (20_000, 700),
    (50_000, 1_500),
    (100_000, 300),
    (100_000, 700),
    (150_000, 1_200),
]
STRENGTHS = [0.01, 1.0, 100.0]
SPECTRA = {"flat": 0.0, "steep": 1.0}
SOLVERS = ["lbfgs", "newton-cg", "newton-cholesky", "newton-subsampled", "row-space"]
_SECONDS = 6.0  # of a fit; and of the repetitions of one
_REACHED = 1e-5


def problem(m, n, decay, seed=0):
    """Columns of a covariance with eigenvalues i^(-2·decay), and labels at margins that spread by 3."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n), dtype=np.float32)
    X *= (np.arange(1, n + 1) ** -decay).astype(np.float32)
    for _ in range(
        2 if decay else 0
    ):  # two reflections mix the columns at the price of a rank-one update each
        v = rng.standard_normal(n).astype(np.float32)
        v /= np.linalg.norm(v)
        X -= np.outer(X @ v, 2 * v)
    z = X @ rng.standard_normal(n).astype(np.float32)
    z *= 3 / z.std()
    return X, (rng.random(m) < 1 / (1 + np.exp(-z))).astype(np.uint8)


def eligible(solver, m, n, C):
    """Whether a fit can end within the limit."""
    return {
        "newton-cholesky": n <= 1_500,
        "newton-subsampled": n <= 1_500,
        "row-space": m <= 1_000 and C < math.inf,
    }.get(solver, True)


def timed(X, y, C, solver):
    """Seconds, value and reads of the fastest of some fits."""
    best, began = math.inf, time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            start = time.perf_counter()
            clf = LogisticRegression(C=C, solver=solver, tol=1e-6, max_seconds=_SECONDS).fit(X, y)
            best = min(best, time.perf_counter() - start)
            if time.perf_counter() - began > _SECONDS / 3:
                break
    return {"seconds": best, "value": min(record.value for record in clf.history_), "reads": clf.n_passes_}


def measure(shapes, strengths):
    for m, n in shapes:
        for spectrum, decay in SPECTRA.items():
            X, y = problem(m, n, decay)
            for C in strengths:
                runs = {solver: timed(X, y, C, solver) for solver in SOLVERS if eligible(solver, m, n, C)}
                least = min(run["value"] for run in runs.values())
                runs = {solver: run for solver, run in runs.items() if run["value"] <= least * (1 + _REACHED)}
                auto, _ = choose_solver(n, m, X.nbytes)
                fastest = min(runs, key=lambda solver: runs[solver]["seconds"])
                ratio = runs[auto]["seconds"] / runs[fastest]["seconds"] if auto in runs else math.inf
                print(
                    f"{m:>7} x {n:<6} {spectrum:5} C={C:<6g} "
                    + "  ".join(
                        f"{solver} {run['seconds']:.4f} ({run['reads']:.0f})" for solver, run in runs.items()
                    )
                    + f"  | auto {auto} {ratio:.2f}",
                    flush=True,
                )
                yield {
                    "rows": m,
                    "features": n,
                    "spectrum": spectrum,
                    "C": C,
                    "runs": runs,
                    "auto": auto,
                    "times_fastest": ratio,
                }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--quick", action="store_true", help="two small shapes, one strength")
    arguments = parser.parse_args()
    shapes = [(100, 400), (300, 20)] if arguments.quick else SHAPES
    for m, n in ((200, 10), (20_000, 60)):  # compiles
        X, y = problem(m, n, 0.0)
        for solver in SOLVERS:
            if eligible(solver, m, n, 1.0):
                timed(X, y, 1.0, solver)
    cases = list(measure(shapes, STRENGTHS[:1] if arguments.quick else STRENGTHS))
    if arguments.output:
        arguments.output.write_text(json.dumps({"machine": machine(), "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
