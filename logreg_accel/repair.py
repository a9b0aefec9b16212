"""A proof by repair: residuals of some rows are moved until they are a point of the dual problem.

Let G be F with the loss of all rows but those of S replaced by its tangent at w (`tangent`). The loss is
convex, so F ≥ G, and F(w) − min G bounds F(w) − F*. A few Newton steps in memory find the minimum of G. The
residuals of S there, together with those of the other rows at w, are the dual point that proves the bound; an
inexact step only makes the bound loose. To second order the bound is ½·gᵀ(H_S + λ)⁻¹g, where H_S is the part
of S in the Hessian: the decrement if S is all rows, and about m/|S| times the decrement otherwise.
"""

import math
from dataclasses import replace

import numpy as np

from . import duality, witnesses
from .metric import against_shifts
from .solvers import questions as ask
from .solvers.nearly_singular import FLAT, noise
from .systems import FACTORED_UP_TO, SURE, Matrix, products
from .tangent import Tangent
from .walk import Found, Walk

_ROUNDS = 8
_NEAR = 1.01  # a bound below this multiple of its lower limit is not improved further
_FARTHEST = 100.0  # a cap on changes of margins
_NOTHING = 1e-28  # relative decrement that counts as zero
_FINE = 1e-10  # times √F: bounds below this may miss the loss of rows whose slopes are lost in rounding
_FAINT = 0.01  # share of `tol` and F that a penalty may be to be left out of a proof
_EPS = float(np.finfo(np.float64).eps)
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
    hides : bool
        Whether most of the last bound is what rounding may hide.
    """

    def __init__(self, penalty, start, tol, enough, point, rows, exactly=True):
        start = start if rows is None else start.of_finer(rows.rows.fineness)
        self.penalty, self.start, self.price = _without_faint(penalty, start, point, tol)
        self.wanted, self.enough = tol * point.value, enough * point.value
        self.point, self.rows, self.here, self.exactly = point, rows, None, exactly
        self.whole, self.all_told = rows is None or rows.rows.share == 1, False
        self.hides = False
        self.scales = self.penalty.has_l1  # whether scaling all residuals may make up for what a step leaves

    def gap(self):
        """The bound, or inf if none is found; a generator of questions."""
        bound = yield from self._bound()
        return self.price + (bound if bound is not None else (yield from self._gap_of_exact_sums()))

    def _bound(self):
        """As `gap`, or None if sums have to be exact: the metric is released before there is another."""
        if self.here is None:
            self.here = self.point if self.rows is None else (yield ask.Evaluate(self.point.w, self.rows))
        if self.here.value == 0:  # rows without loss have no residuals to move
            return math.inf
        goal = max(self.enough, self.wanted)
        G = Tangent(self.penalty, self.start, self.point, self.here, self.rows, goal)
        self.here, self.point = G.here, G.point
        found = yield from self._least(G)
        if not found.bound < math.inf and found.metric.basis is not None:
            # Every step was too long. Those that rounding alone may ask for are left out.
            of_margins = math.sqrt(duality.cost_of_margins(self.here, self.start) / 2)
            found = yield from self._least(G, (self._error(), of_margins))
        return (yield from self._beside_rounding(G, found)) if found.bound < math.inf else found.bound

    def _least(self, G, error=None):
        """Walk to the minimum of G by Newton steps; the least bound on the way, without its rounding.

        No step is made of slopes that are within an `error` of sums and margins, if that is given.
        """
        walk, found = Walk(G.here), Found()
        for _ in range(_ROUNDS):
            residual, active = G.residual(walk.there)
            if walk.needs_metric(active):
                walk.metric = yield from self._metric(G, walk.there, active, walk.metric)
                walk.covered, walk.drift = active, 0.0
            step = -(yield from walk.metric.solve(walk.there, residual, error))
            decrement = max(-0.5 * float(residual @ step), 0.0)
            walk.least = min(walk.least, decrement)
            yield from G.move_to(walk.there, walk.above)
            found, ahead, outlook = yield from self._tried(G, walk, residual, step, found)
            if walk.metric.made_up and walk.metric.vague and decrement < self.wanted < outlook:
                # Collinear columns have wrong signs and would keep them, or scaling compensates too little.
                if not witnesses.few(self.start.n_rows, len(step)):
                    break
                self.scales, walk.stale = False, True
                continue
            near = 2 * walk.least if self.penalty.has_l1 else _NEAR * (G.fallen(walk.there) + decrement)
            if found.bound <= max(self.enough, near) or decrement <= _NOTHING * self.point.value:
                break
            if decrement > 0.9 * walk.before or not (yield from walk.go(G, step, decrement, ahead)):
                break
        return found if found.bound < math.inf else Found(metric=walk.metric)

    def _tried(self, G, walk, residual, step, found):
        """The least bound after another round; the end of the step and the change of margins on the way to
        it, if that was evaluated; and what the bound there would be if no probability changed."""
        there, metric, way = walk.there, walk.metric, walk.there.w - G.here.w
        unrepaired, short = G.unrepaired(there, residual, metric, self._error())
        if unrepaired < found.bound:
            found = Found(unrepaired, metric, residual, short, way)
        farther = math.exp(min(walk.drift, _FARTHEST))
        spent = max(-0.5 * float(metric.curved @ step), 0.0)  # less than the decrement if slopes remain
        repaired = G.repaired(there, residual, step, farther * spent, metric)
        outlook, ahead = repaired(1.0), None
        if outlook < found.bound:
            new = yield from G.at(there.w + step, since=there)
            ahead = new, new.change
            bound = repaired(duality.divergence(farther * new.change.largest))
            if bound < found.bound:
                found = Found(bound, metric, residual, metric.short, way)
        return found, ahead, outlook

    def _beside_rounding(self, G, found):
        """The bound with its errors of rounding; inf if it proves nothing, None if sums have to be exact."""
        least, metric = found.bound, found.metric
        error = self._error() + _EPS * abs(found.residual)
        # Directions hidden in another round do not matter for the bound of this one.
        if not self.whole and metric.vague and metric.bounded:
            if self.point.rounding >= duality.EXACT * self.point.value:  # float32 hides the slopes
                allowed = G.l1 * self.wanted / self.point.value
                unseen = self.penalty.has_l1 and metric.misses(found.residual, error, allowed)
                return math.inf if unseen else None
            fine = least <= _FINE * math.sqrt(min(self.point.value, 1.0)) and not self.all_told
            if metric.has_flat and fine and (yield from self._is_seen_by_others(metric)):
                return math.inf
        # Where a slope is about as large as its error, more rows tell whether it has any curvature.
        lost = metric.lost(found.residual, error, SURE if self.whole else 1.0)
        hidden = lost + duality.cost_of_margins(self.here, self.start)
        rounded = self._rounding(metric, error, _LITTLE * least)
        self.hides = hidden + rounded > least
        bound = (math.sqrt(least) + math.sqrt(found.short) + math.sqrt(hidden + rounded)) ** 2
        bound += float(error @ abs(found.way))  # without curvature, the errors of sums count linearly
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
        self.exactly = False  # sums of large numbers are as inexact in float64
        bound = yield from self._bound()
        return math.inf if bound is None else bound

    def _metric(self, G, there, active, before):
        if len(there.w) > FACTORED_UP_TO:
            return (yield from products(there, self.rows, G.fixed, self.start, before))
        H = yield ask.Curvature(there.w, ask.MATRIX, self.rows, there.margins)
        if self.start.n_outputs > 1:
            against_shifts(H, self.start.n_outputs, G.free)
        _without_traces(H, self.start.scale, self.point.value)
        made_up = G.fixed if self.scales else None
        known = self.start.ridge, self.penalty.modulus > 0, made_up, self.start.cholesky
        metric = Matrix(H, self.rows, active, *known, self.start.n_outputs)
        yield from metric.look_closely(there)
        return metric

    def _error(self):
        """Return the approximate error of the gradient by rounding."""
        point, piled = (self.here, 1.0) if self.whole else (self.point, self.start.piled)
        known = self.start.scale, self.point.value, self.start.n_rows, piled
        return duality.rounding(point.rounding / point.value, *known)

    def _rounding(self, metric, error, little):
        """½·εᵀH⁻¹ε for the rounding ε of the gradient, or a larger number if that is at most `little`."""
        if self.whole:
            return metric.cost(error, 1.0)
        if self.point.rounding < duality.EXACT * self.point.value:
            return 0.0
        return metric.cost(error, self.start.n_rows / (4 * self.rows.rows.n_rows), little)


def in_long_double(penalty, start, enough, point):
    """The bound by sums in long double, where the rounding of float64 is most of another one; or inf."""
    rows = yield ask.Draw(ask.Finer())
    if rows is None:
        return math.inf
    return (yield from Repair(penalty, start, enough, enough, point, rows).gap())


def _without_faint(penalty, start, point, tol):
    """The penalty and the start of a proof, and the part of F at a point that it does without.

    Sums of residuals cannot be brought below strengths that are little more than their rounding. Without a
    penalty the infimum of F is lower, and F at the point is less by the penalty alone. That is nothing where
    all weights are zero, and says how strong a penalty is only with steps that move margins by about one.
    """
    if not penalty.has_l1:
        return penalty, start, 0.0
    steps = 1 / np.where(start.scale > 0, start.scale, math.inf)
    if not _price(start, abs(point.w) + steps) <= _FAINT * tol * point.value:
        return penalty, start, 0.0
    return (
        replace(penalty, l1=0.0, l2=0.0, modulus=0.0),
        start._replace(l1=0 * start.l1, ridge=0 * start.ridge),
        _price(start, point.w),
    )


def _price(start, w):
    return float(np.sum(start.l1 * abs(w) + 0.5 * start.ridge * w**2))


def _without_traces(H, scale, value):
    """Clear, in place, the parameters whose curvature is only that of rows that are far on their right side.

    F cannot fall by more than about that along them. But the rounding of a slope, however small it is, asks
    for a step without limit where its square exceeds the curvature. So they count like empty columns.
    """
    bare = H.diagonal() <= FLAT * min(value, 1.0) * scale**2
    if bare.any():
        H[bare], H[:, bare] = 0.0, 0.0
