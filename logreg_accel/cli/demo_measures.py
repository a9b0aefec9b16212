"""What `logreg-accel demo` measures, as plain values."""

import os
import tempfile
import time
import warnings

import numpy as np

from .. import LogisticRegression, LogisticRegressionCV, backends, scan, solvers

_FLOOR = 1e-12  # smallest suboptimality that is meaningful for rounded coefficients
_BLOCK = 1 << 16
_BUSY = 0.5  # load for each CPU from which times mean little
_SHORT = 1.0  # seconds beyond which a fit is not repeated


def generated(m, n):
    """Correlated normal features of different scales in float32, and labels drawn from a logistic model."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, n), dtype=np.float32)
    X[:, 1:] += 0.7 * X[:, :-1]
    X *= np.logspace(-1, 1, n, dtype=np.float32)
    w = (rng.standard_normal(n) / np.logspace(-1, 1, n) / np.sqrt(n)).astype(np.float32)
    return X, (rng.random(m) < 1 / (1 + np.exp(0.5 - 2 * (X @ w)))).astype(np.uint8)


def real():
    """{name: (X, y, description)} of data sets that come with scikit-learn."""
    from sklearn.datasets import load_breast_cancer, load_digits

    return {
        "breast cancer": (*load_breast_cancer(return_X_y=True), "569 x 30, raw columns"),
        "digits": (*load_digits(return_X_y=True), "1,797 x 64, ten classes"),
    }


def busy_elsewhere():
    """A sentence that warns of other processes on the CPUs of this machine, or None if they are idle."""
    cpus = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has none
    if load < _BUSY * cpus:
        return None
    return (
        f"other processes are busy: a load of {load:.1f} on {cpus} CPUs; threads that wait for each other "
        "then take many times as long, and no time below can be compared with another"
    )


# -- beside scikit-learn -------------------------------------------------------------------------------------


def race(X, y, working):
    """Ours and scikit-learn's solvers on the same data, all at their defaults.

    Returns
    -------
    list of dict
        `who`, `seconds` (of the best of several short fits), `steps`, `passes` (None if not counted),
        `suboptimality` (F − F*)/F*, computed in float64 by independent formulas, and for ours
        `first_seconds`, of the first fit of the process.
    """
    from sklearn.linear_model import LogisticRegression as Theirs

    contestants = {
        "logreg_accel": LogisticRegression,
        "scikit-learn lbfgs": Theirs,
        "scikit-learn newton-cholesky": lambda: Theirs(solver="newton-cholesky"),
    }
    runs = []
    for who, make in contestants.items():
        with working(f"{who} on {X.shape[0]:,} x {X.shape[1]}"):
            ours = who == "logreg_accel"
            times, model = [], None
            while len(times) <= ours or (len(times) < 3 + ours and times[-1] < _SHORT):
                model, seconds = _timed(make(), X, y)  # the first fit may wait for a compiler
                times.append(seconds)
        runs.append(
            {
                "who": who,
                "seconds": min(times[ours:]),
                "first_seconds": times[0] if ours else None,
                "steps": int(np.max(model.n_iter_)),
                "passes": float(model.n_passes_) if ours else None,
                "value": objective(model, X, y),
                "chosen": f"{model.solver_} on {model.backend_}" if ours else None,
            }
        )
    with working("the optimum, in float64"):
        best = LogisticRegression(solver="newton-cholesky", tol=1e-11)
        reference = objective(_timed(best, X.astype(np.float64), y)[0], X, y)
    least = min([reference, *(run["value"] for run in runs)])
    for run in runs:
        run["suboptimality"] = max((run["value"] - least) / least, _FLOOR)
    return runs


def _timed(model, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the table shows that default settings stop early
        began = time.perf_counter()
        model.fit(*data)
        return model, time.perf_counter() - began


def objective(model, X, y):
    """F at a model's coefficients for C = 1, in float64 NumPy, block by block."""
    coef, intercept = (
        np.asarray(model.coef_, dtype=np.float64),
        np.asarray(model.intercept_, dtype=np.float64),
    )
    codes, total = np.searchsorted(model.classes_, y), 0.5 * (coef**2).sum()
    for start in range(0, len(y), _BLOCK):
        rows = slice(start, start + _BLOCK)
        z = X[rows].astype(np.float64) @ coef.T + intercept
        if z.shape[1] == 1:
            total += np.logaddexp(0, np.where(codes[rows] == 1, -z[:, 0], z[:, 0])).sum()
        else:
            most = z.max(axis=1)
            total += (np.log(np.exp(z - most[:, None]).sum(axis=1)) + most).sum()
            total -= z[np.arange(len(z)), codes[rows]].sum()
    return float(total)


# -- many models, and rows that do not fit -------------------------------------------------------------------


def cross_validation(X, y, working):
    """Fifty models, ten penalties in five folds, and one of them alone."""
    fold = slice(0, len(y) * 4 // 5)
    with working("50 models: 10 penalties in 5 folds"):
        model, seconds = _timed(LogisticRegressionCV(refit=False, tol=1e-6), X, y)
    with working("one of the 50 models alone"):
        _, single = _timed(LogisticRegression(C=float(model.Cs_[5]), tol=1e-6), X[fold], y[fold])
    return {
        "rows": len(y),
        "features": X.shape[1],
        "models": int(model.status_.size),
        "seconds": seconds,
        "single_seconds": single,
        "passes": float(model.n_passes_),
        "worst_bound": float(model.suboptimality_bound_.max()),
        "C": float(model.cv_results_["param_C"][model.cv_results_["mean_test_score"].argmax()]),
    }


def streamed(X, y, megabytes, working):
    """A fit of files with less memory than their size, and a fit of the same rows in memory."""
    with tempfile.TemporaryDirectory() as folder:
        for i, rows in enumerate(np.array_split(np.arange(len(y)), 4)):
            np.save(os.path.join(folder, f"X{i}.npy"), X[rows[0] : rows[-1] + 1])
            np.save(os.path.join(folder, f"y{i}.npy"), y[rows[0] : rows[-1] + 1])
        paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("X"))
        source = scan(paths, target=os.path.join(folder, "y*.npy"), memory=f"{megabytes}MB")
        with working(f"files of {X.nbytes / 1e6:.0f} MB with {megabytes} MB of memory"):
            model, seconds = _timed(LogisticRegression(), source)
    with working("the same rows in memory"):
        other, in_memory = _timed(LogisticRegression(), X, y)
    return {
        "file_MB": X.nbytes / 1e6,
        "memory_MB": megabytes,
        "seconds": seconds,
        "seconds_in_memory": in_memory,
        "passes": float(model.n_passes_),
        "status": model.status_,
        "difference": _difference(model.coef_, other.coef_),
    }


# -- every backend -------------------------------------------------------------------------------------------


def every_backend(X, y, working):
    """The same fit on every usable backend, compared with NumPy's; compilation is timed separately."""
    runs, reference = [], None
    for name in (name for name, why in backends().items() if why is None):
        data = _on_gpu(X) if name == "cupy" else X
        with working(f"backend {name}"):
            _, first = _timed(LogisticRegression(backend=name, solver="newton-cholesky"), data[:64], y[:64])
            model, seconds = _timed(LogisticRegression(backend=name, solver="newton-cholesky"), data, y)
        reference = model.coef_ if name == "numpy" else reference
        rates = sorted(record.gb_per_s for record in model.history_)
        runs.append(
            {
                "backend": name,
                "seconds": seconds,
                "compile_seconds": first,
                "passes": float(model.n_passes_),
                "GB_per_s": rates[len(rates) // 2],
                "status": model.status_,
                "coef": model.coef_,
            }
        )
    for run in runs:
        run["difference"] = _difference(run.pop("coef"), reference)
    return runs


def _on_gpu(X):
    from ..backends.cupy import to_device

    return to_device(X)


def _difference(one, other):
    """The largest deviation of a coefficient, relative to the largest coefficient."""
    return float(np.abs(one - other).max() / np.abs(other).max())


def histories(X, y):
    """Models of several solvers on small data, whose convergence is drawn."""
    methods = ("newton-cholesky", "newton-cg", "lbfgs", solvers.gd(momentum=0.95), "gd")
    names = ("newton-cholesky", "newton-cg", "lbfgs", "gd, momentum 0.95", "gd")
    return {
        name: _timed(LogisticRegression(backend="numpy", solver=solver, max_iter=300), X, y)[0]
        for name, solver in zip(names, methods, strict=True)
    }
