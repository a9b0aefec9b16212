"""The certificate of a fit whose weights stay between bounds.

For the residuals at w, with v = Xᵀs·r/Σs, Fenchel and Young give at any w in the box::

    F(w) − min F ≤ Σⱼ [½l2ⱼ·wⱼ² + vⱼ·wⱼ − min over u in the box of ½l2ⱼ·u² + vⱼ·u]

Where a weight has no penalty and no bound in the direction in which it would fall, its v has to be zero, as
an intercept's has: it is nearly so, and a step of Newton's method, in the space of the weights that no bound
holds, says what is missing. That has to be a small part of the bound, else there is none.
"""

import math

import numpy as np

from . import duality
from .certificate import Certificate
from .solvers import questions as ask
from .solvers.projected import held, newton_step

_SMALL = 1e-3  # beside the bound, what may be missing
_SURE = 10  # roundings by which a bound is raised


class BoxCertificate(Certificate):
    """Judges the points of a fit between bounds; what a Certificate is, with a bound of its own.

    Parameters
    ----------
    penalty, start, tol, reads_left
        As of `Certificate`.
    box : (lower, upper)
    """

    def __init__(self, penalty, start, tol, reads_left, box):
        super().__init__(penalty, start, tol, reads_left)
        self.box = box

    def bound(self, point, estimate=math.nan):
        self.partial, self.share = 0.0 if point.value == 0 else 1.0, 0.0
        if 0 < point.value < math.inf and self.reads_left() >= 1:
            H = yield ask.Curvature(point.w, ask.MATRIX)
            self.partial = min(1.0, self._gap(point, H) / point.value)
            if self.partial > self.tol and not math.isnan(estimate):
                self.knock = estimate * max(0.01, 0.5 * self.tol / self.partial)
        return self.partial

    def _gap(self, point, H):
        w, g, (lower, upper) = point.w, point.gradient, self.box
        l2 = np.broadcast_to(self.start.ridge, len(w))
        v = g - l2 * w
        ends = np.where(v > 0, lower, upper)
        exact = (l2 > 0) | np.isfinite(ends) | (v == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.where(l2 > 0, np.clip(-v / l2, lower, upper), np.where(v == 0, w, ends))
            terms = np.where(exact, 0.5 * l2 * (w * w - u * u) + v * (w - u), 0.0)
        gap = float(np.maximum(terms, 0.0).sum())
        free = ~held(w, g, lower, upper)
        step = newton_step(H, g, free)
        decrement = -0.5 * float(g @ step)
        missing = 0.0
        if not exact.all():
            missing = 2 * (decrement + float((abs(g) * abs(step))[~exact].sum()))
            if not missing <= _SMALL * max(gap, self.tol * point.value):
                return math.inf
        error = duality.rounding(point.rounding / point.value, self.start.scale, point.value)
        hidden = -0.5 * float(error @ newton_step(H, error, free)) * len(w)  # whatever their signs
        return (math.sqrt(gap + missing) + math.sqrt(hidden)) ** 2 * (1 + _SURE * np.finfo(np.float64).eps)

    def _last_word(self, best, verdict):
        if verdict.bound <= self.tol:
            return verdict.bound
        return (yield from self.bound(best))

    def _look_for_separation(self, point):
        return
        yield
