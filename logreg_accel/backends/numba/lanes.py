"""How X is handed to the compiled loops, and how its rows are cut into lanes and tiles."""

import functools
import importlib
import math

import numpy as np

from ..passes import Hessian, OwnHessians

LANE_BYTES = 2 << 20  # smaller lanes cost more in Python calls than they gain in balance
MOST_LANES = 64
_LANE_ROWS = 16  # rows of a lane at least: the sums of fewer take longer to add up than their rows to read
_LANE_RUN = 250  # rows of a column-major X: in shorter runs of a column, prefetching does not help
_SWEEP_ROWS = 65536
_SPARSE_LANE_BYTES = 1 << 20  # bytes of a sparse lane at least: starting a second thread takes some time
_ROW_TILE_BYTES = 1 << 18  # half of a common L2 cache
_ROW_TILE_ROWS = 1024  # so that the vectors beside the tile stay in the L1 cache
_COLUMN_TILE_BYTES = 1 << 22  # longer runs of each column outweigh the L2 cache
_COLUMN_TILE_ROWS = (256, 4096)  # at least and at most
_SPARSE_TILE_ROWS = 1024
_HESSIAN_WORK = 1 << 25  # products of two entries between two checks of the deadline
_HESSIANS_BYTES = 1 << 28  # largest size of the sums of all lanes together
_BITS = {"float16": np.uint16, "bfloat16": np.int16}  # as kernels/cpu/storage.py expects them
_STORED = {
    "float64",
    "float32",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
}


@functools.cache
def loops(name):
    """A module of compiled loops, imported when it is needed."""
    return getattr(importlib.import_module("logreg_accel.kernels.cpu"), name)


def layout(X):
    """Return "rows", "columns" or "sparse", and X as the loops take it; None if there is no loop for it.

    The loops take a row-major X, or a tuple: Xᵀ of a column-major X; data, indices and indptr of a sparse X.
    """
    if X.compressed:
        entries = _entries(X.stored)
        return (None, None) if entries is None else ("sparse", entries)
    A = _long_rows(X.stored)
    if A is not None:
        return "rows", A
    A = _long_rows(X.stored.T)
    return (None, None) if A is None else ("columns", (A,))


def _long_rows(X):
    """X as a C-contiguous array whose rows are as long as its row stride, so that one compiled loop serves
    all; else None.

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
    X.flags.writeable = (
        False  # otherwise, Numba would compile every loop twice: for writable and for read-only arrays
    )
    return X


def _entries(X):
    """data, indices and indptr of a sparse X as a compiled loop takes them; None for uncommon dtypes."""
    arrays = (X.data, X.indices, X.indptr)
    if X.dtype.name not in _STORED or not all(a.dtype.isnative and a.flags.aligned for a in arrays):
        return None
    parts = [np.ascontiguousarray(a).view() for a in (X.data, _unsigned(X.indices), _unsigned(X.indptr))]
    for a in parts:
        a.flags.writeable = False
    return tuple(parts)


def _unsigned(a):
    return a.view(f"u{a.itemsize}")


def tile_rows(layout, X, beside=0):
    """Rows of a tile; `beside` is the number of bytes that a row takes there in addition to X."""
    if layout == "sparse":
        return _SPARSE_TILE_ROWS
    row = X.shape[1] * X.dtype.itemsize
    if layout == "rows":
        return max(4, min(_ROW_TILE_ROWS, _ROW_TILE_BYTES // (row + beside)) // 4 * 4)
    least, most = _COLUMN_TILE_ROWS
    return max(least, min(most, _COLUMN_TILE_BYTES // row))


def count(X, outputs=1):
    """The number of lanes. Their sums for all outputs take at most half of a dense X, or twice a sparse X.

    A lane of a row-major X has at least 16 rows, one of a column-major X 250 rows, and one of a sparse X 25
    entries per feature. For a sparse X, whose passes are short, the number is a power of two: of three lanes,
    one of two threads would get two.
    """
    in_x = X.nbytes // (8 * X.shape[1] * outputs)
    if not X.compressed:
        by_columns = X.stored.strides[0] < X.stored.strides[1]
        rows = X.shape[0] // (_LANE_RUN if by_columns else _LANE_ROWS)
        return max(1, min(MOST_LANES, X.nbytes // LANE_BYTES, rows, in_x // 2))
    entries = max(min(X.stored.data.size // (25 * X.shape[1]), 2 * in_x), 2)
    lanes = max(1, min(MOST_LANES, X.nbytes // _SPARSE_LANE_BYTES, entries, X.shape[0]))
    return 1 << (lanes.bit_length() - 1)


def rows_count(vector):
    """Lanes of a sweep over a row vector."""
    return max(1, min(MOST_LANES, len(vector) // _SWEEP_ROWS))


def hessian_count(X, pass_):
    """The number of lanes for a Hessian, each of which has a sum of its own and enough rows to be worth it.

    Two lanes need fewer rows than more of them, since they halve the time, whereas each further lane gains
    less and takes another sum.
    """
    m, n = X.shape
    worth = max(min(2, m // max(n, 1)), m // max(8 * n, 1))
    return max(1, min(count(X), worth, _HESSIANS_BYTES // (8 * hessian_size(pass_) ** 2)))


def groups_count(X, pass_):
    """The number of lanes for sums by group, each of which has sums of its own."""
    return max(1, min(count(X), _HESSIANS_BYTES // pass_.nbytes))


def hessian_rows(X):
    """The number of rows of a sparse X whose contribution to a Hessian takes some hundredths of a second."""
    return max(1, int(_HESSIAN_WORK / (X.stored.data.size / X.shape[0] + 1) ** 2))


def hessian_size(pass_):
    """The side of a square matrix with about as many numbers as the pass returns."""
    n, k = pass_.W.shape
    return n * {Hessian: k, OwnHessians: math.isqrt(k) + 1}.get(type(pass_), 1)


def even(m, lanes):
    """Where lanes of equally many rows begin and end."""
    return [m * i // lanes for i in range(lanes + 1)]


def bounds(X, lanes):
    """Where lanes of rows begin and end; those of a sparse X have equally many entries."""
    if not X.compressed or lanes == 1:
        return even(X.shape[0], lanes)
    indptr, entries = X.stored.indptr, X.stored.data.size
    # In another dtype, searchsorted would convert all of indptr.
    shares = np.array([entries * i // lanes for i in range(1, lanes)], dtype=indptr.dtype)
    inner = np.searchsorted(indptr, shares)
    return [0, *(int(row) for row in inner), X.shape[0]]
