"""A proof by repair: residuals of some rows are moved until they are a point of the dual problem.

Let G be F with the loss of all rows but those of S replaced by its tangent at w. The loss is convex, so
F ≥ G, and F(w) − min G bounds F(w) − F*. A few Newton steps in memory find the minimum of G. The residuals of
S there, together with those of the other rows at w, are the dual point that proves the bound; an inexact step
only makes the bound loose. To second order the bound is ½·gᵀ(H_S + λ)⁻¹g, where H_S is the part of S in the
Hessian: the decrement if S is all rows, and about m/|S| times the decrement otherwise.
"""

import math

import numpy as np

from . import duality, witnesses
from .metric import against_shifts, without_shifts
from .solvers import questions as ask
from .solvers.nearly_singular import noise
from .systems import FACTORED_UP_TO, Matrix, products

_ROUNDS = 8
_NEAR = 1.01  # a bound below this multiple of its lower limit is not improved further
_DONE = 1e-3  # share of a bound that repairing its sums may add without a dual point of its own
_FAR, _FARTHEST = 1.0, 100.0  # changes of margins: beyond the first, H is stale; the second is a cap
_ENDLESS, _CREEPS, _JUMP = 0.9, 0.1, 200.0
"""Each step along which some rows are separated raises their margins by 1 and leaves a third of the
decrement, so that such steps never end; a jump removes the loss of these rows at once."""
_NOTHING = 1e-28  # relative decrement that counts as zero
_FINE = 1e-10  # times √F: bounds below this may miss the loss of rows whose slopes are lost in rounding
_LITTLE = 1e-4  # share of a bound by which it may be overstated


class Repair:
    """Bounds F(w) − F* by moving the residuals of some rows.

    Parameters
    ----------
    penalty : Penalty
    start : Start
    tol : float
        The relative bound to reach.
    enough : float
        The relative bound below which a smaller one has no use.
    point : Point
    rows : handle or None
        S, with sums in float64; None for all rows as they are.
    exactly : bool
        Whether all rows may be read in float64 if only the rounding of their sums prevents a proof.

    Attributes
    ----------
    here : Point or None
        The point on S, if it is known.
    all_told : bool
        Whether S contains all nearly separated rows.
    """

    def __init__(self, penalty, start, tol, enough, point, rows, exactly=True):
        self.penalty, self.start = penalty, start
        self.wanted, self.enough = tol * point.value, enough * point.value
        self.point, self.rows, self.here, self.exactly = point, rows, None, exactly
        self.whole, self.all_told = rows is None or rows.rows.share == 1, False
        self.l1 = start.l1 + np.zeros(len(point.w))
        self.fixed = (start.ridge == 0) & (self.l1 == 0)
        self.made_up = self.fixed if penalty.has_l1 else None
        self.free = self._free()

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

    def gap(self):
        """The bound, or inf if none is found; a generator of questions."""
        bound = yield from self._bound()
        return bound if bound is not None else (yield from self._gap_of_exact_sums())

    def _bound(self):
        """As `gap`, or None if sums have to be exact: the metric is released before there is another."""
        if self.here is None:
            self.here = self.point if self.rows is None else (yield ask.Evaluate(self.point.w, self.rows))
        if self.here.value == 0:  # rows without loss have no residuals to move
            return math.inf
        self.here, self.point = self._unshifted(self.here), self._unshifted(self.point)
        self.tilt = 0.0 if self.whole else self.point.gradient - self.here.gradient
        there, before, first, least = self.here, math.inf, math.inf, math.inf
        metric, stale, covered, above = None, True, None, math.nan
        for _ in range(_ROUNDS):
            residual, active = self._residual(there)
            # The old matrix has no part for weights that were inactive: their sums would stay unrepaired.
            stale = stale or (covered is not None and bool((active & ~covered).any()))
            if stale:
                covered = active
                metric = yield from self._metric(there, active, metric)
                drift = 0.0
            step = -(yield from metric.solve(there, residual))
            decrement = max(-0.5 * float(residual @ step), 0.0)
            self.moved = yield from self._moved(there, above)
            first = min(first, decrement)
            unrepaired, short = self._unrepaired(there, residual, metric)
            if unrepaired < least:
                least, proof = unrepaired, (metric, residual, short, there.w - self.here.w)
            farther = math.exp(min(drift, _FARTHEST))
            spent = max(-0.5 * float(metric.curved @ step), 0.0)  # less than the decrement if slopes remain
            repaired = self._repaired(there, residual, step, farther * spent, metric)
            beyond = None
            if repaired(1.0) < least:
                beyond = yield from self._at(there.w + step, since=there)
                change = beyond.change
                way = farther * change.largest
                bound = repaired(duality.divergence(way))
                if bound < least:
                    least, proof = bound, (metric, residual, metric.short, there.w - self.here.w)
            near = 2 * first if self.penalty.has_l1 else _NEAR * (self._fallen(there) + decrement)
            reached = least <= max(self.enough, near)
            if metric.made_up and metric.vague and decrement < self.wanted < repaired(1.0):
                # Collinear columns have wrong signs and would keep them, or scaling compensates too little.
                if not witnesses.few(self.start.n_rows, len(step)):
                    break
                self.made_up, stale = None, True
                continue
            if reached or decrement <= _NOTHING * self.point.value or decrement > 0.9 * before:
                break
            stale = decrement > 1e-4 * before  # the curvature has changed on the way
            creeps = decrement > _CREEPS * before
            last, before = there, decrement
            if beyond is not None and change.largest > _ENDLESS and creeps:
                step, beyond = _JUMP / change.largest * step, None
            there = yield from self._next(there, step, beyond)
            if there is None:
                break
            if there is not beyond:
                change = yield ask.MarginChange(last, there, self.rows)
            drift += change.largest
            above = change.above if last is self.here else math.nan
            stale = stale or drift > _FAR
        if not least < math.inf:
            return least
        # Directions hidden in another round do not matter for the bound of this one.
        metric, residual, short, way = proof
        if not self.whole and metric.vague and metric.bounded:
            if self.point.rounding >= duality.EXACT * self.point.value:  # float32 hides the slopes
                allowed = self.l1 * self.wanted / self.point.value
                if self.penalty.has_l1 and metric.misses(residual, self._error(), allowed):
                    return math.inf
                return None
            fine = least <= _FINE * math.sqrt(min(self.point.value, 1.0)) and not self.all_told
            if metric.has_flat and fine and (yield from self._is_seen_by_others(metric)):
                return math.inf
        hidden = metric.lost(residual, self._error()) + 2 * duality.of_margins(self.here, self.start) ** 2
        rounded = self._rounding(metric, _LITTLE * least)
        bound = (math.sqrt(least) + math.sqrt(short) + math.sqrt(hidden + rounded)) ** 2
        bound += float(self._error() @ abs(way))  # without curvature, the errors of sums count linearly
        if not self.whole and self.exactly and least <= self.wanted < bound:
            return None
        return bound * (1 + duality.SURE * self.point.rounding / self.point.value)

    def _is_seen_by_others(self, metric):
        """Whether rows outside S have losses that S does not show: nearly separated rows have almost no
        slope, and their whole loss may vanish along the step."""
        step = metric.along_flat()
        curved = yield ask.HessianVector(self.point.w, step, margins=self.point.margins)
        return float(step @ curved) > metric.flat.shape[1] * noise(len(step)) ** 2

    def _gap_of_exact_sums(self):
        """Compute the bound again, from a gradient of all rows that is summed in float64."""
        if not self.exactly or self.point.rounding < duality.EXACT * self.point.value:
            return math.inf
        rows = yield ask.Draw(ask.Witnesses(math.inf, 0))
        exact = yield ask.Evaluate(self.point.w, rows)
        self.point = self.point._replace(gradient=exact.gradient, rounding=exact.rounding)
        return (yield from self.gap())

    def _at(self, w, since=None):
        return self._unshifted((yield ask.Evaluate(w, self.rows, since=since)))

    def _unshifted(self, point):
        if self.start.n_outputs == 1:
            return point
        ridge = self.penalty.gradient(self._penalised(point.w))
        return point._replace(gradient=without_shifts(point.gradient - ridge, self.start.n_outputs) + ridge)

    def _unrepaired(self, there, residual, metric):
        """The bound without a repair, inf if sums exceed their rounding; and what rounding may add to it."""
        some = np.where(self.fixed, residual, 0.0)
        if not (abs(some) <= duality.SURE * self._error()).all():
            return math.inf, 0.0
        return self._gap(there, 0.0), metric.cost(some, 1.0) if some.any() else 0.0

    def _repaired(self, there, residual, step, spent, metric):
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
            small = off <= _DONE * max(unrepaired, self.enough, self.wanted)
            known = unrepaired + off if small and self.fixed.any() else math.inf
            if not metric.bounded:
                return known
            return min(known, self._gap(there, removed, times * spent - float(removed @ d) + rounding))

        return bound

    def _residual(self, there):
        """∇G with the signs of L1, by which residuals miss the dual constraints; and which weights count."""
        q = there.gradient + self.tilt
        if len(self.free):
            q = without_shifts(q, self.start.n_outputs, self.free)
        if not self.penalty.has_l1:
            return q, None
        w = self.point.w
        active = (w != 0) | (self.l1 == 0) | (abs(q) > self.l1)
        return np.where(active, q + self.l1 * np.where(w != 0, np.sign(w), -np.sign(q)), 0.0), active

    def _gap(self, there, repaired, added=0.0):
        penalty, here, w = self.penalty, self.here, self._penalised(self.point.w)
        d, loss = there.w - here.w, self.point.value - penalty.value(w)
        gradient = there.gradient + self.tilt - repaired - penalty.gradient(self._penalised(d))
        return duality.gap(penalty, w, gradient, max(self.moved + added, 0.0), loss, self.fixed)

    def _moved(self, there, above):
        """The contribution of the moved rows: the gaps between losses and tangents at the new margins.

        Without margins it is a difference of values, each with the rounding errors of all margins.
        """
        penalty, here = self.penalty, self.here
        if (there.w == here.w).all():
            return 0.0
        if math.isnan(above):
            above = yield ask.MarginChange(here, there, self.rows, in_loss=True)
        rounding = 8 * np.finfo(np.float64).eps * here.value
        if math.isnan(above):
            w, d = self._penalised(here.w), self._penalised(there.w)
            slope = float((there.gradient - penalty.gradient(d)) @ (there.w - here.w))
            above = math.fsum([here.value - penalty.value(w), penalty.value(d) - there.value, slope])
            rounding += sum(duality.rounding_of(p, self.start) for p in (here, there))
        return max(above, 0.0) + rounding

    def _penalised(self, w):
        return np.where(self.fixed, 0.0, w)

    def _next(self, there, step, new=None):
        """The point after a step, shortened until G falls; None where it does not."""
        slope, before = self._residual(there)[0] - there.gradient, self._smooth(there)
        for _ in range(4):
            new = new or (yield from self._at(there.w + step))
            if self._smooth(new) + slope @ step <= before + 1e-12 * abs(before):
                return new
            step, new = step / 8, None
        return None

    def _fallen(self, there):
        """How far G has fallen already, a lower limit of every bound; 0 if it is not computed."""
        if self.penalty.has_l1 or there is self.here:
            return 0.0
        return self.here.value - there.value - float((self.tilt * (there.w - self.here.w)).sum())

    def _smooth(self, there):
        return there.value - float((self.l1 * abs(there.w)).sum())

    def _metric(self, there, active, before):
        if len(there.w) > FACTORED_UP_TO:
            return (yield from products(there, self.rows, self.fixed, self.start, before))
        H = yield ask.Curvature(there.w, ask.MATRIX, self.rows, there.margins)
        if self.start.n_outputs > 1:
            against_shifts(H, self.start.n_outputs, self.free)
        known = self.start.ridge, self.penalty.modulus > 0, self.made_up, self.start.cholesky
        metric = Matrix(H, self.rows, active, *known, self.start.n_outputs)
        yield from metric.look_closely(there)
        return metric

    def _error(self):
        """Return the approximate error of the gradient by rounding."""
        point, piled = (self.here, 1.0) if self.whole else (self.point, self.start.piled)
        return duality.rounding(point.rounding / point.value, self.start.scale, self.point.value, piled)

    def _rounding(self, metric, little):
        """½·εᵀH⁻¹ε for the rounding ε of the gradient, or a larger number if that is at most `little`."""
        if self.whole:
            return metric.cost(self._error(), 1.0)
        if self.point.rounding < duality.EXACT * self.point.value:
            return 0.0
        return metric.cost(self._error(), self.start.n_rows / (4 * self.rows.rows.n_rows), little)
