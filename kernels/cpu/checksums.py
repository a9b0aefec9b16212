"""Checksums of what is read from disk; logreg_accel/data/packed.py has the formula, in array code."""

import numpy as np
from numba import njit, types

from .caching import CACHE

_pread = types.ExternalFunction("pread", types.intp(types.int32, types.uintp, types.uintp, types.int64))


@njit(nogil=True, cache=CACHE, error_model="numpy")
def _of_piece(piece, factors):
    found = np.uint64(0)
    for j in range(len(piece)):
        found += (piece[j] ^ (piece[j] >> np.uint64(31))) * factors[j]
    return found


@njit(nogil=True, cache=CACHE, error_model="numpy")
def of_pieces(words, factors, pieces, sums):
    """Fill sums with the checksums of some pieces; the last of all may be shorter."""
    size = len(factors)
    for i in range(len(pieces)):
        start = pieces[i] * size
        sums[i] = _of_piece(words[start : start + size], factors)


@njit(nogil=True, cache=CACHE, error_model="numpy")
def read(file, offset, words, factors, sums, at_once):
    """Fill words from a file, `at_once` pieces at a time, whose checksums are compared while the pieces are
    still in the processor's cache; False as soon as a checksum does not match or the file ends too early.
    """
    size, address, done = len(factors), words.ctypes.data, 0
    for first in range(0, len(sums), at_once):
        stop = min((first + at_once) * size, len(words)) * words.itemsize
        while done < stop:
            count = _pread(file, address + done, stop - done, offset + done)
            if count <= 0:
                return False
            done += count
        for i in range(first, min(first + at_once, len(sums))):
            if _of_piece(words[i * size : (i + 1) * size], factors) != sums[i]:
                return False
    return True
