"""Compiled CPU loops: each pass reads X from memory once, on a pool of threads over fixed lanes of rows."""

import functools
import importlib

import numpy as np

from ..data import compute_dtype
from .base import LossGradient
from .numpy import NumpyBackend
from .threads import available_threads, run_lanes

_TILE_BYTES = 1 << 17  # X of a tile, well inside the L2 cache; 32 kB to 256 kB measure alike
_LANE_BYTES = 1 << 20  # smaller lanes cost more in Python calls than they gain in balance
_MAX_LANES = 64
_LOADABLE = {"float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"}


class NumbaBackend(NumpyBackend):
    """Numba's loops for row-major X and one output; the generic bodies for the rest.

    The number of lanes depends only on X's shape and their sums are added in a fixed order, so the result has the same
    bits at any number of threads.
    """

    name = "numba"

    def loss_gradient(self, block, W, loss, keep_margins=False):
        if not _has_loop(block, W, loss):
            return super().loss_gradient(block, W, loss, keep_margins)
        X, y, s, w, b = _arguments(block, W)
        loop = _loops().loss_gradient
        kept = np.empty(X.shape[0] if keep_margins else 0, dtype=w.dtype)
        lanes, tile = _lanes(X), _tile_rows(X)
        values, gradients = np.zeros(len(lanes) - 1), np.zeros((len(lanes) - 1, len(W)))

        def work(i):
            values[i] = loop(X, y, s, w, b, lanes[i], lanes[i + 1], tile, kept, gradients[i])

        self._run(work, len(lanes) - 1)
        return LossGradient(values.sum(keepdims=True), gradients.sum(axis=0)[:, None], kept[:, None] if keep_margins else None)

    def hessian_vector(self, block, W, V, loss):
        if not _has_loop(block, W, loss):
            return super().hessian_vector(block, W, V, loss)
        X, _, s, w, b = _arguments(block, W)
        v, c = _split(V, w.dtype)
        loop = _loops().hessian_vector
        lanes, tile = _lanes(X), _tile_rows(X)
        results = np.zeros((len(lanes) - 1, len(W)))
        self._run(lambda i: loop(X, s, w, b, v, c, lanes[i], lanes[i + 1], tile, results[i]), len(lanes) - 1)
        return results.sum(axis=0)[:, None]

    def margins(self, block, W):
        if not _has_loop(block, W):
            return super().margins(block, W)
        X = _long_rows(block.X)
        w, b = _split(W, compute_dtype(X.dtype))
        loop = _loops().margins
        lanes = _lanes(X)
        z = np.empty(X.shape[0], dtype=w.dtype)
        self._run(lambda i: loop(X, w, b, lanes[i], lanes[i + 1], z), len(lanes) - 1)
        return z[:, None]

    def _run(self, work, n_lanes):
        run_lanes(work, n_lanes, self.n_threads or available_threads())


@functools.cache
def _loops():
    return importlib.import_module("logreg_accel.kernels.cpu.dense")


def _has_loop(block, W, loss=None):
    X = block.X
    return (
        W.shape[1] == 1
        and (loss is None or loss.name == "logistic")
        and X.strides[1] == X.itemsize
        and X.strides[0] >= X.shape[1] * X.itemsize
        and X.strides[0] % X.itemsize == 0
        and X.flags.aligned
        and X.dtype.isnative
        and X.dtype.name in _LOADABLE
    )


def _split(W, dtype):
    return np.ascontiguousarray(W[:-1, 0], dtype=dtype), dtype.type(W[-1, 0])


def _arguments(block, W):
    dtype = compute_dtype(block.X.dtype)
    s = np.empty(0, dtype=dtype) if block.sample_weight is None else block.sample_weight
    return _long_rows(block.X), np.ascontiguousarray(block.y), np.ascontiguousarray(s), *_split(W, dtype)


def _long_rows(X):
    """X as a C-contiguous array whose rows are as long as its row stride, so that one compiled loop serves all.

    What lies beyond column n is not X's and is never read: loops take n from w.
    """
    if X.flags.c_contiguous:
        return X
    return np.lib.stride_tricks.as_strided(X, (X.shape[0], X.strides[0] // X.itemsize), X.strides, writeable=False)


def _lanes(X):
    """Row numbers where lanes begin and end."""
    m = X.shape[0]
    count = max(1, min(_MAX_LANES, X.nbytes // _LANE_BYTES, m))
    return [m * i // count for i in range(count + 1)]


def _tile_rows(X):
    """Rows of a tile: a multiple of four, at most 256 so that the pointwise scratch stays in the L1 cache."""
    return max(4, min(256, _TILE_BYTES // (X.shape[1] * X.itemsize)) // 4 * 4)
