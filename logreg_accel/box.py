"""The certificate of a fit with `bounds` on its weights.

For residuals r' that the loss can have, and v = Xᵀs·r'/Σs, Fenchel's inequality gives at any w in the box::

    F(w) − min F ≤ (1/Σs)·Σ s·D(r', r) + Σⱼ [½l2ⱼ·wⱼ² + vⱼ·wⱼ − min over u in the box of ½l2ⱼ·u² + vⱼ·u]

D is the Kullback-Leibler divergence from the residuals r at w, which are tried first. If a weight has no
penalty and no bound in the direction in which F would fall, as an intercept has none, its v has to be zero.
The proof achieves this by moving the residuals by their slopes along a Newton step d, in the space of the
weights that are not at a bound: then v = Xᵀs·r/Σs + H·d, where H is the Hessian of the loss, and the sum of D
is about ½·dᵀHd.
"""

import math

import numpy as np

from . import duality
from .certificate import Certificate
from .metric import against_shifts
from .separation import Separation
from .solvers import questions as ask
from .solvers.projected import held
from .systems import Matrix

_ROUNDS = 5
_LEFT = 1e-6  # share of the sums that may remain after a repair


class BoxCertificate(Certificate):
    """Judges the points of a fit between bounds: a Certificate with a different bound.

    Parameters
    ----------
    penalty, start, tol, reads_left
        As in `Certificate`.
    box : (lower, upper)
    """

    def __init__(self, penalty, start, tol, reads_left, box):
        super().__init__(penalty, start, tol, reads_left)
        self.box, self.separation = box, Separation(start, box)
        self.even = False  # points cannot be shifted: a bound may fix the weight of one class

    def bound(self, point, estimate=math.nan):
        self.partial, self.share = 0.0 if point.value == 0 else 1.0, 0.0
        if 0 < point.value < math.inf and self.reads_left() >= 1:
            H = yield ask.Curvature(point.w, ask.MATRIX)
            free = ~held(point.w, point.gradient, *self.box)
            metric = yield from self._metric(point, H, free)
            gap = self._with_rounding(self._terms(point.w, self._slope(point)), point, metric)
            self.partial = min(1.0, gap / point.value)
            if self.partial > self.enough:
                gap = yield from self._repaired(point, H, free, metric)
                self.partial = min(self.partial, gap / point.value)
            if self.partial > self.tol and not math.isnan(estimate):
                self.knock = estimate * max(0.01, 0.5 * self.tol / self.partial)
        return self.partial

    def _metric(self, point, H, free):
        """Return H in the space of free weights; directions that its rounding hides are computed singly."""
        k = self.start.n_outputs
        if k > 1:
            bare = free & (self.start.ridge + np.zeros(len(H)) == 0)
            H = H.copy()
            against_shifts(H, k, np.flatnonzero(bare.reshape(-1, k).all(axis=1)))
        settings = self.start.ridge, self.penalty.modulus > 0, None, self.start.cholesky
        metric = Matrix(H, None, free, *settings)
        yield from metric.look_closely(point)
        return metric

    def _slope(self, point):
        """The gradient of the mean loss."""
        return point.gradient - self.start.ridge * point.w

    def _terms(self, w, v):
        """The sum over weights; inf if some v that has to be zero is not."""
        l2, (lower, upper) = np.broadcast_to(self.start.ridge, len(w)), self.box
        ends = np.where(v > 0, lower, np.where(v < 0, upper, w))
        u = np.where(l2 > 0, np.clip(-v / np.where(l2 > 0, l2, 1), lower, upper), ends)
        if not np.isfinite(u).all():
            return math.inf
        return float(np.maximum(0.5 * l2 * (w * w - u * u) + v * (w - u), 0.0).sum())

    def _repaired(self, point, H, free, metric):
        """The bound with residuals moved along a step of Newton's method.

        Where rows have almost no curvature, the step is zero and does not change the sums.
        """
        w, g, l2 = point.w, point.gradient, np.broadcast_to(self.start.ridge, len(point.w))
        for _ in range(_ROUNDS):
            step = -(yield from metric.solve(point, g))
            if not np.isfinite(step).all():
                return math.inf
            curved = -metric.curved
            v = np.where(free & (l2 == 0), 0.0, self._slope(point) + curved - l2 * step)
            # Bounds of several classes may have no effect, since all weights of a column may move together.
            endless = (l2 == 0) & np.isinf(np.where(v > 0, self.box[0], self.box[1])) & (v != 0)
            if not endless.any():
                break
            free = free | endless
            metric = yield from self._metric(point, H, free)
        else:
            return math.inf
        unit = np.where(self.start.scale > 0, self.start.scale, 1.0)
        enough = duality.SURE * self._error(point) + _LEFT * (abs(g) / unit).max() * unit
        if not (np.where(free, abs(g + curved), 0.0) <= enough).all():
            return math.inf
        change = yield ask.MarginChange(point, (yield ask.Evaluate(w + step)))
        moved = 0.5 * max(float(step @ (curved - l2 * step)), 0.0) * duality.divergence(change.largest)
        return self._with_rounding(moved + self._terms(w, v), point, metric, metric.short)

    def _error(self, point):
        """Return the approximate error of the gradient by rounding."""
        return duality.rounding(
            point.rounding / point.value, self.start.scale, point.value, self.start.n_rows
        )

    def _with_rounding(self, gap, point, metric, short=0.0):
        """Return the bound raised by what rounding may hide: of sums, for any signs of their terms, of
        margins, and of the solution of a system."""
        error = self._error(point)
        hidden = metric.lost(point.gradient, error) + metric.cost(error, 1.0) + short
        hidden += duality.cost_of_margins(point, self.start)
        return (math.sqrt(gap) + math.sqrt(hidden)) ** 2 * (1 + duality.SURE * np.finfo(np.float64).eps)

    def _last_word(self, best, verdict):
        if verdict.bound <= self.tol:
            return verdict.bound
        return (yield from self.bound(best))
