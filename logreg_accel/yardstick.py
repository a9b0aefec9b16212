"""The yardsticks of passes: this machine's read bandwidth, and plain NumPy code."""

import time
from typing import Any

import numpy as np

from .backends import unusable
from .backends.threads import run_lanes, usable_threads
from .data.convert import is_on_device

_PAUSE = 0.05


def fastest(jobs, repeats):
    """Time the fastest run of each job.

    Jobs run in turns, so that a slow spell of the machine affects all of them. A pause precedes each run:
    OpenBLAS's threads spin for a while after a product and would take a core from the next job.

    Parameters
    ----------
    jobs : dict of str -> callable
    repeats : int

    Returns
    -------
    dict of str -> float
        Seconds.
    """
    best = {}
    for round_ in range(repeats + 1):  # the first round is a warm-up
        for name, job in jobs.items():
            time.sleep(_PAUSE)
            began = time.perf_counter()
            job()
            took = time.perf_counter() - began
            if round_:
                best[name] = min(best.get(name, np.inf), took)
    return best


def plain_reads(X, n_threads=None):
    """Return jobs that read X once and do next to nothing with it.

    They are a streaming sum and, for X of float32 or float64, BLAS's X @ w.
    """
    if is_on_device(X):
        from .backends.cupy import synchronize

        return {"sum": lambda: (X.sum(), synchronize()), "X @ w": lambda: (X @ X[0], synchronize())}
    jobs = {}
    if X.dtype.kind == "f" and X.itemsize >= 4:
        jobs["X @ w"] = lambda: X @ X[0]
    if unusable("numba") is None:
        words = X if X.dtype.kind == "f" and X.itemsize >= 4 else _as_words(X)
        jobs["sum"] = lambda: _streaming_sum(words, n_threads or usable_threads())
    return jobs


def _as_words(X):
    """View all but the last few bytes of X as rows of uint32, since the values read do not matter."""
    flat = X.reshape(-1).view(np.uint8)
    return flat[: flat.size // 4096 * 4096].view(np.uint32).reshape(-1, 1024)


def _streaming_sum(X, n_threads):
    from .kernels.cpu import rows

    m, lanes = X.shape[0], 8 * n_threads
    run_lanes(lambda i: rows.read(X, m * i // lanes, m * (i + 1) // lanes), lanes, n_threads)


def read_bandwidth(X: Any, *, repeats: int = 5, n_threads: int | None = None) -> float:
    """Measure the fastest plain read of X, in GB/s: the best of a streaming sum and of BLAS's X @ w.

    Parameters
    ----------
    X : ndarray (m, n) in C order, or CuPy array
        Should be several times larger than the cache.
    repeats : int
        Runs of each job; the fastest counts.
    n_threads : int or None
        CPU threads of the sum; None uses all.

    Returns
    -------
    float
        Unit: 1e9 bytes per second.
    """
    return X.nbytes / min(fastest(plain_reads(X, n_threads), repeats).values()) / 1e9


def plain_loss_gradient(X: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> tuple[float, np.ndarray]:
    """Compute Σℓ and [Xᵀ(σ − y), Σ(σ − y)] in plain NumPy, with X @ w and X.T @ r over the whole of X.

    Parameters
    ----------
    X : ndarray (m, n), float32 or float64
    y : ndarray (m,), 0 or 1
    w : ndarray (n,)
    b : float

    Returns
    -------
    value : float
    gradient : ndarray (n + 1,)
    """
    z = X @ w.astype(X.dtype) + X.dtype.type(b)
    t = np.exp(-np.abs(z))
    sigma = np.where(z > 0, 1 / (1 + t), t / (1 + t))
    residual = sigma - y
    value = (np.maximum(z, 0) - y * z + np.log1p(t)).sum(dtype=np.float64)
    return value, np.append(X.T @ residual, residual.sum())
