"""`logreg-accel demo`: fit real and generated data on every usable backend and report the results."""

import statistics
import time
import warnings

import numpy as np

from .. import LogisticRegression, backends, read_bandwidth, solvers
from ..persistence.writing import write_whole
from .doctor import machine
from .output import Progress, check_output, print_json, print_table

_SOLVERS = ("newton-cholesky", "lbfgs")


def demo(options):
    """Fit on each backend, compare with the NumPy backend, and show the results."""
    progress = Progress(options.quiet)
    check_output("--output", options.output, suffixes=[".html", ".htm"])
    usable = [name for name, why in backends().items() if why is None]
    for name, why in backends().items():
        if why:
            progress.say(f"without {name}: {why}")
    real = _real_data()
    progress.say(f"generating {options.rows} x {options.features} float32")
    X, y = _generate(options.rows, options.features)
    bandwidth = {"cpu": read_bandwidth(X)}
    runs = []
    for name in usable:
        progress.say(f"backend {name}")
        compile_seconds = _warm_up(name)
        data, where = (_on_gpu(X), "gpu") if name == "cupy" else (X, "cpu")
        if where == "gpu":
            bandwidth["gpu"] = read_bandwidth(data)
        for solver in _SOLVERS:
            run = _fit(name, solver, data, y)
            runs.append(
                {**run, "share": run["GB_per_s"] / bandwidth[where], "compile_seconds": compile_seconds}
            )
    _compare(runs)
    real_runs = [_fit_real(name, real) for name in usable]
    _compare(real_runs)

    facts = machine()
    report = {
        "machine": facts,
        "read_bandwidth_GB_per_s": bandwidth,
        "rows": options.rows,
        "features": options.features,
        "generated": _without(runs, "coef"),
        "breast_cancer": _without(real_runs, "coef", "scores"),
    }
    if not options.json and not options.quiet:
        _print(runs, real_runs, options, bandwidth)
    try:
        from .report import page
    except ImportError:
        progress.say("no page without matplotlib: pip install 'logreg-accel[report]'")
    else:
        html = page(facts, bandwidth, runs, real_runs, _loss_curves(real), real, options)
        write_whole(options.output, lambda file: file.write(html.encode()))
        report["page"] = options.output
        if not options.json:
            print(f"\nThe page with the curves: {options.output}")
    if options.json:
        print_json(report)


def _real_data():
    """Load scikit-learn's breast cancer data (569 tumours, 30 measurements), scaled, a third held out."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1 / 3, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def _generate(m, n):
    """Generate correlated normal features of different scales, and labels drawn from a logistic model."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, n), dtype=np.float32)
    X[:, 1:] += 0.7 * X[:, :-1]
    X *= np.logspace(-1, 1, n, dtype=np.float32)
    w = (rng.standard_normal(n) / np.logspace(-1, 1, n) / np.sqrt(n)).astype(np.float32)
    return X, (rng.random(m) < 1 / (1 + np.exp(0.5 - 2 * (X @ w)))).astype(np.uint8)


def _warm_up(backend):
    """Return the seconds that the first fits of a process take, most of which is compilation."""
    X = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    began = time.perf_counter()
    for solver in _SOLVERS:
        LogisticRegression(backend=backend, solver=solver).fit(X, np.arange(64) % 2)
    return time.perf_counter() - began


def _on_gpu(X):
    from ..backends.cupy import to_device

    return to_device(X)


def _fit(backend, solver, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(backend=backend, solver=solver, tol=1e-6)
        began = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - began
    return {
        "backend": backend,
        "solver": solver,
        "seconds": seconds,
        "passes": model.n_passes_,
        "GB_per_s": statistics.median(record.gb_per_s for record in model.history_),
        "suboptimality": model.suboptimality_,
        "status": model.status_,
        "coef": model.coef_[0],
    }


def _fit_real(backend, real):
    from sklearn.metrics import roc_auc_score

    X_train, X_test, y_train, y_test = real
    model = LogisticRegression(backend=backend)
    began = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - began
    scores = model.decision_function(X_test)
    return {
        "backend": backend,
        "solver": str(model.solver_),
        "seconds": seconds,
        "passes": model.n_passes_,
        "accuracy": float(model.score(X_test, y_test)),
        "auc": float(roc_auc_score(y_test, scores)),
        "suboptimality": model.suboptimality_,
        "coef": model.coef_[0],
        "scores": scores,
    }


def _compare(runs):
    """Add to each run its "difference": the largest deviation from a coefficient of the NumPy backend.

    It is relative to the largest coefficient.
    """
    for run in runs:
        reference = next(r["coef"] for r in runs if r["backend"] == "numpy" and r["solver"] == run["solver"])
        run["difference"] = float(np.abs(run["coef"] - reference).max() / np.abs(reference).max())


def _loss_curves(real):
    """Return a dict solver -> (passes, relative suboptimality) on the real data."""
    X, _, y, _ = real
    best = LogisticRegression(backend="numpy", solver="newton-cholesky", tol=0).fit(X, y).history_[-1].value
    curves = {}
    for name, solver in {
        "newton-cholesky": "newton-cholesky",
        "newton-cg": "newton-cg",
        "lbfgs": "lbfgs",
        "gd, momentum 0.95": solvers.gd(momentum=0.95),
        "gd": "gd",
    }.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = LogisticRegression(backend="numpy", solver=solver, max_iter=300).fit(X, y).history_
        curves[name] = ([r.n_passes for r in history], [max((r.value - best) / best, 1e-16) for r in history])
    return curves


def _without(runs, *names):
    return [{name: value for name, value in run.items() if name not in names} for run in runs]


def _print(runs, real_runs, options, bandwidth):
    print_table(
        f"Generated, {options.rows} x {options.features} float32 (plain read: "
        + ", ".join(f"{where} {rate:.1f} GB/s" for where, rate in bandwidth.items())
        + ")",
        [
            "backend",
            "solver",
            "seconds",
            "passes",
            "GB/s",
            "of plain read",
            "suboptimality",
            "diff. from numpy",
        ],
        [
            [
                r["backend"],
                r["solver"],
                f"{r['seconds']:.2f}",
                f"{r['passes']:.0f}",
                f"{r['GB_per_s']:.1f}",
                f"{r['share']:.0%}",
                f"{r['suboptimality']:.0e}",
                f"{r['difference']:.0e}",
            ]
            for r in runs
        ],
    )
    print()
    print_table(
        "Breast cancer, 569 x 30 float64, a third held out",
        ["backend", "solver", "seconds", "passes", "accuracy", "AUC", "suboptimality", "diff. from numpy"],
        [
            [
                r["backend"],
                r["solver"],
                f"{r['seconds']:.3f}",
                f"{r['passes']:.0f}",
                f"{r['accuracy']:.3f}",
                f"{r['auc']:.4f}",
                f"{r['suboptimality']:.0e}",
                f"{r['difference']:.0e}",
            ]
            for r in real_runs
        ],
    )
