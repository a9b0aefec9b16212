"""Which solver is fastest where, and which "auto" chooses: python bench/auto.py [--seconds N] [--output FILE]
[--append] [--fit FILE] [--wide] [--backends] [--quick]

Fits every solver to random data: two and several classes, dense (columns of one size or over decades, about
zero or not) and sparse (Zipf columns, normalised rows or not), C from 0.01 to 100; each to tol=1e-6, on one
thread, by the processor's time, which other work on the machine changes least. `--fit` reads the results and
prints the coefficients of `logreg_accel/solvers/costs.py`; `--backends` compares numpy with compiled loops.
"""

import argparse
import json
import math
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import scipy.optimize  # noqa: E402
import scipy.sparse  # noqa: E402

from logreg_accel import LogisticRegression  # noqa: E402
from logreg_accel.cli.doctor import machine  # noqa: E402
from logreg_accel.data import as_labelled  # noqa: E402
from logreg_accel.fitting import seen_of  # noqa: E402
from logreg_accel.solvers import costs  # noqa: E402

_STRENGTHS = [0.01, 0.1, 1.0, 10.0, 100.0]
_MOST = 2.5e6  # numbers of X times classes: a fit takes up to a second
_REACHED = 1e-5
_ROUNDS = 2
_GIVEN_UP = 8  # a solver that takes so many times as long as the fastest is not timed again


def problem(rng):
    """X, y, C and their description."""
    m = int(np.exp(rng.uniform(np.log(50), np.log(200_000))))
    n = int(np.exp(rng.uniform(np.log(2), np.log(rng.choice([600, 600, 4_000])))))
    K = int(rng.choice([2, 2, 3, 5, 10, 20]))
    sparse = bool(rng.random() < 0.4) and n >= 50
    if m * n * K > _MOST or m < 3 * K:
        return None
    X = rng.standard_normal((m, n), dtype=np.float32)
    shifted, alike = (not sparse and rng.random() < share for share in (0.3, 0.5))
    if sparse:
        density = min(1, np.exp(rng.uniform(np.log(3 / n), np.log(max(0.2, 4 / n)))))
        share = np.arange(1, n + 1) ** -rng.uniform(0, 1.1)
        X *= rng.random((m, n)) < np.minimum(1, share * density * n / share.sum())
        if rng.random() < 0.5:
            X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9)
    else:
        if alike:
            X += _common(X, rng)
        X *= np.logspace(0, -rng.uniform(0, 1.5), n).astype(np.float32)
    z = X @ rng.standard_normal((n, K)).astype(np.float32)
    z *= 3 / max(z.std(), 1e-9)
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    if len(np.unique(y)) < K:
        return None
    if shifted:
        X += rng.standard_normal(n).astype(np.float32)
    about = {"rows": m, "features": n, "classes": K, "sparse": sparse, "shifted": bool(shifted)}
    return (scipy.sparse.csr_array(X) if sparse else X), y, float(rng.choice(_STRENGTHS)), about


def wide_problem(rng):
    """The same for shapes that `problem` hardly ever draws: more features than rows, dense or texts."""
    if rng.random() < 0.4:
        return _texts(rng)
    m = int(np.exp(rng.uniform(np.log(100), np.log(1200))))
    n = int(m * np.exp(rng.uniform(np.log(0.6), np.log(8))))
    if m * n > costs.ENTRIES_UP_TO["dense"]:
        return None
    X, shifted = rng.standard_normal((m, n), dtype=np.float32), bool(rng.random() < 0.3)
    if rng.random() < 0.5:
        X += _common(X, rng)
    X *= np.logspace(0, -rng.uniform(0, 1.5), n).astype(np.float32)
    z = X @ rng.standard_normal(n).astype(np.float32)
    y = (3 / z.std() * z + rng.logistic(size=m)) > 0
    if shifted:
        X += rng.standard_normal(n).astype(np.float32)
    about = {"rows": m, "features": n, "classes": 2, "sparse": False, "shifted": shifted}
    return X, y.astype(int), float(rng.choice(_STRENGTHS)), about


def _texts(rng):
    """Words as frequent as words are (Zipf), present or counted, in rows that may be normalised."""
    m = int(np.exp(rng.uniform(np.log(500), np.log(20_000))))
    n = int(np.exp(rng.uniform(np.log(2_000), np.log(60_000))))
    words, K = int(np.exp(rng.uniform(np.log(8), np.log(100)))), int(rng.choice([2, 2, 3, 5]))
    if m * words > costs.ENTRIES_UP_TO["sparse"] or n * K > 120_000:
        return None
    frequency = np.cumsum((np.arange(n) + 8.0) ** -rng.uniform(0.6, 1.1))
    columns = np.minimum(np.searchsorted(frequency, rng.random(m * words) * frequency[-1]), n - 1)
    ones = np.ones(m * words, dtype=np.float32)
    X = scipy.sparse.csr_array((ones, columns, np.arange(m + 1) * words), shape=(m, n))
    X.sum_duplicates()
    if rng.random() < 0.5:
        X = X.multiply(np.log(m / (1 + X.astype(bool).sum(axis=0)))).tocsr().astype(np.float32)
        X = X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1))[:, None]).tocsr().astype(np.float32)
    z = X @ rng.standard_normal((n, K)).astype(np.float32)
    y = (3 / z.std() * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    about = {"rows": m, "features": n, "classes": K, "sparse": True, "shifted": False}
    return X, y, float(rng.choice(_STRENGTHS)), about


def _common(X, rng):
    """The contribution of some common factors to all columns, which correlates them as in real tables."""
    m, n = X.shape
    n_factors = int(rng.integers(1, 4 + n // 8))
    loadings = rng.exponential(size=n_factors) * 2 * rng.standard_normal((n, n_factors))
    return (rng.standard_normal((m, n_factors)) @ loadings.T).astype(np.float32)


def timed(X, y, C, **settings):
    """CPU seconds, and the fit."""
    start = time.process_time()
    clf = LogisticRegression(C=C, tol=1e-6, max_seconds=20, n_threads=1, **settings).fit(X, y)
    return time.process_time() - start, clf


def runs_of(X, y, C, solvers):
    """solver -> seconds of the fastest fit and its reads, for solvers that reached the tolerance."""
    runs = {}
    for _ in range(_ROUNDS):
        for solver in solvers:
            fastest = min((run["seconds"] for run in runs.values()), default=math.inf)
            if solver in runs and runs[solver]["seconds"] > _GIVEN_UP * fastest:
                continue
            seconds, clf = timed(X, y, C, solver=solver, backend="numpy")
            there = clf.suboptimality_bound_ <= _REACHED or clf.status_ in ("converged", "estimated")
            if there:
                best = min(seconds, runs.get(solver, {}).get("seconds", math.inf))
                runs[solver] = {"seconds": best, "reads": clf.n_passes_}
    return runs


def case(X, y, C, about):
    """The runs of one problem, and the choice of "auto"."""
    labelled = as_labelled(X, y)
    k, seen = (about["classes"] if about["classes"] > 2 else 1), seen_of(C, labelled)
    shape = about["rows"], about["features"], k
    auto = timed(X, y, C, max_passes=1, backend="numpy")[1].solver_
    runs = runs_of(X, y, C, sorted({"lbfgs", auto, *costs.offered(*shape, True, seen)}))
    fastest = min(runs, key=lambda solver: runs[solver]["seconds"])
    ratio = runs[auto]["seconds"] / runs[fastest]["seconds"] if auto in runs else math.inf
    told = {"C": C, "seen": seen._asdict(), "runs": runs, "auto": auto, "times_fastest": ratio}
    return {**about, **told}


def show(one):
    kind = "sparse" if one["sparse"] else "dense"
    times = "  ".join(
        f"{solver} {1e3 * run['seconds']:.1f} ({run['reads']:.0f})" for solver, run in one["runs"].items()
    )
    print(
        f"{one['rows']:>6} x {one['features']:<5} {one['classes']:>2} classes {kind:6} C={one['C']:<5g}"
        f" {times}  | {one['auto']} {one['times_fastest']:.2f}",
        flush=True,
    )


def summary(cases):
    """Print the time of "auto" as a multiple of that of the fastest solver."""
    for name, of in (
        ("two classes, dense", lambda one: one["classes"] == 2 and not one["sparse"]),
        ("several, dense", lambda one: one["classes"] > 2 and not one["sparse"]),
        ("two classes, sparse", lambda one: one["classes"] == 2 and one["sparse"]),
        ("several, sparse", lambda one: one["classes"] > 2 and one["sparse"]),
    ):
        ratios = np.array([one["times_fastest"] for one in cases if of(one)])
        if len(ratios):
            mean = math.exp(np.log(ratios).mean())
            print(
                f"{name}: {len(ratios)} problems, geometric mean {mean:.2f}, worst {ratios.max():.2f}, "
                f"at most 1.2 in {np.mean(ratios <= 1.2):.0%}, at most 1.5 in {np.mean(ratios <= 1.5):.0%}"
            )


def fitted(cases):
    """The table of costs.py: exponents by ridge regression, rates by least squares of relative errors."""
    table = {}
    for name in ("dense", "sparse", "words"):
        table[name] = {}
        some = [one for one in cases if costs.table_of(one["features"], costs.Seen(**one["seen"])) == name]
        for solver in sorted({solver for one in some for solver in one["runs"]}):
            mine = [one for one in some if solver in one["runs"]]
            table[name][solver] = _fitted(solver, mine)
    return table


def _fitted(solver, cases):
    shapes = [
        (one["rows"], one["features"], one["classes"] if one["classes"] > 2 else 1, costs.Seen(**one["seen"]))
        for one in cases
    ]
    A = np.array([costs.known(*shape) for shape in shapes])
    reads = np.log([one["runs"][solver]["reads"] for one in cases])
    exponents = np.linalg.solve(A.T @ A + np.diag([0, 0.1, 0.1, 0.1, 0.1, 0.1]), A.T @ reads)
    n_reads = np.exp(A @ exponents) + costs._FIXED_READS
    B = np.array([costs.work(solver, *shape) for shape in shapes]) * n_reads[:, None]
    t = np.array([one["runs"][solver]["seconds"] for one in cases])
    weight = 1 / t
    for _ in range(8):  # reweighted, so that errors of the logarithm are minimised
        rates, _ = scipy.optimize.nnls(B * weight[:, None], t * weight)
        weight = 1 / np.sqrt(t * np.maximum(B @ rates, t / 5))
    return [float(f"{a:.3f}") for a in exponents], [float(f"{c:.3g}") for c in rates]


def backends():
    """Compare numpy with numba, after its loops were compiled."""
    rng = np.random.default_rng(0)
    for K in (2, 4):
        for m, n in ((569, 30), (3_000, 30), (5_000, 60), (5_000, 120), (20_000, 40), (20_000, 120)):
            X = rng.standard_normal((m, n), dtype=np.float32)
            z = X @ rng.standard_normal((n, K)).astype(np.float32)
            y = (3 / z.std() * z + rng.gumbel(size=z.shape)).argmax(axis=1)
            best = {}
            for _ in range(5):
                for backend in ("numpy", "numba"):
                    best[backend] = min(timed(X, y, 1.0, backend=backend)[0], best.get(backend, math.inf))
            print(
                f"{m} x {n}, {K} classes, {X.nbytes / 2**20:.2f} MiB: numpy takes "
                f"{best['numpy'] / best['numba']:.2f} times numba's",
                flush=True,
            )


def measured(seconds, seed, make):
    rng, began = np.random.default_rng(seed), time.perf_counter()
    while time.perf_counter() - began < seconds:
        drawn = make(rng)
        one = case(*drawn) if drawn else {"runs": ()}
        if one["runs"]:
            show(one)
            yield one


def _of_four_digits(value):
    """A number as the results file keeps it."""
    if isinstance(value, dict):
        return {key: _of_four_digits(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_of_four_digits(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--append", action="store_true", help="keep what the output has")
    parser.add_argument("--fit", type=Path, help="results of which the coefficients are printed")
    parser.add_argument("--backends", action="store_true")
    parser.add_argument("--wide", action="store_true", help="only shapes with more features than rows, texts")
    parser.add_argument("--quick", action="store_true", help="some seconds")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.backends:
        return backends()
    if arguments.fit:
        return print(json.dumps(fitted(json.loads(arguments.fit.read_text())["cases"]), indent=1))
    cases = []
    if arguments.append and arguments.output.exists():
        cases = json.loads(arguments.output.read_text())["cases"]
    make = wide_problem if arguments.wide else problem
    cases += measured(2 if arguments.quick else arguments.seconds, arguments.seed, make)
    summary(cases)
    if arguments.output:
        results = {"machine": machine(), "cases": _of_four_digits(cases)}
        text = json.dumps(results, separators=(",", ":"))
        arguments.output.write_text(text.replace('},{"rows"', '},\n{"rows"') + "\n")


if __name__ == "__main__":
    main()
