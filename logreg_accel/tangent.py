"""F with the loss of all rows but some replaced by its tangent: a proof by repair finds its minimum."""

import math

import numpy as np

from . import duality
from .metric import without_shifts
from .solvers import questions as ask

_DONE = 1e-3  # share of a bound that repairing its sums may add without a dual point of its own


class Tangent:
    """G: the loss of the rows of S, the tangent at w of the loss of all other rows, and the penalty.

    Parameters
    ----------
    penalty : Penalty
    start : Start
    point, here : Point
        The point w on all rows and on S.
    rows : handle or None
        S; None for all rows as they are.
    goal : float
        The bound to reach.

    Attributes
    ----------
    point, here : Point
        As given, with gradients that have no part along shifts of all classes beside that of the penalty.
    l1 : ndarray (size,)
        The strength of the L1 penalty for each weight.
    fixed : ndarray (size,), bool
        Weights without a penalty, for which the sums of residuals have to be zero.
    free : ndarray of int
        The features in which shifting all classes together changes only the penalty.
    moved : float
        The contribution to a bound of the rows of S, whose residuals are those at the point of `move_to`.
    """

    def __init__(self, penalty, start, point, here, rows, goal):
        self.penalty, self.start, self.rows, self.goal = penalty, start, rows, goal
        self.l1 = start.l1 + np.zeros(len(point.w))
        self.fixed = (start.ridge == 0) & (self.l1 == 0)
        self.free, self.moved = self._free(), 0.0
        self.point, self.here = self._unshifted(point), self._unshifted(here)
        whole = rows is None or rows.rows.share == 1
        self.tilt = 0.0 if whole else self.point.gradient - self.here.gradient

    def _free(self):
        """The features in which shifting all classes together changes only the penalty.

        Next to large columns rounding hides the curvature of this penalty. So residuals are not moved along
        such shifts, and the remainder is added to the bound.
        """
        k = self.start.n_outputs
        if k == 1:
            return np.empty(0, dtype=int)
        ridge, l1 = ((part + np.zeros(len(self.l1))).reshape(-1, k) for part in (self.start.ridge, self.l1))
        return np.flatnonzero((ridge == ridge[:, :1]).all(axis=1) & (l1 == 0).all(axis=1))

    def at(self, w, since=None):
        """The point on S after an evaluation."""
        return self._unshifted((yield ask.Evaluate(w, self.rows, since=since)))

    def _unshifted(self, point):
        if self.start.n_outputs == 1:
            return point
        ridge = self.penalty.gradient(self._penalised(point.w))
        return point._replace(gradient=without_shifts(point.gradient - ridge, self.start.n_outputs) + ridge)

    def residual(self, there):
        """∇G with the signs of L1, by which residuals miss the dual constraints; and which weights count."""
        q = there.gradient + self.tilt
        if len(self.free):
            q = without_shifts(q, self.start.n_outputs, self.free)
        if not self.penalty.has_l1:
            return q, None
        w = self.point.w
        active = (w != 0) | (self.l1 == 0) | (abs(q) > self.l1)
        return np.where(active, q + self.l1 * np.where(w != 0, np.sign(w), -np.sign(q)), 0.0), active

    def unrepaired(self, there, residual, metric, error):
        """The bound without a repair, inf if sums exceed their rounding; and what rounding may add to it."""
        some = np.where(self.fixed, residual, 0.0)
        if not (abs(some) <= duality.SURE * error).all():
            return math.inf, 0.0
        return self._gap(there, 0.0), metric.cost(some, 1.0) if some.any() else 0.0

    def repaired(self, there, residual, step, spent, metric):
        """The bound after repairing the remaining sums, as a function of the divergence of the step.

        Residuals moved by their slopes along a Newton step have the required sums. That adds −residual·(v −
        w), where v is the point and w are the weights, and the divergence of the residuals from those at v:
        about the decrement, times eᵗ if margins have moved by t since the slopes were computed. Sums that
        have to be zero are always repaired. The bound is inf if it proves nothing.
        """
        d = there.w - self.here.w
        some, unrepaired = np.where(self.fixed, residual, 0.0), self._gap(there, 0.0)
        removed = metric.removed(residual)
        rounding = 4 * np.finfo(np.float64).eps * float(abs(residual) @ abs(d))

        def bound(times):
            if not times < math.inf:
                return math.inf
            off = 2 * (times * spent + float(abs(some) @ abs(step))) + abs(float(some @ d))
            small = off <= _DONE * max(unrepaired, self.goal)
            known = unrepaired + off if small and self.fixed.any() else math.inf
            if not metric.bounded:
                return known
            return min(known, self._gap(there, removed, times * spent - float(removed @ d) + rounding))

        return bound

    def _gap(self, there, repaired, added=0.0):
        penalty, here, w = self.penalty, self.here, self._penalised(self.point.w)
        d, loss = there.w - here.w, self.point.value - penalty.value(w)
        gradient = there.gradient + self.tilt - repaired - penalty.gradient(self._penalised(d))
        return duality.gap(penalty, w, gradient, max(self.moved + added, 0.0), loss, self.fixed)

    def move_to(self, there, above=math.nan):
        """Set `moved` for a point: the gaps between losses and tangents at its margins.

        `above` is their sum where it is known. Without margins it is a difference of values, each with the
        rounding errors of all margins.
        """
        penalty, here, self.moved = self.penalty, self.here, 0.0
        if (there.w == here.w).all():
            return
        if math.isnan(above):
            above = yield ask.MarginChange(here, there, self.rows, in_loss=True)
        rounding = 8 * np.finfo(np.float64).eps * here.value
        if math.isnan(above):
            w, d = self._penalised(here.w), self._penalised(there.w)
            slope = float((there.gradient - penalty.gradient(d)) @ (there.w - here.w))
            above = math.fsum([here.value - penalty.value(w), penalty.value(d) - there.value, slope])
            rounding += sum(duality.rounding_of(p, self.start) for p in (here, there))
        self.moved = max(above, 0.0) + rounding

    def _penalised(self, w):
        return np.where(self.fixed, 0.0, w)

    def descend(self, there, step, new=None):
        """The point after a step, shortened until G falls; None where it does not."""
        slope, before = self.residual(there)[0] - there.gradient, self._smooth(there)
        for _ in range(4):
            new = new or (yield from self.at(there.w + step))
            if self._smooth(new) + slope @ step <= before + 1e-12 * abs(before):
                return new
            step, new = step / 8, None
        return None

    def fallen(self, there):
        """How far G has fallen already, a lower limit of every bound; 0 if it is not computed."""
        if self.penalty.has_l1 or there is self.here:
            return 0.0
        return self.here.value - there.value - float((self.tilt * (there.w - self.here.w)).sum())

    def _smooth(self, there):
        return there.value - float((self.l1 * abs(there.w)).sum())
