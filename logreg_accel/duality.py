"""How far a point can be from the optimum: bounds from a point of the dual problem, without a read of X worth counting."""

import numpy as np

_BOUND_BYTES = 1 << 20  # of X that a bound may gather
_BOUND_MARGINS = 1 << 17
_BOUND_SHARE = 32  # one row in so many, at most


def suboptimality_bound(objective, point):
    """A rigorous bound on (F − F*)/F, but for rounding: the gap to a point of the dual problem; inf where there is none.

    Residuals that a loss can have and whose weighted sum is zero, as the intercept bears no penalty, are a point of the
    dual (Boyd and Vandenberghe, Convex Optimization, § 5.5). Those at w sum to the intercept's gradient instead; so the
    margins of some rows are shifted by one number η, or one a class, until the sum is zero. With r the residuals at z and r̂
    those at z + η::

        F − F* ≤ (1/Σs)·Σ s·(ℓ(z) − ℓ(z + η) + r̂·η) + ‖∇F + (1/Σs)·Xᵀs(r̂ − r)‖²/(2λ)     (sums over those rows)

    The rows are evenly spaced, at most 1/32 of all and 1 MB of X, so that the bound costs no read of X worth counting.

    With an L1 penalty it is the duality gap itself (Kim, Koh, Lustig, Boyd and Gorinevsky 2007, IEEE J. Sel. Top. Signal
    Process. 1, § II), with residuals scaled by c until no |Xᵀr̂| is above l1 where there is no L2; a sweep over all margins::

        F − F* ≤ F + (1/Σs)·Σ s·ℓ*(c·r̂) + penalty*(c·Xᵀr̂/Σs)

    Parameters
    ----------
    objective : Objective
    point : Point
        With margins, where there is an intercept or an L1 penalty.

    Returns
    -------
    float
        At most 1: F* is at least 0.
    """
    penalty, k = objective.penalty, objective.loss.n_outputs
    if not (point.value > 0 and (penalty.l2 > 0 or penalty.l1 > 0)):
        return np.inf
    if point.margins is None and (penalty.l1 > 0 or objective.fit_intercept):
        return np.inf
    rows, moved, gap, gradient = [], None, 0.0, point.gradient
    if objective.fit_intercept and gradient[-k:].any():
        rows, moved, gap, gradient = _to_the_dual(objective, point)
    if penalty.l1 > 0 and gap < np.inf:
        gap = _duality_gap(objective, point, rows, moved, gradient)
    else:
        gap += penalty.suboptimality_bound(gradient)
    return min(gap / point.value, 1.0)


def _to_the_dual(objective, point):
    """Rows, their shifted residuals, the first term of the bound, the gradient of the second; inf where no shift will do."""
    dataset, loss, backend = objective.dataset, objective.loss, objective.backend
    m, k, s = dataset.n_rows, loss.n_outputs, objective.of_rows("sample_weight")
    there = np.arange(m) if s is None else np.flatnonzero(s > 0)
    count = max(min(len(there) // _BOUND_SHARE, _BOUND_BYTES * m // max(dataset.nbytes, 1), _BOUND_MARGINS // k), 1)
    rows = there[(np.arange(count) * len(there) + len(there) // 2) // count]
    y = objective.of_rows("y")[rows]
    z = backend.to_host(objective.joined(point.margins)[backend.xp.asarray(rows)]).astype(np.float64)
    s = np.ones((count, 1)) if s is None else s[rows].astype(np.float64)[:, None]

    value, residual = loss.value_residual(z, y)
    missing = -point.gradient[-k:] * dataset.weight_sum
    if k > 1:  # residuals of a row sum to zero, whatever rounding makes of it
        missing -= missing.mean()
    target, shift = (s * residual).sum(axis=0) + missing, np.zeros(k)
    enough = 1e-12 * abs(missing).max() + 4 * np.finfo(np.float64).eps * dataset.weight_sum
    for _ in range(100):  # Newton's method for the shift, in steps of at most 1
        shifted, moved = loss.value_residual(z + shift, y)
        excess = (s * moved).sum(axis=0) - target
        if abs(excess).max() <= enough:
            break
        curvature = np.zeros((k, k))
        for a, b, block in loss.curvature_blocks(z + shift, y):
            curvature[a, b] = curvature[b, a] = float((s * block).sum())
        step = np.linalg.lstsq(curvature, excess)[0]
        shift = shift - step * min(1, 1 / (abs(step).max() or 1))
    else:
        return rows, residual, np.inf, point.gradient
    gap = float((s * (value - shifted + (moved * shift).sum(axis=1, keepdims=True))).sum()) / dataset.weight_sum
    change, start = s * (moved - residual), 0
    gradient = point.gradient.copy()
    for block in objective.take(rows, np.ones(count)):
        stop = start + block.X.shape[0]
        gradient[:-k] += backend.combine(block.X, change[start:stop]).ravel() / dataset.weight_sum
        start = stop
    gradient[-k:] = 0
    return rows, moved, max(gap, 0.0), gradient


def _duality_gap(objective, point, rows, moved, gradient):
    """F less the dual function where some rows' residuals are replaced; `gradient` is that of such residuals."""
    penalty, s, y = objective.penalty, objective.of_rows("sample_weight"), objective.of_rows("y")
    z = objective.backend.to_host(objective.joined(point.margins)).astype(np.float64)
    value, residual = objective.loss.value_residual(z, y)
    residual[rows] = moved if len(rows) else 0
    w = objective.penalised(point.w)
    v = objective.penalised(gradient - penalty.gradient(w))
    c = 1.0 if penalty.l2 > 0 else min(1.0, penalty.l1 / max(abs(v).max(), np.finfo(np.float64).tiny))
    terms = value + objective.loss.conjugate(c * residual, y)
    mean = float((terms if s is None else s[:, None] * terms).sum()) / objective.dataset.weight_sum
    return max(mean + penalty.value(w) + penalty.conjugate(c * v * (1 - np.finfo(np.float64).eps)), 0.0)
