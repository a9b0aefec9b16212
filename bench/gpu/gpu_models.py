"""Whole fits of other models to 1e-6, and predictions: softmax and sparse rows, ours beside others.

The others are cuML's loop, rebuilt (gpu_quasi_newton.py says what that is), and PyTorch's L-BFGS.
"""

import functools
import math
import time
import warnings

import cupy
import cupyx.scipy.sparse
import gpu_contestants
import gpu_fits
import numpy as np
import scipy.sparse
from gpu_data import Pool, draw_labels, free_memory, hard_matrix, row_chunks
from gpu_results import reason
from gpu_timing import median, wall_ms

from logreg_accel import LogisticRegression
from logreg_accel.backends.cupy import CupyBackend, synchronize
from logreg_accel.data import Block, as_matrix
from logreg_accel.losses import loss_of

_TARGET = 1e-6
CUML = "cuML's loop, rebuilt"


class Data:
    """X on the device for ours and for the others, class codes, and the penalty of the mean at C = 1."""

    def __init__(self, name, X, y, n_classes, ours=None):
        self.name, self.X, self.y, self.n_classes = name, X, y, n_classes
        self.ours, self.l2 = X if ours is None else ours, 1.0 / X.shape[0]

    def exact(self, W):
        """F(W) in float64, W (n + 1, outputs)."""
        W, value, loss = cupy.asarray(W), 0.0, loss_of(self.n_classes)
        for rows in row_chunks(self.X, 1 << 26):
            Z = self.X[rows].astype(np.float64) @ W[:-1] + W[-1]
            value += float(loss.value_residual(Z, self.y[rows])[0].sum())
        return value / self.X.shape[0] + 0.5 * self.l2 * float((W[:-1] * W[:-1]).sum())


def dense_data(m, n):
    return Data(f"{m:,} x {n}, 2 classes", *hard_matrix(m, n), 2)


def softmax_data(m, n, n_classes=10):
    X = Pool(4 * m * n).matrix("float32", n)
    W = cupy.asarray(np.random.default_rng(1).standard_normal((n, n_classes), dtype=np.float32) / n**0.5)
    noise = cupy.asarray(np.random.default_rng(2).gumbel(size=(1 << 16, n_classes)).astype(np.float32))
    y = cupy.empty(m, dtype=np.uint8)
    for start in range(0, m, 1 << 16):
        Z = 2 * X[start : start + (1 << 16)] @ W
        y[start : start + (1 << 16)] = (Z + noise[: Z.shape[0]]).argmax(axis=1).astype(np.uint8)
    return Data(f"softmax, {m:,} x {n}, {n_classes} classes", X, y, n_classes)


def sparse_data(m, n, entries, n_classes=2):
    """Rows of so many entries: a few columns are in most rows, most in few."""
    rng = np.random.default_rng(3)
    columns = np.minimum((n * rng.random((m, entries)) ** 3).astype(np.int32), n - 1)
    columns.sort(axis=1)
    values = rng.standard_normal((m, entries), dtype=np.float32)
    host = scipy.sparse.csr_array((values.ravel(), columns.ravel(), np.arange(m + 1) * entries), shape=(m, n))
    host.sum_duplicates()
    W = rng.standard_normal((n, n_classes)).astype(np.float32) / entries**0.5
    Z = host @ W + rng.gumbel(size=(m, n_classes)).astype(np.float32)
    y = Z.argmax(axis=1).astype(np.uint8)
    there = cupyx.scipy.sparse.csr_matrix(
        (
            cupy.asarray(host.data),
            cupy.asarray(host.indices.astype(np.int32)),
            cupy.asarray(host.indptr.astype(np.int32)),
        ),
        shape=host.shape,
    )
    ours = CupyBackend().upload(Block(as_matrix(host), y)).X
    return Data(f"sparse, {m:,} x {n:,}, {n_classes} classes", there, cupy.asarray(y), n_classes, ours)


def our_fit(data, seconds):
    """Seconds of a whole fit, proven to the target where it says so, and its weights."""
    labels, few = cupy.asnumpy(data.y), LogisticRegression(backend="cupy", tol=1e-2)
    few.fit(data.ours, labels)  # compiles
    synchronize()
    began = time.perf_counter()
    model = LogisticRegression(backend="cupy", tol=_TARGET, max_seconds=seconds).fit(data.ours, labels)
    taken = time.perf_counter() - began
    W = np.vstack([model.coef_.T, model.intercept_]).astype(np.float64)
    told = {
        "seconds": taken,
        "passes": model.n_passes_,
        "status": model.status_,
        "solver": str(model.solver_),
    }
    return told, [(taken, W)]


def rebuilt_fit(data, seconds):
    told, trace = gpu_fits.rebuilt_fit(data.X, data.y, data.n_classes, data.l2, seconds)
    return told, near_the_end(trace, lambda w: w.reshape(-1, data.X.shape[1] + 1).T)


def near_the_end(trace, weights):
    """(seconds, W) of the points whose own value is near the least; the others are not worth an exact one."""
    least = min(value for _, value, _ in trace)
    return [(at, weights(w)) for at, value, w in trace if value <= least * (1 + 1e-4)]


def torch_binary_fit(data, seconds):
    X, y = gpu_contestants.torch_tensor(data.X), gpu_contestants.torch_tensor(data.y).float()
    told, trace = gpu_fits.torch_fit(X, y, "closed form", data.l2, seconds)
    return told, near_the_end(trace, lambda w: w[:, None])


def torch_fit(data, seconds):
    """PyTorch's L-BFGS on softmax's cross entropy, as its users write it."""
    import torch

    X, y = torch.from_dlpack(data.X), torch.from_dlpack(data.y).long()
    W = torch.zeros(X.shape[1] + 1, data.n_classes, device=X.device, requires_grad=True)
    options = {"max_iter": 300, "history_size": 10, "tolerance_grad": 0, "tolerance_change": 0}
    optimizer, trace = torch.optim.LBFGS([W], line_search_fn="strong_wolfe", **options), []

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(X @ W[:-1] + W[-1], y)
        loss = loss + 0.5 * data.l2 * (W[:-1] ** 2).sum()
        loss.backward()
        trace.append((time.perf_counter() - began, float(loss), W.detach().clone()))
        if trace[-1][0] > seconds:
            raise TimeoutError
        return loss

    began, status = time.perf_counter(), "stopped by itself"
    closure()  # warms up
    trace.clear()
    synchronize()
    began = time.perf_counter()
    try:
        optimizer.step(closure)
    except TimeoutError:
        status = "out of time"
    told = {"seconds": time.perf_counter() - began, "evaluations": len(trace), "status": status}
    return told, near_the_end(trace, lambda w: w.double().cpu().numpy())


def race(data, contestants, budget):
    """Seconds until each is within 1e-6 of the least value that any reached, by values in float64."""
    fits, failed = {}, {}
    for name, fit in contestants.items():
        try:
            fits[name] = fit(data, max(2.0, budget.left() / len(contestants)))
        except Exception as error:  # a contestant that cannot is a result
            failed[name] = reason(error)
        free_memory()
    last = {name: data.exact(points[-1][1]) for name, (_, points) in fits.items()}
    least, told = min(last.values(), default=math.nan), {}
    for name, (facts, points) in fits.items():
        reached = (at for at, W in points if data.exact(W) <= least * (1 + _TARGET))
        told[name] = {
            **facts,
            "suboptimality": last[name] / least - 1,
            "seconds_to_target": next(reached, None),
        }
    return {"fits": told, "failed": failed, "bytes": _bytes(data.X)}


def _bytes(X):
    return int(X.nbytes) if hasattr(X, "nbytes") else int(X.data.nbytes + X.indices.nbytes)


def predict_case(m, n, repeats):
    """Predictions of rows on the device, to the host, beside a product and the formula in CuPy."""
    X = Pool(4 * m * n).matrix("float32", n)
    y = cupy.asnumpy(draw_labels(X[:20_000]))
    model = LogisticRegression(backend="cupy", tol=1e-4).fit(X[:20_000], y)
    w, b = cupy.asarray(model.coef_[0], dtype=np.float32), np.float32(model.intercept_[0])

    def plain_there():
        return 1 / (1 + np.exp(-(X @ w + b)))

    def plain():
        return cupy.asnumpy(plain_there())

    def probabilities_there():  # as under scikit-learn's array_api_dispatch
        _, margins = model._margins(X)
        return loss_of(2).probabilities(margins[:, None])

    jobs = {
        "decision_function": lambda: model.decision_function(X),
        "predict": lambda: model.predict(X),
        "predict_proba": lambda: model.predict_proba(X),
        "CuPy: X @ w and the formula": plain,
        "probabilities, left on the GPU": probabilities_there,
        "CuPy: the formula, left on the GPU": plain_there,
    }
    assert float(abs(jobs["predict_proba"]()[:, 1] - plain()).max()) < 1e-5
    ms = {name: median(lambda job=job: wall_ms(job), repeats) for name, job in jobs.items()}
    return {"ms": ms, "GB_per_s": {name: X.nbytes / each / 1e6 for name, each in ms.items()}}


def models(options, budget, part):
    """Fits of smaller X, of softmax and of sparse rows; predictions."""
    warnings.simplefilter("ignore")
    both = {"ours": our_fit, CUML: rebuilt_fit}
    rows = options.model_rows
    two_classes = both | {"PyTorch: L-BFGS": torch_binary_fit}
    cases = {
        f"{m:,} x {options.fit_features}": (
            functools.partial(dense_data, m, options.fit_features),
            two_classes,
        )
        for m in options.smaller_fits
    }
    cases |= {
        "softmax": (functools.partial(softmax_data, rows, 100), both | {"PyTorch: L-BFGS": torch_fit}),
        "sparse": (functools.partial(sparse_data, rows, 10_000, 30), both),
        "sparse softmax": (functools.partial(sparse_data, rows // 4, 2_000, 30, 4), both),
    }

    def fit(draw, contestants, limit):
        data = draw()
        return {"about": data.name, **race(data, contestants, limit)}

    for i, (name, (draw, contestants)) in enumerate(cases.items()):
        part.case(name, budget, fit, draw, contestants, budget.share(1 / (len(cases) + 1 - i)))
        free_memory()
    part.case("predict", budget, predict_case, 4 * rows, 100, options.repeats)
