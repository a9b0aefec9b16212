"""Which rows to draw, and what each of them then counts: the weights make a sample's sums unbiased.

A sample of k rows takes k random numbers and a few sweeps over the masses, wherever these lie. (A random
number for every row took 22 ms for a million rows, as long as reading 100 features of them.)
"""

import numpy as np

_UNIFORM = 0.1  # of a sample is spread evenly, so that no row's weight grows beyond bounds
_UNIT = (
    1 << 32
)  # one expected draw as an integer: sums of integers have the same bits in any order, on any device
_LEAST_MASS = 1e-25  # of all rows: less says nothing, and its inverse may overflow float32
_CERTAIN = 1 - 1e-6  # expected draws from which a row is simply taken


def by_class(y, s, size, n_classes, rng, backend):
    """As many rows from every class, or all that a rare one has; within a class in proportion to the weights
    s.

    Parameters
    ----------
    y : array (m,), class codes, where the backend has them
    s : array (m,) or None
    size : int
    n_classes : int
    rng : numpy.random.Generator
    backend : Backend

    Returns
    -------
    rows : ndarray (k,), ascending, k about `size`
    weights : ndarray (k,), float64
        Their sum over a class is the class's own sum of weights, s included.
    """
    xp = backend.xp
    counts = np.array([int((y == code).sum()) for code in range(n_classes)])
    whole = (
        counts
        if s is None
        else np.array([float(s[y == code].sum(dtype=np.float64)) for code in range(n_classes)])
    )
    share = np.minimum(size / n_classes, counts)
    spare = counts - share
    share = share + max(size - share.sum(), 0) * spare / max(spare.sum(), 1)
    each = xp.asarray(share / np.where(whole > 0, whole, 1), dtype=np.float32 if s is None else np.float64)[y]
    rows, weights = _draw(each if s is None else each * s, rng, backend)

    codes = backend.to_host(y[xp.asarray(rows)])
    if s is not None:
        weights = weights * backend.to_host(s[xp.asarray(rows)])
    drawn = np.bincount(codes, weights, n_classes)
    missed = np.flatnonzero((drawn == 0) & (whole > 0))
    if len(missed):  # tiny weights beside a small size: the heaviest row stands for its class
        heaviest = [int((y == code if s is None else xp.where(y == code, s, -1)).argmax()) for code in missed]
        rows, weights, codes = (
            np.append(rows, heaviest),
            np.append(weights, whole[missed]),
            np.append(codes, missed),
        )
        drawn[missed] = whole[missed]
    order = np.argsort(rows, kind="stable")
    return rows[order], (weights * (whole / np.where(drawn > 0, drawn, 1))[codes])[order]


def by_mass(mass, size, rng, backend):
    """Rows drawn with a probability that grows with their mass, mixed with an even share.

    Parameters
    ----------
    mass : array (m,) of the backend's, at least 0
    size : int
    rng : numpy.random.Generator
    backend : Backend

    Returns
    -------
    rows : ndarray (k,), ascending
    weights : ndarray (k,), float64
        One over the draws to be expected of a row, times those that it got; 1 for rows that are certain.
    """
    total, there = float(mass.sum(dtype=np.float64)), mass > 0
    if not _LEAST_MASS < total < np.inf:
        return _draw(backend.xp.full(len(mass), min(size / len(mass), 1.0)), rng, backend)
    expected = mass * mass.dtype.type((1 - _UNIFORM) * size / total)
    even = mass.dtype.type(_UNIFORM * size / int(there.sum()))
    expected += there * even
    return _draw(expected, rng, backend)


def _draw(expected, rng, backend):
    """Rows drawn with given expectations: one random place in every stretch of their running sum."""
    xp, to_host = backend.xp, backend.to_host
    certain = expected >= _CERTAIN
    always = to_host(xp.flatnonzero(certain))
    units = expected * expected.dtype.type(_UNIT)
    if len(always):
        units[certain] = 0
    units = units.astype(np.int64)
    ends = xp.cumsum(units)
    stretches = -(-int(ends[-1]) // _UNIT)
    places = ((np.arange(stretches) + rng.random(stretches)) * _UNIT).astype(np.int64)
    rows = to_host(xp.searchsorted(ends, xp.asarray(places[places < int(ends[-1])]), side="right"))
    rows, draws = np.unique(rows, return_counts=True)
    weights = draws * (_UNIT / to_host(units[xp.asarray(rows)]))
    if len(always):
        rows, weights = np.append(rows, always), np.append(weights, np.ones(len(always)))
        order = np.argsort(rows, kind="stable")
        rows, weights = rows[order], weights[order]
    return rows, weights
