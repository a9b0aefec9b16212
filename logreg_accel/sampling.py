"""Which rows to draw, and what each of them then counts: importance weights make a sample's sums unbiased."""

import numpy as np

_UNIFORM = 0.1  # of the probability is spread evenly, so that no row's weight grows beyond bounds


def by_class(y, s, size, rng):
    """About half of the rows from either class, within a class in proportion to the weights s.

    Parameters
    ----------
    y : ndarray (m,), uint8, of 0 and 1
    s : ndarray (m,) or None
    size : int
    rng : numpy.random.Generator

    Returns
    -------
    rows : ndarray (k,), ascending, k about `size`
    weights : ndarray (k,), float64
        Their sum over a class is the class's own sum of weights.
    """
    rows, weights = [], []
    members = [np.flatnonzero(y == code) for code in (0, 1)]
    share = min(size // 2, *(len(some) for some in members))
    sizes = [share if len(some) == share else size - share for some in members]
    for some, take in zip(members, sizes, strict=True):
        mass = np.ones(len(some)) if s is None else s[some].astype(np.float64)
        kept, probability = _poisson(mass, take, rng)
        if not len(kept):
            kept, probability = np.array([int(mass.argmax())]), np.ones(1)
        weight = mass[kept] / probability
        rows.append(some[kept])
        weights.append(weight * (mass.sum() / weight.sum()))
    rows, weights = np.concatenate(rows), np.concatenate(weights)
    order = np.argsort(rows, kind="stable")
    return rows[order], weights[order]


def by_mass(mass, size, rng):
    """Rows drawn with a probability that grows with their mass, mixed with an even share; those above 1 are certain.

    Returns
    -------
    rows : ndarray (k,), ascending
    probability : ndarray (k,)
        With which each of them was drawn.
    """
    there = mass > 0
    if not there.any() or not np.isfinite(mass.sum()):
        mass, there = np.ones(len(mass)), np.ones(len(mass), dtype=bool)
    return _poisson((1 - _UNIFORM) * mass / mass.sum() + _UNIFORM * there / there.sum(), size, rng)


def _poisson(mass, size, rng):
    """Each row on its own with probability min(1, size · mass / Σ mass): rows and probabilities."""
    probability = np.minimum(1.0, mass * (size / mass.sum()))
    rows = np.flatnonzero(rng.random(len(mass)) < probability)
    return rows, probability[rows]
