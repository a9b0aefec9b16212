"""Whole fits of one matrix to a relative suboptimality of 1e-6.

The fits are ours by solver, and those of PyTorch's L-BFGS by setting.
"""

import contextlib
import math
import time
import warnings

import cupy
import numpy as np
from gpu_contestants import torch_function, torch_tensor
from gpu_data import free_memory, hard_matrix, row_chunks
from gpu_quasi_newton import TwoProducts, quasi_newton

from logreg_accel import LogisticRegression
from logreg_accel.backends.cupy import synchronize
from logreg_accel.losses import Logistic

_TARGET = 1e-6
_ORDER = (
    "ours: lbfgs",
    "cuML's loop: rebuilt from its description",
    "PyTorch: closed form",
    "ours: newton-cg",
    "PyTorch: autograd",
    "ours: newton-cholesky",
    "ours: auto",
    "PyTorch: compiled closed form",
)


def objective_value(X, y, w, l2):
    """F(w) in float64, w = [coefficients, intercept]: mean loss + l2/2·‖coefficients‖²."""
    W, value, loss = cupy.asarray(np.asarray(w, dtype=np.float64)[:, None]), 0.0, Logistic()
    for rows in row_chunks(X, 1 << 27):
        value += float(loss.value_residual(X[rows].astype(np.float64) @ W[:-1] + W[-1], y[rows])[0].sum())
    return value / X.shape[0] + 0.5 * l2 * float(w[:-1] @ w[:-1])


def first_below(trace, least, target, exact):
    """Seconds of the first point (seconds, own value, w) of a trace whose exact value is at most least·(1 +
    target).

    A point's own float32 value only saves the exact evaluation of those far above: it is good to 1e-5 at
    worst.
    """
    for seconds, own, w in trace:
        if own <= least * (1 + target + 1e-4) and exact(w) <= least * (1 + target):
            return seconds
    return None


def our_fit(X, y, solver, tol, max_seconds):
    """Seconds of a whole fit, and the callback's trace of (seconds since the call of fit, value, [w, b])."""
    trace = []

    def callback(record, w):
        trace.append((time.perf_counter() - began, record.value, w))

    synchronize()
    began = time.perf_counter()
    model = LogisticRegression(
        backend="cupy", solver=solver, tol=tol, callback=callback, max_seconds=max_seconds
    ).fit(X, y)
    seconds = time.perf_counter() - began
    trace.append(
        (
            seconds,
            min(record.value for record in model.history_),
            np.append(model.coef_, model.intercept_).astype(np.float64),
        )
    )
    return {
        "seconds": seconds,
        "passes": model.n_passes_,
        "status": model.status_,
        "solver": str(model.solver_),
    }, trace


def torch_fit(X, y, which, l2, max_seconds, max_iter=300):
    """PyTorch's L-BFGS, history 10, strong Wolfe: seconds, and the trace of all its evaluations.

    X (m, n) and y (m,) are tensors.
    """
    import torch

    (m, n), function = X.shape, torch_function(which, X.dtype)
    w = torch.zeros(n + 1, dtype=X.dtype, device=X.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [w],
        lr=1,
        max_iter=max_iter,
        max_eval=2 * max_iter,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def evaluate_at(point):
        value, gradient, intercept = function(X, y, point[:-1], point[-1])
        loss = value / m + 0.5 * l2 * (point[:-1] @ point[:-1])
        return loss, torch.cat([gradient / m + l2 * point[:-1], intercept.reshape(1) / m])

    def closure():
        with contextlib.nullcontext() if which == "autograd" else torch.no_grad():
            loss, gradient = evaluate_at(w.detach())
        w.grad, loss = gradient.detach(), loss.detach()
        own = float(loss)  # L-BFGS asks for it at once anyway
        trace.append((time.perf_counter() - began, own, w.detach().clone()))
        if trace[-1][0] > max_seconds:
            raise TimeoutError
        return loss

    evaluate_at(w.detach())  # compiles and warms up
    synchronize()
    trace, began, ending = [], time.perf_counter(), "stopped by itself"
    try:
        optimizer.step(closure)
    except TimeoutError:
        ending = "out of time"
    return (
        {"seconds": time.perf_counter() - began, "evaluations": len(trace), "status": ending},
        [(s, own, point.double().cpu().numpy()) for s, own, point in trace],
    )


def rebuilt_fit(X, y, n_classes, l2, max_seconds):
    """What gpu_quasi_newton.py says, until F stands still: seconds, and the trace of all evaluations.

    Told beside it is where cuML's default stopping (tol 1e-4, delta 1e-6) ends the loop.
    """
    evaluate = TwoProducts(X, y, n_classes, l2)
    evaluate(evaluate.start)  # compiles
    early, _ = _timed_loop(evaluate, max_seconds / 3, tol=1e-4, delta=1e-6)
    told, trace = _timed_loop(evaluate, max_seconds / 2, tol=1e-9, delta=1e-8)
    trace = [(at, value, cupy.asnumpy(w).astype(np.float64)) for at, value, w in trace]
    return {**told, "by_its_defaults": early}, trace


def _timed_loop(evaluate, max_seconds, **stopping):
    trace = []

    def keep(value, w):
        trace.append((time.perf_counter() - began, value, w))
        if trace[-1][0] > max_seconds:
            raise TimeoutError

    synchronize()
    began = time.perf_counter()
    try:
        _, ending = quasi_newton(evaluate, evaluate.start, keep=keep, **stopping)
    except TimeoutError:
        ending = "out of time"
    seconds, least = time.perf_counter() - began, min((value for _, value, _ in trace), default=math.nan)
    return {"seconds": seconds, "evaluations": len(trace), "status": ending, "value": least}, trace


def fits(options, budget, part):
    """The traces tell when the target was met: ours at accepted points, PyTorch's at every evaluation."""
    warnings.simplefilter("ignore")
    m, n = options.fit_rows, options.fit_features
    X, y = hard_matrix(m, n)
    host_y = y.get()  # what the estimator does first; for all alike it is not timed
    l2, few, traces = 1.0 / m, 200_000, {}  # C = 1 of the mean
    part["cases"] = []  # without their traces those of an earlier start say too little
    part.update(rows=m, features=n, dtype="float32", bytes=X.nbytes, target=_TARGET, l2_of_the_mean=l2)

    def exact(w):
        return objective_value(X, y, w, l2)

    def fit(name):
        (who, which), seconds = name.split(": "), max(3.0, 0.35 * budget.left())
        if who == "PyTorch":
            told, trace = torch_fit(torch_tensor(X), torch_tensor(y).float(), which, l2, seconds)
        elif who != "ours":
            told, trace = rebuilt_fit(X, y, 2, l2, seconds)
        else:
            our_fit(X[:few], host_y[:few], which, 1e-3, 5)  # compiles
            told, trace = our_fit(X, host_y, which, 1e-11, seconds)
        traces[name] = trace
        return {**told, "value": exact(min(trace, key=lambda point: point[1])[2])}

    for name in _ORDER:
        part.case(name, budget, fit, name)
        free_memory()
    part["least_value"] = least = min((case["value"] for case in part["cases"]), default=math.nan)
    for case in part["cases"]:
        seconds = first_below(traces[case["name"]], least, _TARGET, exact)
        case.update(suboptimality=case["value"] / least - 1, seconds_to_target=seconds)
