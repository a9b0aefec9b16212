"""Which rows to draw, and with which weights: priority sampling, whose weighted sums are unbiased.

Row i with mass mᵢ has the priority mᵢ/uᵢ, where uᵢ in (0, 1] is a hash of the seed and of the row's number.
The k rows of largest priority are drawn, and row i gets the weight max(1, τ/mᵢ), where τ is the largest
priority of the other rows (Duffield, Lund and Thorup 2007, J. ACM 54, § 2). This needs no total, samples of
parts are merged by keeping the largest priorities, and the same rows are drawn however they are cut into
blocks, on any backend.
"""

import numpy as np

from ..backends.drawing import uniforms
from .masses import Each, Masses, at

UNIFORM = 0.1  # share of a sample that is spread evenly, which limits the weights of rows
LEAST_MASS = 1e-25  # least total mass: a smaller one is negligible, and its inverse may overflow float32
_SURE = 8  # multiple of the other rows' mass that makes the rows of a rare class certain to be drawn
_MARGIN = 1 + 1e-5  # margin above a bar within which rounding decides


def by_class(labels, size, n_classes, seed, backend):
    """Draw equally many rows from every class, or all rows of a rare class; within a class in proportion to
    the weights s.

    Parameters
    ----------
    labels : Labels
    size : int
    n_classes : int
    seed : sequence of int
    backend : Backend

    Returns
    -------
    rows : ndarray (k,), ascending, k about `size`
    weights : ndarray (k,), float64
        Their sum over a class equals the class's sum of weights, including s.
    """
    counts, whole = labels.totals(n_classes)
    share = np.minimum(size / n_classes, counts)
    spare = counts - share
    share = share + max(size - share.sum(), 0) * spare / max(spare.sum(), 1)
    each = share / np.where(whole > 0, whole, 1)
    each[spare <= 0] *= _SURE
    rows, weights = draw(labels.masses(each), size, seed, backend)
    codes, s = labels.at(rows)
    if s is not None:
        weights = weights * s
    drawn = np.bincount(codes, weights, n_classes)
    missed = np.flatnonzero((drawn == 0) & (whole > 0))
    if len(missed):  # with tiny weights and a small size, the heaviest row represents its class
        rows = np.append(rows, [labels.heaviest(code)[1] for code in missed])
        weights, codes = np.append(weights, whole[missed]), np.append(codes, missed)
        drawn[missed] = whole[missed]
    order = np.argsort(rows, kind="stable")
    return rows[order], (weights * (whole / np.where(drawn > 0, drawn, 1))[codes])[order]


def by_targets(beside, size, n_classes, seed, backend):
    """Draw rows for several targets: rows of rare classes have more mass, averaged over the targets.

    Arguments and results are those of `by_class`, except that `beside` is the argument of Labels, with y
    (rows, targets), and that the sums of weights of classes are not exact.
    """
    xp, counts = backend.xp, 0
    for y, _ in beside():
        counts = counts + np.array([backend.to_host(xp.bincount(own, minlength=n_classes)) for own in y.T])
    rarity = xp.asarray(1 / np.maximum(counts, 1))

    def masses():
        for y, s in beside():
            mass = sum(own[codes] for own, codes in zip(rarity, y.T, strict=True))
            yield mass if s is None else mass * s

    rows, weights = by_mass(Masses(Each(masses), backend), size, seed, backend)
    s = at((s for _, s in beside()), rows, backend)
    return rows, weights if s is None else weights * backend.to_host(s)


def by_mass(mass, size, seed, backend, numbers=None):
    """Draw rows in proportion to their mass, mixed with an even share.

    Parameters
    ----------
    mass : Masses, or array (m,) of the backend's, at least 0
    size : int
    seed : sequence of int
    backend : Backend
    numbers : ndarray (m,) or None
        Numbers of the rows, if these are only some of all rows.

    Returns
    -------
    rows : ndarray (k,)
        Places in `mass`, ascending.
    weights : ndarray (k,), float64
        The weight of each row: 1 for rows that are certain.
    """
    return draw(_masses(mass, backend, numbers), size, seed, backend, UNIFORM)


def _masses(mass, backend, numbers=None):
    return mass if isinstance(mass, Masses) else Masses([mass], backend, numbers)


def draw(mass, size, seed, backend, uniform=0.0):
    """Return the `size` rows of largest priority, ascending, and their weights; none of them lacks mass.

    The share `uniform` of the total mass is spread evenly. Only priorities above a bar are considered; the
    bar is set so that somewhat more than `size` rows are expected to pass, and lowered until enough do. If
    all masses are negligible or overflow, rows are drawn evenly.
    """
    masses, size = _masses(mass, backend), int(size)
    bar = 1 / (size + 4 * np.sqrt(size) + 16)
    passed = masses.of_share(uniform, bar, seed)
    total, count = masses.total()
    if not LEAST_MASS < total < np.inf:
        ones = Each(lambda: (backend.xp.full(len(part), 1, dtype=np.float32) for part in masses.parts))
        return draw(Masses(ones, backend, masses.numbers), size, seed, backend)
    if size >= count:
        rows = masses.positive()
        return rows, np.ones(len(rows))
    scale, even = (1 - uniform) / total, uniform / count
    while True:
        passed = masses.above(scale, even, bar, seed) if passed is None else passed
        if len(passed) > size:
            own = backend.to_host(masses.at(passed)).astype(np.float64) * scale + even
            of_these = passed if masses.numbers is None else masses.numbers[passed]
            priorities = own / uniforms(of_these, seed)
            order = np.argpartition(-priorities, size)
            threshold = priorities[order[size]]
            if threshold > bar * _MARGIN or bar == 0:
                break
        passed, bar = None, bar / 2 if bar > np.finfo(np.float32).tiny else 0.0
    chosen = np.sort(order[:size])
    return passed[chosen], np.maximum(threshold / own[chosen], 1.0)
