"""Arrays on the device in an order that kernels read, by the kernel of kernels/cuda/arrays.cu: one launch."""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from .compiler import kernel

_WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "unsigned long long"}
_MOST_BLOCKS = 8192


def by_rows(X, columns):
    """A copy of X (m, n) with rows of so many columns, zeros beyond its own, wherever its numbers lie."""
    m, n = X.shape
    out = cupy.empty((m, columns), dtype=X.dtype)
    if not out.size:
        return out
    # a kernel is given memory from its lowest address on, as the array's own pointer may be the highest
    lowest = X[tuple(slice(None, None, -1 if step < 0 else 1) for step in X.strides)]
    place = X.data.ptr - lowest.data.ptr, *X.strides, m, n
    tiles = -(-m // 32) * -(-columns // 32)
    launch = kernel("arrays.cu", f"copied<{_WORDS[X.itemsize]}>")
    arguments = lowest, *map(np.int64, place), out, np.int64(columns)
    launch((min(tiles, _MOST_BLOCKS),), (shapes.THREADS,), arguments)
    return out


def contiguous(array):
    """A vector or matrix itself if its numbers lie in order and are aligned, else a copy."""
    if array.flags.c_contiguous and aligned(array):
        return array
    return by_rows(array.reshape(1, -1) if array.ndim == 1 else array, array.shape[-1]).reshape(array.shape)


def aligned(array):
    """Whether the numbers lie at multiples of their size, without which a load of one fails."""
    return not any(place % array.itemsize for place in (array.data.ptr, *array.strides))
