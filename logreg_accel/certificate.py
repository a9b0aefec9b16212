"""How far a point is from the optimum, and whether it may be called converged.

The certificate asks like a solver does: its methods are generators of questions, so that the driver counts
their reads and ends them with the budgets. A solver's own estimate, half a squared Newton decrement, only
says when to look closer.
"""

import math

import numpy as np
import scipy.linalg

from .solvers import questions as ask

MAX_ITER = "max_iter"

_MEASURE_UP_TO = 2000
"""Parameters up to which a Hessian measures the distance to the optimum before a fit may end on it."""

_MEASURE_ROWS = 12
"""Rows of that Hessian for a parameter: all rows would cost as much as tens of reads where a few suffice."""


def norm_of(vector):
    """‖v‖₂ by BLAS, which scales: no overflow on the way."""
    return float(scipy.linalg.norm(vector, check_finite=False))


class Certificate:
    """Judges the points that one solver accepts.

    Parameters
    ----------
    penalty : Penalty
    n_rows : int
    ridge : ndarray (size,)
        What the L2 penalty adds to the diagonal of the Hessian.
    tol : float
        Relative suboptimality (F − F*)/F that is good enough.
    reads_left : function () -> float
        What the budget of reads allows.
    """

    def __init__(self, penalty, n_rows, ridge, tol, reads_left):
        self.penalty, self.n_rows, self.ridge = penalty, n_rows, ridge
        self.tol = tol
        self.reads_left = reads_left
        self.n_iter = -1  # the start is not a step
        self.previous = None
        self.least_curvature = self.measure_below = math.inf

    def judge(self, told):
        """The suboptimality of an accepted point: what the solver says, looked at closely before a fit may
        end on it.

        inf where the point is not yet to be trusted, nan where a rough estimate is all there is.
        """
        self.n_iter += 1
        point, gap = told.point, told.gap
        suboptimality = yield from self._estimate(point, gap)
        if suboptimality <= self.tol:
            if told.rough:  # no bound: where it cannot be measured, what the gradient alone says holds
                by_gradient = yield from self._estimate(point, None)
                suboptimality = yield from self._measured(point, by_gradient)
            elif gap is None and not self.penalty.l1 > 0:  # there it is the duality gap
                suboptimality = yield from self._measured(point, suboptimality)
            elif not (yield from self._settled(point)):
                suboptimality = math.inf
        elif told.rough:
            suboptimality = math.nan
        self.previous = point
        return suboptimality

    def close(self, status, best, suboptimality):
        """The suboptimality of the best point, now that the solver has ended with a status."""
        if status == ask.NOISE_FLOOR and not suboptimality <= self.tol:
            return min(suboptimality, (yield from self._measured(best, math.inf)))
        if math.isnan(suboptimality) and status in (ask.STALLED, ask.DIVERGED, MAX_ITER):
            return (yield from self._measured(best, math.nan))
        return suboptimality

    def bound(self, point):
        """A bound on the suboptimality, rigorous but for rounding: at most 1, as F* is at least 0, or inf."""
        gap = yield ask.DualValue(point)
        return min(gap / point.value, 1.0) if gap < math.inf else math.inf

    def _estimate(self, point, gap):
        """(F − F*)/F from the solver's gap, or from the gradient: ‖g‖²/(2μ).

        μ is λ with a penalty (strong convexity, if the intercept's own curvature is not below it); without
        one it is the least curvature met along a step so far. Both can be wrong: `_measured` has the last
        word.
        """
        if not math.isfinite(point.value):
            return math.inf
        if gap is None and self.penalty.l1 > 0:
            return (yield from self.bound(point))
        if gap is None:
            gap = self.penalty.suboptimality_bound(point.gradient)
            if math.isinf(gap) and self.previous is not None:
                s, y = point.w - self.previous.w, point.gradient - self.previous.gradient
                if s @ y > 0:
                    self.least_curvature = min(self.least_curvature, float(s @ y / (s @ s)))
                squared = float(point.gradient @ point.gradient)
                gap = squared / (2 * self.least_curvature) if self.n_iter > 1 else math.inf
        return max(gap, 0.0) / abs(point.value) if point.value else 0.0

    def _settled(self, point):
        """Whether the last step changed no margin by more than 1: only then is a Newton decrement to be
        trusted.

        Generalised self-concordance (Bach 2010, Electronic Journal of Statistics 4). On nearly separable data
        the bare decrement can be orders of magnitude below the truth.
        """
        return self.previous is None or (yield ask.LargestChange(self.previous, point)) <= 1

    def _measured(self, point, claimed):
        """½·gᵀH⁻¹g/F with H of drawn rows, or of all where these are few: the word of those who hold no
        metric is not enough.

        After a refusal the gradient must shrink by what was missing before it is asked again; `claimed`
        stands where the Hessian is too large or its reads are not left.
        """
        if self.penalty.l1 > 0:
            return (yield from self.bound(point))
        norm, size = norm_of(point.gradient), point.w.size
        share = min(2 * _MEASURE_ROWS * size / self.n_rows, 1)
        if size > _MEASURE_UP_TO or 1 + share > self.reads_left():
            return claimed
        if claimed <= self.tol and norm > self.measure_below:
            return math.inf
        sample = None
        if point.margins is not None:
            sample = yield ask.Draw(ask.Sample(_MEASURE_ROWS * size, self.n_iter, at=point))
        if sample and not ((yield ask.Curvature(point.w, ask.DIAGONAL, sample)) > self.ridge).all():
            sample = None  # columns that none of the rows drawn knows
        solve = yield ask.Curvature(point.w, ask.SOLVE, sample)
        measured = max(0.5 * float(point.gradient @ solve(point.gradient)), 0.0) / abs(point.value)
        if measured > self.tol > 0:
            self.measure_below = norm * math.sqrt(self.tol / measured)
        return measured


def separates(point, objective):
    """Whether F at some point proves that a plane separates the classes while nothing bounds the weights.

    A row on the wrong side has a loss of at least ℓ(0) with two classes, and of log 2 with more. If Σ s·ℓ is
    below the least weight times that, every row is on its side. Then, without a penalty, F has no minimum:
    it falls towards 0 as w grows.
    """
    penalty, rows = objective.penalty, objective.rows
    if penalty.l2 > 0 or penalty.l1 > 0:
        return False
    return point.value * rows.weight_sum < rows.least_weight * min(objective.loss.at_zero, np.log(2))
