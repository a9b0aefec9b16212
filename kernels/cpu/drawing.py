"""The sweeps of priority sampling over the masses of rows, each over the rows [start, stop) of one lane.

The hash and the comparison are those of logreg_accel/backends/drawing.py, where they are a dozen array
operations.
"""

import numpy as np
from numba import njit

from .caching import CACHE

SWEEP = {"nogil": True, "cache": CACHE, "error_model": "numpy"}


@njit(**SWEEP, fastmath={"reassoc"})
def total(mass, start, stop):
    """The sum of the masses, and how many are positive."""
    found, count = 0.0, 0
    for i in range(start, stop):
        found += mass[i]
        count += mass[i] > 0
    return found, count


@njit(**SWEEP)
def above(mass, scale, even, bar, before, after, first, start, stop, rows):
    """Fill rows with the i whose mass·scale + even is above bar·u; return how many there are.

    `first` is the number of row 0 in the hash.
    """
    count = 0
    unit = np.float32(2.0**-32)
    for i in range(start, stop):
        x = np.uint32(i + first) ^ before
        x ^= x >> np.uint32(16)
        x = np.uint32(x * np.uint32(0x7FEB352D))
        x ^= x >> np.uint32(15)
        x = np.uint32(x * np.uint32(0x846CA68B))
        x ^= x >> np.uint32(16)
        x ^= after
        u = (np.float32(x) + np.float32(1)) * unit
        rows[start + count] = i
        count += mass[i] > 0 and mass[i] * scale + even > u * bar
    return count
