"""Gathering of compressed rows, and conversion of sums in fixed point, by kernels/cuda/entries.cu."""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from .arrays import row_numbers
from .compiler import kernel

_MOST_BLOCKS = 8192


def of_rows(X, rows):
    """Gather rows of X by their numbers: indptr, data and columns of their entries.

    The number of entries is known once the lengths of the rows are on the host, which takes a wait.
    """
    rows = row_numbers(rows)
    lengths, count = cupy.empty(rows.size, dtype=np.int64), np.int64(rows.size)
    _start("row_lengths", rows.size, X.indptr, rows, count, lengths)
    begins = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(cupy.asnumpy(lengths))])
    there = cupy.asarray(begins)
    data, indices = cupy.empty(begins[-1], dtype=X.dtype), cupy.empty(begins[-1], dtype=np.int32)
    arguments = X.data, X.indices, X.indptr, rows, there, count, data, indices
    _start(f"taken_entries<{_stored(X)}>", 32 * rows.size if data.size else 0, *arguments)
    return there, data, indices


def shifted(indptr, first):
    """The offsets of rows, counted from that of the first one."""
    if first == 0:
        return indptr
    out = cupy.empty(indptr.size, dtype=np.int64)
    _start("shifted", out.size, indptr, np.int64(first), np.int64(out.size), out)
    return out


def moved(data, indices, centre):
    """Entries in float64 less the centre of their column."""
    out = cupy.empty(data.size, dtype=np.float64)
    _start(f"moved<{_stored(data)}>", data.size, data, indices, centre, np.int64(data.size), out)
    return out


def from_fixed(sums, exponents, shifts, out):
    """Sums (n, k) in fixed point into the first columns of a matrix of float64."""
    (n, k), columns = sums.shape, out.strides[0] // out.itemsize
    sizes = np.int32(n), np.int32(k), np.int32(columns)
    _start("unfixed", sums.size, sums, exponents, shifts, *sizes, out)


def gram_of(sums, exponents, shift, border, corner):
    """A Gram matrix (n + 1, n + 1) of its upper triangle in fixed point, its last column and its corner."""
    n = len(sums)
    out = cupy.empty((n + 1, n + 1), dtype=np.float64)
    arguments = sums, exponents, np.int32(shift), border, corner, np.int32(n), out
    _start("unfixed_gram", out.size, *arguments)
    return out


def _stored(array):
    return shapes.STORAGE[array.dtype.name][0]


def _start(name, threads, *arguments):
    if threads:
        blocks = min(-(-threads // shapes.THREADS), _MOST_BLOCKS)
        kernel("entries.cu", name)((blocks,), (shapes.THREADS,), arguments)
