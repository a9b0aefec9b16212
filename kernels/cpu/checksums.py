"""Checksums of what is read from disk; logreg_accel/data/packed.py has the formula, in array code."""

import numpy as np
from numba import njit

from .caching import CACHE


@njit(nogil=True, cache=CACHE, error_model="numpy")
def of_pieces(words, factors, pieces, sums):
    """Fill sums with Σ words·factors, modulo 2^64, of some pieces; the last of all may be shorter."""
    size = len(factors)
    for i in range(len(pieces)):
        start = pieces[i] * size
        piece = words[start : start + size]
        found = np.uint64(0)
        for j in range(len(piece)):
            found += piece[j] * factors[j]
        sums[i] = found
