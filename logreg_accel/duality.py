"""How far a point can be from the optimum: bounds from a point of the dual problem, without a read of X worth counting."""

import numpy as np

_BOUND_BYTES = 1 << 20  # of X that a bound may gather
_BOUND_MARGINS = 1 << 17
_BOUND_SHARE = 32  # one row in so many, at most


def gap(objective, point):
    """A bound on F(point) − F*, rigorous but for rounding: the gap to a point of the dual problem; inf where
    there is none.

    Residuals that a loss can have and whose weighted sum is zero, as the intercept bears no penalty, are a
    point of the dual (Boyd and Vandenberghe, Convex Optimization, § 5.5). Those at w sum to the intercept's
    gradient instead; so the margins of some rows are shifted by one number η, or one a class, until the sum
    is zero. With r the residuals at z and r̂
    those at z + η::

        F − F* ≤ (1/Σs)·Σ s·(ℓ(z) − ℓ(z + η) + r̂·η) + ‖∇F + (1/Σs)·Xᵀs(r̂ − r)‖²/(2λ)     (sums over those
        rows)

    The rows are evenly spaced, at most 1/32 of all and 1 MB of X, so that the bound costs no read of X worth
    counting.

    With an L1 penalty it is the duality gap itself (Kim, Koh, Lustig, Boyd and Gorinevsky 2007, IEEE J. Sel.
    Top. Signal Process. 1, § II), with residuals scaled by c until no |Xᵀr̂| is above l1 where there is no L2;
    a sweep over all
    margins::

        F − F* ≤ F + (1/Σs)·Σ s·ℓ*(c·r̂) + penalty*(c·Xᵀr̂/Σs)

    Parameters
    ----------
    objective : Objective
    point : Point
        With margins, where there is an intercept or an L1 penalty.

    Returns
    -------
    float
    """
    penalty, k = objective.penalty, objective.loss.n_outputs
    if not (point.value > 0 and (penalty.l2 > 0 or penalty.l1 > 0)):
        return np.inf
    if point.margins is None and (penalty.l1 > 0 or objective.fit_intercept):
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
    """Rows, their shifted residuals, the first term of the bound, the gradient of the second; inf where no shift will do."""
    rows, loss, k = objective.rows, objective.loss, objective.loss.n_outputs
    chosen = _evenly_spaced(rows, k)
    y, s = rows.labels(chosen), rows.weights(chosen)
    z = rows.to_host(point.margins, chosen).astype(np.float64)
    s = np.ones((len(chosen), 1)) if s is None else s.astype(np.float64)[:, None]

    value, residual = loss.value_residual(z, y)
    missing = -point.gradient[-k:] * rows.weight_sum
    if k > 1:  # residuals of a row sum to zero, whatever rounding makes of it
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
    """The numbers of some rows of positive weight."""
    there = rows.weighty()
    count = _BOUND_BYTES * rows.n_rows // max(rows.nbytes, 1)
    count = max(min(len(there) // _BOUND_SHARE, count, _BOUND_MARGINS // k), 1)
    return there[(np.arange(count) * len(there) + len(there) // 2) // count]


def _shift(loss, z, y, s, target, enough):
    """η with Σ s·residual(z + η) = target, the losses and residuals there; by Newton's method, None where it gets nowhere."""
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
    """F less the dual function where the residuals of the chosen rows are replaced; `gradient` is that of such residuals."""
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
