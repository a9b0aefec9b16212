"""Sums of squares of a dense X by rows, with the kernels of kernels/cuda/squares.cu."""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from .. import passes as p
from .compiler import REAL, kernel

_SLICE_ROWS = 256  # whose squares add up in the arithmetic of the pass
_MOST_BLOCKS = 8192


def column_squares(backend, pass_, block, stored):
    """The squares of every column, on the host."""
    return cupy.asnumpy(_of_columns(block.X)) if _has_kernels(block.X) else None


def row_squares(backend, pass_, block, stored):
    """The squares of every row, scaled by column, on the device."""
    X = block.X
    if not _has_kernels(X):
        return None
    (m, n), real, blocks = X.shape, compute_dtype(X.dtype), (shapes.THREADS,)
    if pass_.scale is None:
        scale = cupy.empty(n, dtype=real)
        start = kernel("squares.cu", f"inverse_means<{REAL[real.name]}>")
        start((-(-n // shapes.THREADS),), blocks, (_of_columns(X), np.int64(m), np.int32(n), scale))
    else:
        scale = cupy.asarray(pass_.scale, dtype=real)
    norms = cupy.empty(m, dtype=real)
    arguments = X.stored, np.int64(X.layout[0]), np.int64(m), np.int32(n), scale, norms
    kernel("squares.cu", f"row_squares<{_types(X)}>")((min(-(-m // 8), _MOST_BLOCKS),), blocks, arguments)
    return norms


def _of_columns(X):
    (m, n), real = X.shape, compute_dtype(X.dtype)
    lanes, slices = min(1 << (n - 1).bit_length(), shapes.THREADS), -(-m // _SLICE_ROWS)
    sums, totals = cupy.empty((slices, n), dtype=real), cupy.empty(n, dtype=np.float64)
    sizes = np.int64(X.layout[0]), np.int64(m), np.int32(n), np.int32(lanes), np.int32(_SLICE_ROWS)
    grid = slices, -(-n // shapes.THREADS)
    kernel("squares.cu", f"column_squares<{_types(X)}>")(grid, (shapes.THREADS,), (X.stored, *sizes, sums))
    name, blocks, threads = shapes.sum_slices(REAL[real.name], slices, n)
    arguments = sums, None, np.int64(slices), np.int32(n), np.int32(0), totals
    kernel("dense.cu", name)((blocks,), (threads,), arguments)
    return totals


def _has_kernels(X):
    return X.shape[0] > 0 and X.dtype.name in shapes.STORAGE


def _types(X):
    return f"{shapes.STORAGE[X.dtype.name][0]}, {REAL[compute_dtype(X.dtype).name]}"


KERNELS: dict = {
    (p.ColumnSquares, None, "dense"): column_squares,
    (p.RowSquares, None, "dense"): row_squares,
}
