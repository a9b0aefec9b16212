"""Which rows to draw, and what each of them then counts: priority sampling, whose weighted sums are unbiased.

Row i with mass mᵢ has the priority mᵢ/uᵢ, where uᵢ in (0, 1] is a hash of the seed and of the row's number.
The k rows of largest priority are drawn, and each counts max(1, τ/mᵢ), where τ is the largest priority that
was left out (Duffield, Lund and Thorup 2007, J. ACM 54, § 2). That needs no total; samples of parts of the
rows are merged by keeping the largest priorities of all; and the same rows are drawn however they are cut
into blocks, on any backend.
"""

import numpy as np

from ..backends.drawing import uniforms

_UNIFORM = 0.1  # of a sample is spread evenly, so that no row's weight grows beyond bounds
_LEAST_MASS = 1e-25  # of all rows: less says nothing, and its inverse may overflow float32
_SURE = 8  # times the mass of others: what makes the rows of a rare class certain
_MARGIN = 1 + 1e-5  # above a bar, a priority is not there by rounding


def by_class(y, s, size, n_classes, seed, backend):
    """As many rows from every class, or all that a rare one has; within a class in proportion to the weights
    s.

    Parameters
    ----------
    y : array (m,)
        Class codes, where the backend has them.
    s : array (m,) or None
    size : int
    n_classes : int
    seed : sequence of int
    backend : Backend

    Returns
    -------
    rows : ndarray (k,), ascending, k about `size`
    weights : ndarray (k,), float64
        Their sum over a class is the class's own sum of weights, s included.
    """
    xp = backend.xp
    counts = np.array([int((y == code).sum()) for code in range(n_classes)])
    whole = counts
    if s is not None:
        whole = np.array([float(s[y == code].sum(dtype=np.float64)) for code in range(n_classes)])
    share = np.minimum(size / n_classes, counts)
    spare = counts - share
    share = share + max(size - share.sum(), 0) * spare / max(spare.sum(), 1)
    each = share / np.where(whole > 0, whole, 1)
    each[spare <= 0] *= _SURE
    each = xp.asarray(each, dtype=np.float32 if s is None else np.float64)[y]
    rows, weights = draw(each if s is None else each * s, size, seed, backend)

    codes = backend.to_host(y[xp.asarray(rows)])
    if s is not None:
        weights = weights * backend.to_host(s[xp.asarray(rows)])
    drawn = np.bincount(codes, weights, n_classes)
    missed = np.flatnonzero((drawn == 0) & (whole > 0))
    if len(missed):  # tiny weights beside a small size: the heaviest row stands for its class
        heaviest = [int((y == c if s is None else xp.where(y == c, s, -1)).argmax()) for c in missed]
        rows, weights, codes = (
            np.append(rows, heaviest),
            np.append(weights, whole[missed]),
            np.append(codes, missed),
        )
        drawn[missed] = whole[missed]
    order = np.argsort(rows, kind="stable")
    return rows[order], (weights * (whole / np.where(drawn > 0, drawn, 1))[codes])[order]


def by_mass(mass, size, seed, backend, numbers=None):
    """Rows drawn with a probability that grows with their mass, mixed with an even share.

    Parameters
    ----------
    mass : array (m,) of the backend's, at least 0
    size : int
    seed : sequence of int
    backend : Backend
    numbers : ndarray (m,) or None
        Of the rows, where these are some of them.

    Returns
    -------
    rows : ndarray (k,)
        Places in `mass`, ascending.
    weights : ndarray (k,), float64
        What each counts: 1 for rows that are certain.
    """
    total, count = backend.total_mass(mass)
    if not _LEAST_MASS < total < np.inf:
        ones = backend.xp.full(len(mass), 1, dtype=np.float32)
        return draw(ones, size, seed, backend, numbers=numbers)
    return draw(mass, size, seed, backend, (1 - _UNIFORM) / total, _UNIFORM / count, numbers)


def draw(mass, size, seed, backend, scale=1.0, even=0.0, numbers=None):
    """The `size` rows of largest priority, ascending, and what each counts; none without mass is drawn.

    The mass of a row is mass·scale + even. Few priorities are looked at: those above a bar that somewhat more
    than `size` rows can be expected to pass, lowered until so many do.
    """
    xp, to_host = backend.xp, backend.to_host
    total, count = backend.total_mass(mass)
    size = min(int(size), count)
    if size == count:
        rows = to_host(xp.flatnonzero(mass > 0))
        return rows, np.ones(len(rows))
    bar = (total * scale + count * even) / (size + 4 * np.sqrt(size) + 16)
    while True:
        passed = to_host(backend.rows_above(mass, scale, even, bar, seed, numbers))
        if len(passed) > size:
            masses = to_host(mass[xp.asarray(passed)]).astype(np.float64) * scale + even
            of_these = passed if numbers is None else numbers[passed]
            priorities = masses / uniforms(of_these, seed)
            order = np.argpartition(-priorities, size)
            threshold = priorities[order[size]]
            if threshold > bar * _MARGIN or bar == 0:
                break
        bar = bar / 2 if bar > np.finfo(np.float32).tiny else 0.0
    chosen = np.sort(order[:size])
    return passed[chosen], np.maximum(threshold / masses[chosen], 1.0)
