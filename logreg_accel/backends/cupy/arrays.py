"""Copies of arrays on the device, by the kernels of kernels/cuda/arrays.cu: one launch, and no wait."""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from .compiler import REAL, kernel

_WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "unsigned long long"}
_MOST_BLOCKS = 8192
_SUMMING_BLOCKS = 64


def by_rows(X, columns, dtype=None, rows=None, out=None):
    """A row-major copy of X (m, n) of any strides, padded with zeros to a number of columns.

    `dtype` is float32, float64 or that of X; `rows` are the numbers of the rows to copy, of any integer type.
    """
    rows = None if rows is None else row_numbers(rows)
    m, n = len(X) if rows is None else rows.size, X.shape[1]
    dtype = dtype or X.dtype
    out = cupy.empty((m, columns), dtype=dtype) if out is None else out
    if not out.size:
        return out
    # kernels get the lowest address of the array, whose own pointer may be the highest
    lowest = X[tuple(slice(None, None, -1 if step < 0 else 1) for step in X.strides)]
    word = _WORDS[X.itemsize]
    types = (
        f"{word}, {word}" if dtype == X.dtype else f"{shapes.STORAGE[X.dtype.name][0]}, {REAL[dtype.name]}"
    )
    place = map(np.int64, (X.data.ptr - lowest.data.ptr, *X.strides))
    tiles = -(-m // 32) * -(-columns // 32)
    arguments = lowest, *place, rows, np.int64(m), np.int64(n), out, np.int64(columns)
    _start(f"copied<{types}>", 32 * 8 * tiles, *arguments)
    return out


def contiguous(array):
    """A vector or matrix itself if it is contiguous and aligned, otherwise a copy."""
    return in_type(array, array.dtype)


def in_type(array, dtype):
    """As `contiguous`, in float32, float64 or the array's own dtype."""
    if array.dtype == dtype and array.flags.c_contiguous and aligned(array):
        return array
    if array.dtype != dtype and array.dtype.name not in shapes.STORAGE:
        return cupy.ascontiguousarray(array, dtype=dtype)
    matrix = array.reshape(1, -1) if array.ndim == 1 else array
    return by_rows(matrix, matrix.shape[1], dtype).reshape(array.shape)


def aligned(array):
    """Whether all addresses are multiples of the item size; loads of misaligned numbers fail."""
    return not any(place % array.itemsize for place in (array.data.ptr, *array.strides))


def taken(array, rows):
    """Some rows of a vector or matrix, by their numbers."""
    if array.ndim > 1:
        return by_rows(array, array.shape[1], rows=rows)
    rows = row_numbers(rows)
    vector, out = contiguous(array), cupy.empty(rows.size, dtype=array.dtype)
    _start(f"picked<{_WORDS[array.itemsize]}>", rows.size, vector, rows, np.int64(rows.size), out)
    return out


def of_classes(each, y, s):
    """each[y], times the weights s, if any, and then in float64. `each` is on the host."""
    real = np.dtype(np.float32 if s is None else np.float64)
    weight = REAL[real.name if s is None else s.dtype.name]
    out = cupy.empty(len(y), dtype=real)
    arguments = y, cupy.asarray(each, dtype=real), s, np.int64(len(y)), out
    _start(f"of_classes<{REAL[real.name]}, {weight}>", len(y), *arguments)
    return out


def product(a, b, c):
    """a·b·c in float64, of vectors of the arithmetic's types, the first in float64."""
    out = cupy.empty(a.size, dtype=np.float64)
    types = ", ".join(REAL[vector.dtype.name] for vector in (b, c))
    _start(f"product<{types}>", a.size, a, contiguous(b), contiguous(c), np.int64(a.size), out)
    return out


def add_matrix(matrix, total, first, sign=1, outputs=1, a=0, b=0):
    """Add the leading part of a matrix to a total in float64, which is overwritten if `first`.

    The block of outputs a and b is added at its place in the total of all outputs, (n·outputs, n·outputs),
    and if a and b differ, also at its place below the diagonal.
    """
    n, columns = len(total) // outputs, matrix.shape[1]
    places = np.int32(outputs), np.int32(a), np.int32(b)
    arguments = matrix, np.int32(columns), np.int32(n), np.float64(sign), *places, np.bool_(first), total
    _start(f"add_matrix<{REAL[matrix.dtype.name]}>", n * n, *arguments)


def add_row(Z, row):
    """Add a row (k,) of the host to each of Z (m, k), in place."""
    arguments = Z, np.int64(Z.size), np.int32(Z.shape[1]), cupy.asarray(row, dtype=Z.dtype)
    _start(f"add_row<{REAL[Z.dtype.name]}>", Z.size, *arguments)


def add(Z, numbers):
    """Add float64 numbers on the device to Z, in place; both arrays are contiguous."""
    _start(f"add<{REAL[Z.dtype.name]}>", Z.size, Z, numbers, np.int64(Z.size))


def column_sums(matrix):
    """The sums of the columns (k,) in float64, on the host."""
    return _of_columns("column_sums", matrix).sum(axis=0)


def column_reach(matrix):
    """The largest magnitudes of the columns (k,), on the host."""
    return _of_columns("column_reach", matrix).max(axis=0)


def _of_columns(name, matrix):
    k = matrix.shape[1]
    blocks = max(min(_SUMMING_BLOCKS, -(-matrix.size // shapes.THREADS)), -(-k // shapes.THREADS))
    threads = blocks * shapes.THREADS // k * k
    out = cupy.empty((threads // k, k), dtype=np.float64)
    launch = kernel("arrays.cu", f"{name}<{REAL[matrix.dtype.name]}>")
    launch((blocks,), (shapes.THREADS,), (matrix, np.int64(matrix.size), np.int32(threads), out))
    return cupy.asnumpy(out)


def times(a, b, sign=1):
    """The product of two vectors, or minus it."""
    out = cupy.empty_like(a)
    arguments = a, b, a.dtype.type(sign), np.int64(a.size), out
    _start(f"times<{REAL[a.dtype.name]}>", a.size, *arguments)
    return out


def total(vector):
    """The sum of a vector of float64, (1,) on the device."""
    out = cupy.empty(1, dtype=np.float64)
    kernel("arrays.cu", "total")((1,), (shapes.THREADS,), (vector, np.int64(vector.size), out))
    return out


def squared(array):
    """The squares of the numbers of a contiguous array, in the dtype of the arithmetic."""
    out = cupy.empty(array.shape, dtype=compute_dtype(array.dtype))
    types = f"{shapes.STORAGE[array.dtype.name][0]}, {REAL[out.dtype.name]}"
    _start(f"squared<{types}>", array.size, array, np.int64(array.size), out)
    return out


def row_numbers(rows):
    """Row numbers in the dtype that kernels take."""
    as_they_are = isinstance(rows, cupy.ndarray) and rows.dtype == np.int64
    return contiguous(rows if as_they_are else cupy.asarray(rows, dtype=np.int64))


def _start(name, threads, *arguments):
    if threads:
        blocks = min(-(-threads // shapes.THREADS), _MOST_BLOCKS)
        kernel("arrays.cu", name)((blocks,), (shapes.THREADS,), arguments)
