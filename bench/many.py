"""Many models at once against one fit after the other: python bench/many.py [--cases A|B] [--scale SHARE]

Grids of 5 folds and 10 values of C, 45 values of C, and 100 targets, at a proven relative suboptimality of
1e-6; with `--data FOLDER` also real texts, those of bench/race. "single" is the time of our own fits of some
of these models with solver="auto", one after the other on their training rows, scaled to all models. "others"
is the time of installed packages (glum, skglm for L1, scikit-learn) for some values of C of the first model,
scaled to all models (`many_peers.py`). "sklearn" is LogisticRegressionCV on the first fold alone, times 5.
The tolerances of the others are tightened from 1e-4 until their worst model is within 1e-6; a fit that takes
more than --limit seconds is cut off, and the table says so. Results are merged by case into
bench/results/many.json; `--table` only writes the table of bench/README.md.
"""

import argparse
import functools
import json
import os
import time
import warnings
from pathlib import Path

import many_peers
import numpy as np
import scipy.sparse
from race.real import reviews, topics

from logreg_accel import LogisticRegression
from logreg_accel.backends.passes import Model
from logreg_accel.cli.doctor import machine
from logreg_accel.data import as_matrix
from logreg_accel.many.solve import solve_table
from logreg_accel.many.table import Shared, Spec, packed

TOL = 1e-6
_RESULTS = Path(__file__).parent / "results" / "many.json"
_README = Path(__file__).parent / "README.md"
_BEGIN, _END = "<!-- many models: written by bench/many.py -->", "<!-- end of many models -->"
GRID = np.logspace(-4, 4, 10)


def dense(m, n, targets=1, seed=0):
    """Columns of a covariance with eigenvalues over two decades, and labels at margins that spread by 2."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n), dtype=np.float32) * np.logspace(0, -1, n, dtype=np.float32)
    X -= np.outer(X @ np.full(n, n**-0.5, np.float32), np.full(n, 2 * n**-0.5, np.float32))  # a reflection
    Z = X @ rng.standard_normal((n, targets)).astype(np.float32)
    return X, (rng.random(Z.shape) < 1 / (1 + np.exp(-2 * Z / Z.std(axis=0)))).astype(np.uint8)


def text(m, n=20_000, words=70, seed=0):
    """Rows like TF-IDF of reviews: words by Zipf's law, rows of unit length."""
    rng = np.random.default_rng(seed)
    columns = np.minimum(rng.zipf(1.3, (m, words)) - 1 + rng.integers(0, 50, (m, words)), n - 1)
    rows = np.repeat(np.arange(m), words)
    X = scipy.sparse.csr_array((np.ones(m * words, np.float32), (rows, columns.ravel())), shape=(m, n))
    X.data *= (np.log(m / np.maximum(np.bincount(X.indices, minlength=n), 1)) + 1)[X.indices].astype(
        np.float32
    )
    norms = np.sqrt(X.multiply(X).sum(axis=1))
    X = scipy.sparse.csr_array(X.multiply(1 / norms[:, None]), dtype=np.float32)
    z = X @ rng.standard_normal(n).astype(np.float32)
    return X, (rng.random(m) < 1 / (1 + np.exp(-6 * (z - z.mean()) / z.std()))).astype(np.uint8)[:, None]


CASES = {
    "1M x 100, 5 folds x 10 C": (lambda s: dense(int(1e6 * s), 100), 5, GRID),
    "320k x 37, 5 folds x 10 C": (lambda s: dense(int(320e3 * s), 37), 5, GRID),
    "63k x 784, 5 folds x 10 C": (lambda s: dense(int(63e3 * s), 784), 5, GRID),
    "25k x 20k sparse, 5 folds x 10 C": (lambda s: text(int(25e3 * s)), 5, GRID),
    "100k x 768, 45 C": (lambda s: dense(int(100e3 * s), 768), 0, np.logspace(-6, 5, 45)),
    "200k x 128, 100 targets": (lambda s: dense(int(200e3 * s), 128, 100), 0, np.array([1.0])),
    "20k x 2000, 10 C, L1": (lambda s: dense(int(20e3 * s), 2000), 0, np.logspace(-2.5, -0.5, 10)),
}


def share_of_l1(case):
    """The l1_ratio of a case."""
    return float(case.endswith("L1"))


def real_texts(folder):
    """Cases of texts in a folder: film reviews, and the ten most frequent topics of news stories."""

    def columns(X, y):
        return X.astype(np.float32), y.reshape(len(y), -1).astype(np.uint8)

    return {
        "reviews, 5 folds x 10 C": (lambda s: columns(*reviews(folder, None)), 5, GRID),
        "reuters, 10 topics x 10 C": (lambda s: columns(*topics(folder, 10)), 0, GRID),
    }


def table_of(X, Y, folds, strengths, l1_ratio=0.0):
    """The rows, the models, and which rows each split trains on."""
    m = X.shape[0]
    fold = np.random.default_rng(1).integers(0, folds, m) if folds else np.zeros(m)
    bits = packed(fold[:, None] != np.arange(folds))
    shared = Shared(as_matrix(X), Y[:, 0] if Y.shape[1] == 1 else Y, None, bits, np.array([0, 1]))
    models = [Model(t, f) for t in range(Y.shape[1]) for f in (range(folds) if folds else [None])]
    return shared, [Spec(model, float(C), l1_ratio) for model in models for C in strengths]


def first_fold(shared):
    """Which rows the first split trains on."""
    return (shared.splits[:, 0] & 1).astype(bool)


def together(shared, specs, runs=2):
    """Best of some runs."""
    best = None
    for _ in range(runs):
        template = LogisticRegression(tol=TOL, backend="numba")
        began = time.perf_counter(), time.process_time()
        outcome = solve_table(template, shared, specs)
        took = time.perf_counter() - began[0], time.process_time() - began[1]
        best = (took, outcome) if best is None or took < best[0] else best
    (wall, cpu), outcome = best
    bounds = [one.solution.bound for one in outcome.fitted]
    return {
        "models": len(specs),
        "seconds": wall,
        "cpu_seconds": cpu,
        "reads": outcome.n_passes,
        "worst_bound": max(bounds),
        "converged": sum(one.solution.status == "converged" for one in outcome.fitted),
        "solver": ", ".join(sorted({str(one.solver) for one in outcome.fitted})),
    }, outcome


def one_by_one(X, Y, shared, specs, most=10):
    """Our own single fits of some models, on their training rows, and the time that all would take."""
    each = len(specs) // most
    # One model of every `each`, at varying places, since the models of a target are sorted by strength.
    some = specs[:most] if len(specs) == 50 else [specs[each * i + i % each] for i in range(most)]
    wall = cpu = 0.0
    trains = slice(None) if shared.splits is None else first_fold(shared)
    rows = X if isinstance(trains, slice) else X[trains]
    LogisticRegression(C=1.0, tol=TOL, backend="numba").fit(rows, Y[trains, 0])
    for spec in some:
        y = Y[trains, spec.model.target]
        began = time.perf_counter(), time.process_time()
        LogisticRegression(C=spec.C, l1_ratio=spec.l1_ratio, tol=TOL, backend="numba").fit(rows, y)
        wall, cpu = wall + time.perf_counter() - began[0], cpu + time.process_time() - began[1]
    return {
        "fits": len(some),
        "seconds_of_all": wall * len(specs) / len(some),
        "cpu_seconds_of_all": cpu * len(specs) / len(some),
    }


def sklearns(X, y, shared, outcome, limit):
    """LogisticRegressionCV on the first fold, tolerance tightened until its worst model is within 1e-6."""
    trains = first_fold(shared)
    split = np.flatnonzero(trains), np.flatnonzero(~trains)
    least = [one.solution.value * (1 - one.solution.bound) for one in outcome.fitted[:10]]
    problem = many_peers.Problem(X[trains], y[trains], GRID, 0.0, least, 5 * len(GRID))
    peer = functools.partial(many_peers.by_sklearns_cv, X, y, GRID, split)
    return many_peers.tightened(peer, problem, TOL, limit)


def others(X, Y, shared, specs, outcome, limit, most=5):
    """Other packages on some models of the first target and split, and the time that all would take."""
    own = [i for i, spec in enumerate(specs) if spec.model == specs[0].model]
    own = own[:: -(-len(own) // most)]
    trains = slice(None) if shared.splits is None else first_fold(shared)
    solutions = [outcome.fitted[i].solution for i in own]
    least = [solution.value * (1 - solution.bound) for solution in solutions]
    Cs = [specs[i].C for i in own]
    problem = many_peers.Problem(X[trains], Y[trains, 0], Cs, specs[0].l1_ratio, least, len(specs))
    return many_peers.race(problem, TOL, limit)


def run(name, case, scale, limit, runs):
    make, folds, strengths = case
    X, Y = make(scale)
    shared, specs = table_of(X, Y, folds, strengths, share_of_l1(name))
    together(shared, specs[:2], runs=1)  # compiles
    load = os.getloadavg()[0]
    ours, outcome = together(shared, specs, runs)
    entry = {"rows": X.shape[0], "features": X.shape[1], "scale": scale, "load": load, "together": ours}
    entry["single"] = one_by_one(X, Y, shared, specs)
    entry["share_of_single"] = ours["cpu_seconds"] / entry["single"]["cpu_seconds_of_all"]
    entry["share_of_single_wall"] = ours["seconds"] / entry["single"]["seconds_of_all"]
    if limit > 0:
        entry["others"] = others(X, Y, shared, specs, outcome, limit)
    if folds and limit > 0:
        entry["sklearn"] = sklearns(X, Y[:, 0], shared, outcome, limit)
    return entry


def told(peer):
    """The seconds of a peer, and its worst suboptimality, in two cells."""
    done = f"{peer['seconds_of_all']:.1f}" if "seconds_of_all" in peer else ""
    tighter = f"over {peer['cut_off']:.0f} at tol={peer['cut_off_at_tol']:.0e}" if "cut_off" in peer else ""
    worst = f"{peer['worst_suboptimality']:.1e}" if done else ""
    return ", ".join(filter(None, [done, tighter])), worst


def told_of(others):
    """The times of other packages, in one cell."""
    cells = [(name, *told(found)) for name, found in others.items() if "failed" not in found]
    return "; ".join(f"{name} {seconds}" + (f", {worst}" if worst else "") for name, seconds, worst in cells)


def written(report):
    """The table of bench/README.md."""
    lines = [
        "| models | rows x features | solver | reads | worst bound | s | s of single fits | share "
        "| share of CPU time | load of 2 cores | scikit-learn, s "
        "| its worst suboptimality | others: s, worst suboptimality |",
        "|" + "---|" * 13,
    ]
    for name, one in report["cases"].items():
        ours, single, peer = one["together"], one["single"], one.get("sklearn")
        lines.append(
            f"| {name} | {one['rows']:,} x {one['features']:,} | {ours['solver']} | {ours['reads']:.1f} "
            f"| {ours['worst_bound']:.1e} | {ours['seconds']:.2f} | {single['seconds_of_all']:.1f} "
            f"| {one['share_of_single_wall']:.2f} | {one['share_of_single']:.2f} | {one['load']:.0f} "
            + (f"| {' | '.join(told(peer))} |" if peer else "| | |")
            + f" {told_of(one.get('others', {}))} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="", help="names, or parts of them, with | between")
    parser.add_argument("--data", type=Path, help="folder of real texts")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    parser.add_argument(
        "--limit", type=float, default=100.0, help="seconds for each other package; 0 leaves them out"
    )
    parser.add_argument(
        "--runs", type=int, default=2, help="of all models together, of which the best counts"
    )
    parser.add_argument("--table", action="store_true", help="write the table of bench/README.md")
    options = parser.parse_args()
    report = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {"cases": {}}
    if not options.table:
        cases = CASES | (real_texts(options.data) if options.data else {})
        for name in [name for name in cases if any(part in name for part in options.cases.split("|"))]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report["cases"][name] = run(name, cases[name], options.scale, options.limit, options.runs)
            print(name, json.dumps(report["cases"][name], indent=1), flush=True)
        report["machine"] = machine()
        _RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    head, rest = _README.read_text(encoding="utf-8").split(_BEGIN)
    _README.write_text(
        f"{head}{_BEGIN}\n\n{written(report)}\n\n{_END}{rest.split(_END)[1]}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
