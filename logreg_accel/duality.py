"""Bounds on how far a point is from the optimum, from a point of the dual problem.

They cost next to no read of X.
"""

import numpy as np

_BOUND_BYTES = 1 << 20  # part of X that a bound may gather
_BOUND_MARGINS = 1 << 17
_BOUND_SHARE = 32  # at most one row in this many is gathered


def gap(objective, point):
    """Bound F(point) − F* by the gap to a point of the dual problem, rigorously but for rounding.

    A point of the dual (Boyd and Vandenberghe, Convex Optimization, § 5.5) consists of residuals that the
    loss can have and, since the intercept is not penalised, whose weighted sum is zero. The residuals at w
    sum to the gradient with respect to the intercept instead. Therefore the margins of some rows are shifted
    by one number η (or one per class) until the sum is zero. With r the residuals at z and r̂ those at z + η,
    and with sums over the shifted rows::

        F − F* ≤ (1/Σs)·Σ s·(ℓ(z) − ℓ(z + η) + r̂·η) + ‖∇F + (1/Σs)·Xᵀs(r̂ − r)‖²/(2λ)

    The shifted rows are evenly spaced and at most 1/32 of all rows and 1 MB of X, so that the bound costs
    next to no read of X.

    With an L1 penalty the bound is the duality gap itself (Kim, Koh, Lustig, Boyd and Gorinevsky 2007, IEEE
    J. Sel. Top. Signal Process. 1, § II), which takes a sweep over all margins. Without an L2 part, the
    residuals are scaled by a factor c such that no |Xᵀr̂| exceeds l1::

        F − F* ≤ F + (1/Σs)·Σ s·ℓ*(c·r̂) + penalty*(c·Xᵀr̂/Σs)

    Parameters
    ----------
    objective : Objective
    point : Point
        Must carry margins if there is an intercept or an L1 penalty.

    Returns
    -------
    float
        inf where no bound is known.
    """
    penalty, k = objective.penalty, objective.loss.n_outputs
    if not (point.value > 0 and (penalty.l2 > 0 or penalty.l1 > 0)):
        return np.inf
    needs_rows = penalty.l1 > 0 or objective.fit_intercept
    at_hand = point.margins is not None and objective.rows.in_memory and objective.models is None
    if needs_rows and not at_hand:
        return np.inf
    rows, moved, shifted, gradient = [], None, 0.0, point.gradient
    if objective.fit_intercept and gradient[-k:].any():
        rows, moved, shifted, gradient = _to_the_dual(objective, point)
    if np.isinf(shifted):
        return point.value  # F* is at least 0
    if penalty.l1 > 0:
        return _duality_gap(objective, point, rows, moved, gradient)
    return shifted + penalty.suboptimality_bound(gradient)


def _to_the_dual(objective, point):
    """Shift the margins of some rows to reach a point of the dual.

    Returns
    -------
    chosen : ndarray
        The rows.
    moved : ndarray
        Their residuals after the shift.
    gap : float
        The first term of the bound; inf where no shift is found.
    gradient : ndarray
        The gradient in the second term.
    """
    rows, loss, k = objective.rows, objective.loss, objective.loss.n_outputs
    chosen = _evenly_spaced(rows, k)
    y, s = rows.labels(chosen), rows.weights(chosen)
    z = rows.to_host(point.margins, chosen).astype(np.float64)
    s = np.ones((len(chosen), 1)) if s is None else s.astype(np.float64)[:, None]

    value, residual = loss.value_residual(z, y)
    missing = -point.gradient[-k:] * rows.weight_sum
    if k > 1:  # the residuals of a row sum to zero but for rounding
        missing -= missing.mean()
    target = (s * residual).sum(axis=0) + missing
    enough = 1e-12 * abs(missing).max() + 4 * np.finfo(np.float64).eps * rows.weight_sum
    found = _shift(loss, z, y, s, target, enough)
    if found is None:
        return chosen, residual, np.inf, point.gradient
    shift, shifted, moved = found
    gap = float((s * (value - shifted + (moved * shift).sum(axis=1, keepdims=True))).sum()) / rows.weight_sum
    gradient = point.gradient.copy()
    gradient[:-k] += rows.combination(chosen, s * (moved - residual)).ravel() / rows.weight_sum
    gradient[-k:] = 0
    return chosen, moved, max(gap, 0.0), gradient


def _evenly_spaced(rows, k):
    """Return the indices of some evenly spaced rows of positive weight."""
    there = rows.weighty()
    count = _BOUND_BYTES * rows.n_rows // max(rows.nbytes, 1)
    count = max(min(len(there) // _BOUND_SHARE, count, _BOUND_MARGINS // k), 1)
    return there[(np.arange(count) * len(there) + len(there) // 2) // count]


def _shift(loss, z, y, s, target, enough):
    """Find η with Σ s·residual(z + η) = target by Newton's method.

    Returns η and the losses and residuals at z + η, or None where the iteration does not converge.
    """
    k = len(target)
    shift = np.zeros(k)
    for _ in range(100):
        shifted, moved = loss.value_residual(z + shift, y)
        excess = (s * moved).sum(axis=0) - target
        if abs(excess).max() <= enough:
            return shift, shifted, moved
        curvature = np.zeros((k, k))
        for a, b, block in loss.curvature_blocks(z + shift, y):
            curvature[a, b] = curvature[b, a] = float((s * block).sum())
        step = np.linalg.lstsq(curvature, excess)[0]
        shift = shift - step * min(1, 1 / (abs(step).max() or 1))
    return None


def _duality_gap(objective, point, chosen, moved, gradient):
    """Return F minus the dual function at the residuals of `point`, with some replaced.

    The residuals of the chosen rows are replaced by `moved`, and `gradient` is the gradient that belongs to
    the result.
    """
    rows, penalty, at = objective.rows, objective.penalty, objective.at
    s, y = rows.weights(), rows.labels()
    z = rows.to_host(point.margins).astype(np.float64)
    value, residual = objective.loss.value_residual(z, y)
    residual[chosen] = moved if len(chosen) else 0
    w = at.penalised(point.w)
    v = at.penalised(gradient - penalty.gradient(w))
    c = 1.0 if penalty.l2 > 0 else min(1.0, penalty.l1 / max(abs(v).max(), np.finfo(np.float64).tiny))
    terms = value + objective.loss.conjugate(c * residual, y)
    mean = float((terms if s is None else s[:, None] * terms).sum()) / rows.weight_sum
    conjugate = penalty.conjugate(c * v * (1 - np.finfo(np.float64).eps))
    return max(mean + penalty.value(w) + conjugate, 0.0)
