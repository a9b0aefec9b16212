"""Bounds on how far a point is from the optimum, from points of the dual problem.

Residuals r that the loss can have, with a weighted sum of zero if there is an intercept, are a point of the
dual (Boyd and Vandenberghe, Convex Optimization, § 5.5). With v = Xᵀs r/Σs they prove, at any w::

    F(w) − F* ≤ (1/Σs)·Σ s·(ℓ(z) + ℓ*(r) − z·r) + penalty(w) + penalty*(−v) + v·w

Both parts are Fenchel-Young gaps, which are never negative. The residuals at w are nearly such a point, with
a first part of zero. To make them one, the residuals of some rows are replaced by those at other margins;
only these rows then contribute to the first part.
"""

import math

import numpy as np
import scipy.linalg
import scipy.special

from . import clock

EXACT = 1e-12  # relative rounding below which the arithmetic is float64
SURE = 10  # rounding errors by which a bound is raised, and up to which a sum counts as zero
_ROWS_BYTES = 1 << 20  # part of X that a plain bound may gather
_MARGINS = 1 << 12, 1 << 10  # rows that a plain bound uses: for a few outputs, fewer rows say as much
_STEPS = 30
_NO_CURVATURE = np.finfo(np.float64).tiny ** 0.5  # steps by less may overflow
_MANY, _FEW_STEPS = 100, 6  # with many classes a step takes a large factorisation, and few suffice


def gap(penalty, w, gradient, moved, loss, fixed):
    """Return the bound on F(w) − F* that residuals prove whose sums are zero where they have to be.

    Without an L2 part no |v| may exceed l1: the residuals are scaled by a c ≤ 1 (Kim, Koh, Lustig, Boyd and
    Gorinevsky 2007, IEEE J. Sel. Top. Signal Process. 1, § II), which costs at most (1 − c)·loss, since ℓ* is
    convex and ℓ*(0) = 0.

    Parameters
    ----------
    penalty : Penalty
    w : ndarray (size,)
        Penalised weights; zeros in the place of intercepts.
    gradient : ndarray (size,)
        v + l2·w: the gradient of the smooth part for the residuals; its elements for intercepts are ignored.
    moved : float
        The contribution of the rows that were moved.
    loss : float
        The mean loss at w.
    fixed : ndarray (size,), bool
        Weights without a penalty, such as intercepts; the sums of residuals for these are zero.
    """
    l1, l2 = penalty.l1, penalty.l2
    g = np.where(fixed, 0.0, gradient)
    if not penalty.has_l1:
        if penalty.plain:
            return moved + (float((g * g).sum()) / (2 * l2) if l2 > 0 else 0.0)
        return moved + 0.5 * float((g[~fixed] ** 2 / l2[~fixed]).sum())  # a weight without l2 is fixed
    v = g - l2 * w
    if not penalty.plain:
        v, w, l1, l2 = (a[~fixed] for a in (v, w, l1, l2))
    beyond = abs(v) > l1
    least = float((np.broadcast_to(l1, len(v))[beyond] / abs(v[beyond])).min(initial=1.0))
    ridged = np.all(l2 > 0)
    return min(_scaled_gap(c, l1, l2, v, w, moved, loss) for c in ({1.0, least} if ridged else {least}))


def _scaled_gap(c, l1, l2, v, w, moved, loss):
    beyond = np.maximum(abs(c * v) - l1, 0)
    squares = (beyond * beyond / (2 * l2) + 0.5 * l2 * w * w) if np.all(l2 > 0) else 0.0
    terms = l1 * abs(w) + c * v * w + squares  # each of them at least 0 but for rounding
    rounding = 4 * np.finfo(np.float64).eps * float((l1 * abs(w)).sum())
    return c * moved + (1 - c) * loss + max(float(terms.sum()), 0.0) + rounding


def rounding(relative, scale, loss, n_rows, piled=1.0):
    """The approximate error of the gradient of the mean loss, (size,), from the rounding of terms and sums.

    A term s·r·x has a relative error of `relative`. Means of many terms are more exact.
    """
    return piled * relative * slopes(loss, n_rows) * scale


def slopes(loss, n_rows):
    """The largest mean of |r·x| for numbers x whose root mean square is 1.

    By Cauchy's inequality it is at most the root mean square of r, and no x is above √m. For the logistic
    losses r² ≤ ℓ and |r| ≤ ℓ.
    """
    loss = max(loss, 0.0)
    return min(math.sqrt(min(loss, 1.0)), math.sqrt(n_rows) * loss)


def of_margins(point, start):
    """The approximate error of margins from the rounding of their terms."""
    return point.rounding / point.value * (float((abs(point.w) * start.scale).sum()) + start.offset)


def cost_of_margins(point, start):
    """What the rounding of margins may add to a bound: no curvature is above 1/4, or above ℓ of the row."""
    off = of_margins(point, start)
    return 2 * off * off * min(1.0, start.n_rows * point.value)


def value_of(point, exact):
    """F at a point, from exact sums if they are known: with columns far from zero, float32 may give a larger
    F."""
    known = exact is not None and (exact.w == point.w).all()
    return min(point.value, exact.value) if known else point.value


def rounding_of(point, start):
    """The approximate error of a value from the rounding of margins, multiplied by residuals, and of its
    sum."""
    return point.rounding + slopes(point.value, start.n_rows) * of_margins(point, start)


def hidden(point, start):
    """The part of a plain bound that the rounding of the gradient accounts for."""
    off = rounding(point.rounding / point.value, start.scale, point.value, start.n_rows, start.piled)
    ridge = start.ridge + np.zeros(len(point.w))
    return 0.5 * float(np.sum((off * off)[ridge > 0] / ridge[ridge > 0]))


def divergence(t):
    """The largest ratio of a Kullback-Leibler divergence to χ²/2 if no probability falls by more than t times
    itself; inf beyond 1."""
    if t < 1e-3:
        return 1 + t / 2
    return 2 * (t + scipy.special.xlog1py(1 - t, -t)) / t**2 if t <= 1 else math.inf


def plain(objective, point, hope=np.inf):
    """The bound after shifting the margins of some rows by one number, or one per class, for the intercept.

    It costs almost no read, since the rows are few: those of the largest curvature among evenly spaced ones.
    If the penalised weights alone give more than `hope`, no row is used.

    Returns
    -------
    float
        inf where no bound is known.
    """
    penalty, at, k = objective.penalty, objective.at, objective.loss.n_outputs
    intercepts = at.penalised(np.ones(len(point.w))) == 0
    if not (point.value > 0 and penalty.there and penalty.everywhere(intercepts)):
        return np.inf
    w, moved = at.penalised(point.w), 0.0
    relative, scale = point.rounding / point.value, at.of_columns(objective.rows.scale)
    off = rounding(relative, scale, point.value, objective.rows.n_rows, objective.rows.piled)
    gradient = point.gradient + np.copysign(off, point.gradient)
    fixed = intercepts
    if fixed.any() and gradient[-k:].any():
        if point.margins is None or not objective.rows.in_memory or objective.models is not None:
            return np.inf
        if gap(penalty, w, gradient, 0.0, point.value - penalty.value(w), fixed) > hope:
            return np.inf
        shifted = _without_intercept(objective, point, gradient)
        if shifted is None:
            return point.value  # F* is at least 0
        moved, gradient = shifted
    of_margins = relative * float(abs(point.w) @ scale)
    curvature = min(1 / 4, 4 * objective.rows.n_rows * point.value)  # as in `cost_of_margins`
    moved = (np.sqrt(moved) + of_margins * np.sqrt(curvature / 2)) ** 2
    return gap(penalty, w, gradient, moved, point.value - penalty.value(w), fixed)


def _without_intercept(objective, point, gradient):
    """The cost of moving some rows so that residuals sum to zero, and the gradient after it; or None."""
    rows, loss, k = objective.rows, objective.loss, objective.loss.n_outputs
    chosen = rows.evenly_spaced(max(min(_MARGINS[0] // k, _MARGINS[1]), 1))
    y, s = rows.labels(chosen), rows.weights(chosen)
    z = rows.to_host(point.margins, chosen).astype(np.float64)
    s = np.ones((len(chosen), 1)) if s is None else s.astype(np.float64)[:, None]
    most = max(min(len(chosen), _ROWS_BYTES * rows.n_rows // max(rows.nbytes, 1)), 1)
    if most < len(chosen):
        mass = (s * loss.curvature(z, y)).sum(axis=1)
        best = np.sort(np.argpartition(-mass, most - 1)[:most])
        chosen, y, s, z = chosen[best], y[best], s[best], z[best]

    value, residual = loss.value_residual(z, y)
    missing = -gradient[-k:] * rows.weight_sum
    if k > 1:
        # The residuals of a row sum to zero but for rounding, whose sum goes to classes of much curvature.
        # Taking it from all classes alike would hide what is missing in a rare one, which costs most.
        own = (s * loss.curvature(z, y)).sum(axis=0)
        missing -= missing.sum() * (own / own.sum() if own.any() else 1 / k)
    target = (s * residual).sum(axis=0) + missing
    found = _shift(loss, z, y, s, target, abs(missing).max(), (value, residual))
    if found is None:
        return None
    shift, shifted, moved = found
    added = float((s * (value - shifted + (moved * shift).sum(axis=1, keepdims=True))).sum())
    gradient = gradient.copy()
    gradient[:-k] += rows.combination(chosen, s * (moved - residual)).ravel() / rows.weight_sum
    return max(added, 0.0) / rows.weight_sum, gradient


def _shift(loss, z, y, s, target, size, unshifted):
    """Find η with Σ s·residual(z + η) = target by Newton's method, damped.

    Returns η and the losses and residuals at z + η, or None if the iteration does not converge; `unshifted`
    are those at z.
    """
    k, close = len(target), False
    shift = np.zeros(k)
    for step in range(_STEPS if k <= _MANY else _FEW_STEPS):
        clock.check()  # with thousands of classes, the matrix of a step takes as long as a read
        shifted, moved = loss.value_residual(z + shift, y) if step else unshifted
        excess = (s * moved).sum(axis=0) - target
        sums = (s * abs(moved)).sum(axis=0).max()
        rounding, left = 4 * np.finfo(np.float64).eps * sums, abs(excess).max()
        if left <= rounding or (close and left <= 1e-12 * size + rounding):
            return shift, shifted, moved
        close = left <= 1e-12 * size + rounding  # what is left costs a proof its digits: one step more
        try:
            change = _solution(_total_curvature(loss, z + shift, y, s), excess)
        except (np.linalg.LinAlgError, ValueError):  # rows without curvature
            return None
        if k > 1:  # a common shift of all classes has no effect: the longest step is kept short
            change -= (change.max() + change.min()) / 2
        shift = shift - change * min(1, 1 / (abs(change).max() or 1))
    return None


def _solution(A, b):
    """A⁻¹·b of a positive definite A, scaled to a unit diagonal: curvatures of classes differ by magnitudes.

    A system that is still singular, as when no row is undecided between two groups of classes, is solved by
    least squares.

    Raises
    ------
    numpy.linalg.LinAlgError
        A class has no curvature.
    """
    diagonal = np.diagonal(A)
    if not (diagonal > _NO_CURVATURE).all():
        raise np.linalg.LinAlgError("no curvature")
    if len(b) == 1:
        return b / diagonal
    d = np.sqrt(diagonal)
    scaled = A / np.outer(d, d)
    try:
        return scipy.linalg.cho_solve(scipy.linalg.cho_factor(scaled), b / d) / d
    except np.linalg.LinAlgError:
        return scipy.linalg.lstsq(scaled, b / d)[0] / d


def _total_curvature(loss, z, y, s):
    """Σ s·∂²ℓ/∂z² (k, k), by one product for several classes.

    All classes may be shifted together, where the sums are zero, so that the term added there has no effect.
    It is made of the diagonal, so that a class with almost no curvature is not lost beside the others.
    """
    own = (s * loss.curvature(z, y)).sum(axis=0)
    if len(own) == 1:
        return own[:, None]
    p = loss.probabilities(z)
    total = -(s * p).T @ p
    np.fill_diagonal(total, own)
    return total + np.outer(own, own / (own.sum() or 1))
