"""How fast this machine can read a matrix at all: the limit that passes are measured against."""

import time

import numpy as np

from .backends import unusable
from .backends.threads import available_threads, run_lanes
from .data.convert import is_on_device


def read_bandwidth(X, *, repeats=5, n_threads=None):
    """The fastest plain read of X seen, in GB/s: the best of a streaming sum and of BLAS's X @ w.

    Parameters
    ----------
    X : ndarray (m, n) or CuPy array
        Floats, C order; should be several times the cache.
    repeats : int
        Runs of each; the fastest counts.
    n_threads : int or None
        CPU threads; None takes all.

    Returns
    -------
    float
        1e9 bytes a second.
    """
    w = X[0] * 0
    if is_on_device(X):
        import cupy

        reads, wait = [lambda: X.sum(), lambda: X @ w], cupy.cuda.Device().synchronize
    else:
        reads, wait = [lambda: X @ w], lambda: None
        if unusable("numba") is None:
            reads.append(lambda: _streaming_sum(X, n_threads or available_threads()))
    return X.nbytes / min(_best_seconds(read, wait, repeats) for read in reads) / 1e9


def _best_seconds(read, wait, repeats):
    read()
    wait()
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        read()
        wait()
        best = min(best, time.perf_counter() - began)
    return best


def _streaming_sum(X, n_threads):
    from .kernels.cpu import dense

    m, lanes = X.shape[0], 4 * n_threads
    run_lanes(lambda i: dense.read(X, m * i // lanes, m * (i + 1) // lanes), lanes, n_threads)
