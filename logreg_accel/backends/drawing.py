"""The sweeps over all rows that are needed to draw some of them, in plain array code."""

import functools

import numpy as np


def total(xp, mass):
    """Σ mass in float64, and how many are positive."""
    return float(mass.sum(dtype=np.float64)), int(xp.count_nonzero(mass > 0))


def above(xp, mass, scale, even, bar, seed, numbers=None):
    """The rows with a positive mass whose mass·scale + even is above bar·u, with u of `uniforms`.

    `numbers` are the rows' numbers for the hash, an array or a range; None counts from 0.
    """
    u = uniforms(numbered(xp, range(len(mass)) if numbers is None else numbers), seed)
    real = mass.dtype.type
    return xp.flatnonzero((mass > 0) & (mass * real(scale) + real(even) > u * np.float32(bar)))


def numbered(xp, numbers):
    """Numbers of rows, an array or a range, as an array of the library."""
    if not isinstance(numbers, range):
        return xp.asarray(numbers)
    return xp.arange(numbers.start, numbers.stop, dtype=np.uint32 if numbers.stop <= 2**32 else np.int64)


def keys(seed):
    """Two numbers made of a seed, a sequence of integers."""
    return _state(tuple(map(int, seed)))


@functools.lru_cache(64)
def _state(seed):
    """A SeedSequence takes as long as hashing thousands of numbers, and draws ask twice for each seed."""
    return np.random.SeedSequence(seed).generate_state(2)


def uniforms(numbers, seed):
    """A number in (0, 1] for each row, float32: a hash of the seed and of the row's number.

    Parameters
    ----------
    numbers : array of uint32 or int64
    seed : sequence of int
    """
    before, after = keys(seed)
    x = numbers.astype(np.uint32)
    if numbers.dtype.itemsize > 4:  # the bits of a number beyond 2^32 change the keys
        x ^= (numbers >> 32).astype(np.uint32) * np.uint32(0x9E3779B9)
    x ^= before
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    x ^= after
    return (x.astype(np.float32) + np.float32(1)) * np.float32(2.0**-32)
