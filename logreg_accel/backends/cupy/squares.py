"""Sums of squares of a dense X by rows and by columns, with the kernels of kernels/cuda/squares.cu.

They read X in place; centred rows are copied tile by tile.
"""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from .. import passes as p
from .compiler import REAL, kernel
from .made import rows_anew, stored_rows, tiles
from .upload import DeviceMatrix, padded

_SLICE_ROWS = 256  # rows whose squares are added up in the arithmetic of the pass
_MOST_BLOCKS = 8192


def column_squares(backend, pass_, block, stored):
    """The squares of every column, on the host."""
    X = block.X
    if X.compressed and X.centre is None and X.shape[0]:
        return cupy.asnumpy(X.squared().column_sums())
    return (
        sum(cupy.asnumpy(_of_columns(part)) for part in _parts(backend, block)) if _has_kernels(X) else None
    )


def row_squares(backend, pass_, block, stored):
    """The squares of every row, scaled by column, on the device."""
    X = block.X
    if X.compressed and X.centre is None and X.shape[0]:
        squares = X.squared()
        return squares @ _scale(pass_, X, squares.column_sums)
    if not _has_kernels(X):
        return None
    if pass_.scale is None and X.centre is not None:
        squares = column_squares(backend, pass_, block, stored)
        pass_ = p.RowSquares(np.divide(X.shape[0], squares, out=np.zeros(len(squares)), where=squares > 0))
    norms = [_of_rows(pass_, part) for part in _parts(backend, block)]
    return norms[0] if len(norms) == 1 else cupy.concatenate(norms)


def add_by_group(X, R, codes, out):
    """Add Σ [xᵢ, 1]·Rᵢ over the rows of every group to out (groups, n + 1, k), for their codes on the host.

    Rows are added group by group in their order; the order of atomic additions would vary between runs.
    """
    order, groups = np.argsort(codes, kind="stable"), len(out)
    begins = np.searchsorted(codes[order], np.arange(groups + 1))
    there = map(cupy.asarray, (order.astype(np.int64), begins.astype(np.int64)))
    sizes = np.int64(X.layout[0]), np.int32(X.shape[1])
    arguments = X.stored, *sizes, R, np.int32(R.shape[1]), *there, np.int64(groups), out
    launch = kernel("squares.cu", f"group_sums<{REAL[X.dtype.name]}>")
    launch((min(groups, _MOST_BLOCKS),), (shapes.THREADS,), arguments)


def _parts(backend, block):
    """The rows as matrices that the kernels read."""
    X = block.X
    if X.centre is None:
        return [X]
    columns = padded(X.dtype, X.shape[1])
    pieces = tiles(backend, block, columns)
    return (DeviceMatrix(rows_anew(part.X, columns), X.shape[1]) for _, part in pieces)


def _of_rows(pass_, X):
    (m, n), real = X.shape, compute_dtype(X.dtype)
    scale, norms = _scale(pass_, X, lambda: _of_columns(X)), cupy.empty(m, dtype=real)
    arguments = X.stored, np.int64(X.layout[0]), np.int64(m), np.int32(n), scale, norms
    blocks = min(-(-m // 8), _MOST_BLOCKS)
    kernel("squares.cu", f"row_squares<{_types(X)}>")((blocks,), (shapes.THREADS,), arguments)
    return norms


def _scale(pass_, X, squares):
    """The scale of each column: that of the pass or, if it has none, from sums that a function returns."""
    (m, n), real = X.shape, compute_dtype(X.dtype)
    if pass_.scale is not None:
        return cupy.asarray(pass_.scale, dtype=real)
    scale, blocks = cupy.empty(n, dtype=real), -(-n // shapes.THREADS)
    launch = kernel("squares.cu", f"inverse_means<{REAL[real.name]}>")
    launch((blocks,), (shapes.THREADS,), (squares(), np.int64(m), np.int32(n), scale))
    return scale


def _of_columns(X):
    (m, n), real = X.shape, compute_dtype(X.dtype)
    lanes, slices = min(1 << (n - 1).bit_length(), shapes.THREADS), -(-m // _SLICE_ROWS)
    sums, totals = cupy.empty((slices, n), dtype=real), cupy.empty(n, dtype=np.float64)
    sizes = np.int64(X.layout[0]), np.int64(m), np.int32(n), np.int32(lanes), np.int32(_SLICE_ROWS)
    grid = (slices * -(-n // shapes.THREADS),)
    kernel("squares.cu", f"column_squares<{_types(X)}>")(grid, (shapes.THREADS,), (X.stored, *sizes, sums))
    name, blocks, threads = shapes.sum_slices(REAL[real.name], slices, n)
    arguments = sums, None, np.int64(slices), np.int32(n), np.int32(0), totals
    kernel("dense.cu", name)((blocks,), (threads,), arguments)
    return totals


def _has_kernels(X):
    stored = stored_rows(X)
    by_rows = not X.compressed and stored.by_rows
    return X.shape[0] > 0 and by_rows and stored.dtype.name in shapes.STORAGE


def _types(X):
    return f"{shapes.STORAGE[X.dtype.name][0]}, {REAL[compute_dtype(X.dtype).name]}"


KERNELS: dict = {
    (kind, None, layout): function
    for kind, function in ((p.ColumnSquares, column_squares), (p.RowSquares, row_squares))
    for layout in ("dense", "sparse", None)
}
