"""Compiled CPU loops: each pass reads X from memory once, on a pool of threads over fixed lanes of rows.

The number of lanes depends only on X's shape and their sums are added in a fixed order, so a result has the same bits at
any number of threads. What has no loop of its own (uncommon strides and byte orders, many outputs) runs the generic body
lane by lane, with one BLAS thread in each.
"""

import functools
import importlib
from typing import Any, NamedTuple

import numpy as np

from ..data import Block, compute_dtype
from ..data.sparse import is_sparse, rows_between, stored_bytes
from .base import Backend, LossGradient
from .numpy import NumpyBackend
from .threads import blas_limit, run_lanes, usable_threads

_LANE_BYTES = 2 << 20  # smaller lanes cost more in Python calls than they gain in balance
_MAX_LANES = 64
_ROW_TILE_BYTES = 1 << 18  # half of a common L2 cache; 128 kB to 512 kB measure alike
_ROW_TILE_ROWS = 1024  # so that the vectors beside the tile stay in the L1 cache
_COLUMN_TILE_BYTES = 1 << 22  # from 1 MB to 4 MB it gains 10 to 20 %: longer runs of each column outweigh the L2 cache
_COLUMN_TILE_ROWS = (256, 4096)  # at least, at most
_SPARSE_LANE_BYTES = 1 << 21  # 0.3 ms: a second thread takes 0.1 to 0.2 ms to come and go
_SPARSE_TILE_ROWS = 1024
_MOST_OUTPUTS = 8  # at 16 and 1,024 features BLAS on a tile wins (75 ms for 86); at 8 the loops do (46 for 55)
_MOST_SOFTMAX_WEIGHTS = 500_000  # 4,000 features x 100 classes 22 ms for 24 of BLAS on a tile, 8,000 x 100 54 for 36
_SWEEPS = 30
_HESSIANS_BYTES = 1 << 28  # sums of lanes that wait to be added
_BITS = {"float16": np.uint16, "bfloat16": np.int16}  # how kernels/cpu/storage.py wants them
_STORED = {"float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"}


class NumbaBackend(NumpyBackend):
    """Numba's loops for X by rows, by columns and sparse; the generic bodies, threaded, for the rest.

    That is more than eight models at once, and softmax of X that does not lie by rows, whose pointwise lines have loops."""

    name = "numba"

    def take(self, block, rows, weights):
        """Of X by rows on all threads: 50 MB took 40 ms on one, most of it the kernel's, for fresh pages."""
        X = block.X
        if is_sparse(X):  # with loops of its own
            return Backend.take(self, block, rows, weights)
        if not X.flags.c_contiguous or len(rows) * X.shape[1] * X.itemsize < 2 * _LANE_BYTES:
            return super().take(block, rows, weights)
        taken = np.empty((len(rows), X.shape[1]), dtype=X.dtype)
        self._run(lambda i, start, stop: np.take(X, rows[start:stop], axis=0, out=taken[start:stop], mode="clip"),
                  _even(len(rows), _lane_count(taken)))
        return Block(taken, block.y[rows], weights.astype(compute_dtype(X.dtype)))

    def loss_gradient(self, block, W, loss, keep_margins=False, diagonal=False):
        job = None if diagonal and loss.name == "multinomial" else _Job.of(block, W, loss)
        if job is None:
            parts = self._generic(block, lambda rows: NumpyBackend.loss_gradient(self, rows, W, loss, keep_margins, diagonal),
                                  _lane_count(block.X))
            margins = np.concatenate([part.margins.T for part in parts], axis=1).T if keep_margins else None  # as loops want them
            return LossGradient(sum(part.value for part in parts), sum(part.gradient for part in parts), margins,
                                sum(part.diagonal for part in parts) if diagonal else None)
        kept = np.empty((job.k if keep_margins else 0, job.m), dtype=job.W.dtype)
        value = np.zeros((job.lanes, job.k if loss.name == "logistic" else 1))
        sums = np.zeros((1 + diagonal, job.lanes, job.k, job.n + 1))  # the gradient; the diagonal
        loop = job.loops.loss_gradient_diagonal if diagonal else job.loops.loss_gradient

        def work(i, start, stop):
            loop(job.A, job.y, job.s, job.W, job.b, start, stop, job.scratch(), kept, value[i], *sums[:, i])

        self._run(work, job.bounds)
        return LossGradient(value.sum(axis=0), sums[0].sum(axis=0).T, kept.T if keep_margins else None,
                            sums[1].sum(axis=0).T if diagonal else None)

    def hessian_vector(self, block, W, V, loss, Z=None):
        job = _Job.of(block, W, loss)
        if job is None:
            return sum(self._generic(
                block, lambda rows, Z: NumpyBackend.hessian_vector(self, rows, W, V, loss, Z), _lane_count(block.X), Z))
        v, d = _split(V, job.W.dtype)
        known = np.empty((job.k, 0), job.W.dtype) if Z is None else np.ascontiguousarray(Z.T)
        return self._sum(job, lambda start, stop, out: job.loops.hessian_vector(
            job.A, job.s, job.W, job.b, v, d, known, start, stop, job.scratch(), out))

    def diagonal(self, block, W, loss):
        job = _Job.of(block, W, loss) if loss.name == "logistic" else None
        if job is None:
            return sum(self._generic(block, lambda rows: NumpyBackend.diagonal(self, rows, W, loss), _lane_count(block.X)))
        return self._sum(job, lambda start, stop, out: job.loops.diagonal(
            job.A, job.s, job.W, job.b, start, stop, job.scratch(), out))

    def hessian(self, block, W, loss):
        """BLAS on tiles, a lane a thread: nothing is copied but one scaled tile a lane. Of a sparse X, a loop over entries."""
        return self._hessian(NumpyBackend.hessian, block, W, loss, W.size)

    def mean_hessian(self, block, W, loss):
        return self._hessian(NumpyBackend.mean_hessian, block, W, loss, W.shape[0])

    def _hessian(self, body, block, W, loss, size):
        lanes = max(1, min(_lane_count(block.X), block.X.shape[0] // (8 * block.X.shape[1]), _HESSIANS_BYTES // (8 * size**2)))
        job = _Job.of(block, W, loss) if is_sparse(block.X) and W.shape[1] == 1 else None
        if job is None:
            return sum(self._generic(block, lambda rows: body(self, rows, W, loss), lanes))
        sums = [np.zeros((size, size)) for _ in range(min(lanes, len(job.bounds) - 1))]
        self._run(lambda i, start, stop: job.loops.hessian(job.A, job.s, job.W, job.b, start, stop, job.scratch(), sums[i]),
                  _row_bounds(block.X, len(sums)))
        H = sum(sums)
        return H + np.triu(H, 1).T

    def margins(self, block, W):
        job = _Job.of(block, W)
        if job is None:
            return np.concatenate(
                self._generic(block, lambda rows: NumpyBackend.margins(self, rows, W), _lane_count(block.X)))
        z = np.empty((job.k, job.m), dtype=job.W.dtype)
        self._run(lambda i, start, stop: job.loops.margins(job.A, job.W, job.b, start, stop, job.scratch(), z), job.bounds)
        return z.T

    def column_squares(self, block):
        return sum(self._generic(block, lambda rows: NumpyBackend.column_squares(self, rows), _lane_count(block.X)))

    def row_squares(self, block, scale):
        return np.concatenate(
            self._generic(block, lambda rows: NumpyBackend.row_squares(self, rows, scale), _lane_count(block.X)))

    def line(self, block, Z0, Z1, t, loss):
        if loss.name != "logistic" or Z0.shape[1] != 1:
            return super().line(block, Z0, Z1, t, loss)
        z0, z1 = Z0[:, 0], Z1[:, 0]
        s, y = _weights(block, z0.dtype), np.ascontiguousarray(block.y)
        lanes = max(1, min(_MAX_LANES, len(z0) // 16384))
        sums = np.zeros((lanes, 2))
        loop = _loops("pointwise").line
        self._run(lambda i, start, stop: loop(z0, z1, y, s, z0.dtype.type(t), start, stop, sums[i]), _even(len(z0), lanes))
        return sums.sum(axis=0)

    def lasso(self, H, gradient, w, l1, start=None):
        """Some sweeps of compiled coordinate descent first: cold, a model of 1,000 parameters takes 3 ms so and 32 without."""
        u = (w if start is None else start).copy()
        slope = gradient + H @ (u - w)
        _loops("lasso").lasso_sweeps(np.ascontiguousarray(H), slope, u, l1, _SWEEPS)
        return super().lasso(H, gradient, w, l1, u)

    # -- pointwise lines of the generic bodies ------------------------------------------------------------------------

    def _value_residual(self, loss, Z, y, s):
        if loss.name != "multinomial":
            return super()._value_residual(loss, Z, y, s)
        value, R = self._softmax("loss_residual", Z, s, y)
        return np.array([value]), R

    def _curvature(self, loss, Z, y, s):
        return self._softmax("curvature", Z, s)[1] if loss.name == "multinomial" else super()._curvature(loss, Z, y, s)

    def _curvature_product(self, loss, Z, y, U, s):
        if loss.name != "multinomial":
            return super()._curvature_product(loss, Z, y, U, s)
        return self._softmax("curvature_product", Z, s, np.array(U.T, order="C"))[1]

    def _softmax(self, name, Z, s, *more):
        """What a loop of kernels/cpu/softmax.py returns, and what it makes of Z (rows, K)."""
        Z = np.array(Z.T, order="C")
        weights = np.empty(0, dtype=Z.dtype) if s is None else np.ascontiguousarray(s[:, 0], dtype=Z.dtype)
        result = getattr(_loops("softmax"), name)(Z, *more, weights, Z.shape[1], np.empty((5, Z.shape[1]), dtype=Z.dtype))
        return result, Z.T

    # -- lanes ------------------------------------------------------------------------------------------------------

    def _run(self, work, bounds):
        """work(i, start, stop) for lane i and its rows: bounds[i] to bounds[i + 1]."""
        lanes = len(bounds) - 1
        run_lanes(lambda i: work(i, bounds[i], bounds[i + 1]), lanes, self.n_threads or usable_threads())

    def _sum(self, job, loop):
        """Σ over lanes of what loop(start, stop, out) adds to out (k, n + 1); back as (n + 1, k)."""
        sums = np.zeros((job.lanes, job.k, job.n + 1))
        self._run(lambda i, start, stop: loop(start, stop, sums[i]), job.bounds)
        return sums.sum(axis=0).T

    def _generic(self, block, body, lanes, *vectors):
        """[body(rows of a lane, those of vectors) for every lane], in order."""
        parts = [None] * lanes

        def work(i, start, stop):
            mine = [None if array is None else rows_between(array, start, stop) for array in (*block, *vectors)]
            parts[i] = body(Block(*mine[:3]), *mine[3:])

        with blas_limit(1):
            self._run(work, _row_bounds(block.X, lanes))
        return parts


class _Job(NamedTuple):
    """What the loops are called with."""

    loops: Any  # kernels.cpu.rows, columns, sparse or softmax
    A: Any  # X by rows or Xᵀ by rows, padded ones as they are; data, indices and indptr of a sparse X
    y: np.ndarray
    s: np.ndarray
    W: np.ndarray  # (k, n)
    b: np.ndarray  # (k,)
    m: int
    n: int
    k: int
    bounds: list  # of lanes of rows
    tile: int

    @property
    def lanes(self):
        return len(self.bounds) - 1

    def scratch(self):
        return self.loops.scratch(self.W, self.tile)

    @classmethod
    def of(cls, block, W, loss=None):
        """None where there is no loop for the block, the outputs or the loss."""
        X, k = block.X, W.shape[1]
        softmax = loss is not None and loss.name == "multinomial"
        if k > _MOST_OUTPUTS and not softmax:
            return None
        (m, n), dtype = X.shape, compute_dtype(X.dtype)
        A, kind = (_entries(X), "sparse") if is_sparse(X) else (_long_rows(X), "rows")
        if A is None and kind == "rows":
            A, kind = _long_rows(X.T), "columns"
        if A is None or (softmax and (kind != "rows" or k * n > _MOST_SOFTMAX_WEIGHTS)):
            return None
        if kind == "sparse":
            tile = _SPARSE_TILE_ROWS
        elif kind == "rows":
            bytes_a_row = n * X.itemsize + softmax * 2 * k * dtype.itemsize
            tile = max(4, min(_ROW_TILE_ROWS, _ROW_TILE_BYTES // bytes_a_row) // 4 * 4)
        else:
            least, most = _COLUMN_TILE_ROWS
            tile = max(least, min(most, _COLUMN_TILE_BYTES // (n * X.itemsize)))
        y = np.empty(0, dtype=np.uint8) if block.y is None else np.ascontiguousarray(block.y)
        loops = _loops("softmax" if softmax else kind)
        return cls(loops, A, y, _weights(block, dtype), *_split(W, dtype), m, n, k, _row_bounds(X, _lane_count(X)), tile)


@functools.cache
def _loops(name):
    return getattr(importlib.import_module("logreg_accel.kernels.cpu"), name)


def _long_rows(X):
    """X as a C-contiguous array whose rows are as long as its row stride, so that one compiled loop serves all; else None.

    What lies beyond the last column is not X's and is never read: loops take the number of columns from W.
    """
    name = X.dtype.name
    if not (name in _STORED or name in _BITS) or not X.dtype.isnative or not X.flags.aligned:
        return None
    if not X.flags.c_contiguous:
        row, item = X.strides
        if item != X.itemsize or row < X.shape[1] * X.itemsize or row % X.itemsize:
            return None
        X = np.lib.stride_tricks.as_strided(X, (X.shape[0], row // item), X.strides)
    X = X.view(_BITS.get(name, X.dtype))
    X.flags.writeable = False  # else Numba compiles every loop twice, for arrays that may be written and that may not
    return X


def _entries(X):
    """data, indices and indptr of a sparse X as one compiled loop for each pair of dtypes takes them; None for odd dtypes."""
    if X.dtype.name not in _STORED or not all(a.dtype.isnative and a.flags.aligned for a in (X.data, X.indices, X.indptr)):
        return None
    parts = [np.ascontiguousarray(a).view() for a in (X.data, _unsigned(X.indices), _unsigned(X.indptr))]
    for a in parts:
        a.flags.writeable = False
    return tuple(parts)


def _unsigned(a):
    return a.view(f"u{a.itemsize}")


def _split(W, dtype):
    """W (n + 1, k) as weights (k, n) and intercepts (k,)."""
    return np.ascontiguousarray(W[:-1].T, dtype=dtype), W[-1].astype(dtype)


def _weights(block, dtype):
    return np.empty(0, dtype=dtype) if block.sample_weight is None else np.ascontiguousarray(block.sample_weight, dtype=dtype)


def _lane_count(X):
    """Lanes of rows; of a sparse X no more than have a sum of n_features each for ten entries a feature."""
    if is_sparse(X):
        return max(1, min(_MAX_LANES, stored_bytes(X, X.dtype) // _SPARSE_LANE_BYTES, max(X.data.size // (10 * X.shape[1]), 2),
                          X.shape[0]))
    return max(1, min(_MAX_LANES, stored_bytes(X, X.dtype) // _LANE_BYTES, X.shape[0]))


def _even(m, lanes):
    return [m * i // lanes for i in range(lanes + 1)]


def _row_bounds(X, lanes):
    """Where lanes of rows begin and end; of a sparse X with as many entries each."""
    if not is_sparse(X) or lanes == 1:
        return _even(X.shape[0], lanes)
    inner = np.searchsorted(X.indptr, [X.data.size * i // lanes for i in range(1, lanes)])
    return [0, *(int(row) for row in inner), X.shape[0]]
