"""Passes over a dense X with the kernels of kernels/cuda/dense.cu."""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from .. import passes as p
from .compiler import REAL, kernel


def run(name, block, W, V=None, keep_margins=False):
    """Run a pass with a kernel of kernels/cuda/dense.cu: its Sums, or None if there is no such kernel."""
    X, (rows, k) = block.X.stored, W.shape
    if X.shape[0] == 0:
        return None
    m, n, columns = X.shape[0], rows - 1, block.X.columns
    real = compute_dtype(X.dtype)
    stride = X.strides[0] // X.itemsize if m > 1 else columns
    vector = shapes.widest_vector(X.itemsize, X.data.ptr, stride, columns)
    launch = shapes.dense(name, X.dtype.name, m, columns, k, vector)
    if launch is None:
        return None

    weights = _packed_weights([W] if V is None else [W, V], columns, real)
    margins = cupy.empty((k, m), dtype=real) if keep_margins else None
    sums, totals = None, None
    if name != "Margins":
        sums = cupy.empty((launch.grid, k * columns), dtype=real)
        totals = cupy.empty((launch.grid, 2 * k), dtype=np.float64)
    shape = (np.int64(stride), np.int64(m), np.int32(columns))
    rest = (np.int32(launch.slice_rows), margins, sums, totals)
    arguments = (X, *shape, cupy.asarray(weights), block.y, block.sample_weight, *rest)
    kernel("dense.cu", launch.kernel)((launch.grid,), (launch.block,), arguments)
    if name == "Margins":
        return p.Sums(None, None, margins.T)

    packed = cupy.empty(k * columns + 2 * k, dtype=np.float64)
    summing, grid, threads = shapes.sum_slices(REAL[real.name], launch.grid, packed.size)
    sizes = (np.int64(launch.grid), np.int32(k * columns), np.int32(2 * k))
    kernel("dense.cu", summing)((grid,), (threads,), (sums, totals, *sizes, packed))
    packed = cupy.asnumpy(packed)
    G = np.empty((n + 1, k))
    G[:-1] = packed[: k * columns].reshape(k, columns)[:, :n].T
    G[-1] = packed[-k:]
    return p.Sums(packed[-2 * k : -k], G, None if margins is None else margins.T)


def _packed_weights(matrices, columns, real):
    """Pack the weights of every output, each padded to `columns`, followed by the intercepts."""
    n, k = matrices[0].shape[0] - 1, matrices[0].shape[1]
    weights = np.zeros(k * len(matrices) * (columns + 1), dtype=real)
    by_output = weights[: k * len(matrices) * columns].reshape(-1, columns)
    for i, matrix in enumerate(matrices):
        by_output[i * k : (i + 1) * k, :n] = matrix[:-1].T
        weights[weights.size - (len(matrices) - i) * k :][:k] = matrix[-1]
    return weights
