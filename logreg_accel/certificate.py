"""How far a point is from the optimum, and the proof of it.

The certificate asks questions like a solver: its methods are generators, so that the driver counts their
reads and ends them when a budget is exhausted. A solver's own estimate, half a squared Newton decrement, only
decides when a proof is tried; the proof itself is a point of the dual problem (`duality`).
"""

import math
from dataclasses import replace

import numpy as np

from . import duality, witnesses
from .history import Verdict
from .metric import without_shifts
from .repair import Repair, in_long_double
from .separation import Separation, settled
from .solvers import questions as ask
from .systems import FACTORED_UP_TO, possible

MAX_ITER = "max_iter"

_ALL_ROWS_COST = 3.0  # reads of a proof that moves all rows
_PATIENT_FROM = 0.01  # share of `tol`: an expensive proof is tried only if the estimate is below it
_DEAR = 240  # number of parameters above which a Hessian of all rows takes longer than some steps of a solver
_GAIN = 0.25  # a tighter bound is worth computing if it is expected to be below this share of the known one
_HIDDEN = 0.1  # share of `tol` that the rounding of a gradient may add to a bound
_UNSEEN = 30.0  # a bound above this multiple of `tol` shows that the rows do not cover some columns
_LOOSE, _TIGHT = 1e-6, 1e-9
"""A bound above the first is made tighter where that is cheap; for small X, the goal is the second."""

_FAR, _NO_WORSE = (1e3, 30.0, 1e6), 1.01  # rises of the margins of separated rows, and of F, that are tried


class Certificate:
    """Judges the points that one solver accepts.

    Parameters
    ----------
    penalty : Penalty
    start : Start
    tol : float
        Relative suboptimality (F − F*)/F that is good enough.
    reads_left : function () -> float
        The number of reads that the budget allows.

    Attributes
    ----------
    beyond_proof : bool
        Whether a proof was tried and turned out impossible.
    rows_per_parameter : float
        The number of rows per parameter that a proof may move in any case; it costs a Hessian over them.
    """

    rows_per_parameter = witnesses.ROWS_PER_PARAMETER

    def __init__(self, penalty, start, tol, reads_left):
        self.penalty, self.start, self.tol = penalty, start, tol
        self.even = start.n_outputs > 1 and not penalty.there
        self.small = witnesses.few(start.n_rows, len(start.w))
        self.enough = min(tol, _TIGHT) if self.small else tol
        self.reads_left = reads_left
        self.n_iter, self.last = -1, math.inf  # the start is not a step; the last estimate
        self.previous = self.sample = None  # the last point, and the solver's last sample
        self.least_curvature, self.knock = math.inf, tol
        self.partial, self.lower, self.share, self.lower_share = math.inf, start.lower, 0.0, 0.0
        self.beyond_proof = self.tried = self.failed = self.receded = self.far = self.hides = False
        self.rows = self.exact = None  # all rows in float64, if they were drawn, and the point on them
        self.fewest = witnesses.fewest(penalty.has_l1)
        self.separation = Separation(start)

    def judge(self, told):
        """The Verdict on an accepted point; a proof is tried if by the solver's estimate it may succeed."""
        self.n_iter += 1
        point = told.point
        if not math.isfinite(point.value):
            return Verdict(math.inf)
        if point.value == 0:
            return Verdict(0.0, 0.0)
        if told.proven <= self.tol * point.value:
            return Verdict(math.nan, told.proven / point.value)
        yield from self.separation.watch(self.previous, point)
        estimate = self.last = (yield from self._estimate(point, told.gap)) / abs(point.value)
        bound = math.inf
        if estimate <= self.knock:
            bound = yield from self.bound(point, estimate)
            estimate = max(estimate, bound * self.share)
        elif len(point.w) > FACTORED_UP_TO and not self.penalty.has_l1:
            # The step may have done more than its estimate says, and the next one takes many reads.
            bound = yield from self._proven_at_once(point, min(self.tol, _LOOSE))
        trusted = False
        if self.beyond_proof and told.gap is not None and not told.rough and estimate <= self.tol:
            trusted = yield from settled(self.previous, point)
        self.previous = point
        if told.rough or (told.gap is None and bound < math.inf):  # the bound is the best estimate
            estimate = math.nan
        return Verdict(estimate, bound, trusted)

    def drawn(self, question):
        """Answer the solver's Draw, and keep its rows, which may also suffice for a proof."""
        self.sample = None  # two samples would take twice the memory
        drawn = yield question
        self.sample = drawn if drawn is not None and drawn.rows.numbers is not None else None
        return drawn

    def expecting(self, question):
        """Return the evaluation, changed such that it announces the rows that a proof would draw.

        They are not announced if even a step that squares the gap would not make a proof possible.

        Where shifting the weights of all classes together does not change F, the point is moved to the one
        whose mean over the classes is zero, the one that the user gets. If that were done at the end, the
        point would be rounded anew, which changes F where columns are far from zero.
        """
        if self.even:
            question = replace(question, w=without_shifts(question.w, self.start.n_outputs))
        m, size, far = self.start.n_rows, len(question.w), self.last * self.last > self.knock
        if far or witnesses.all_move(m, size) or not possible(self.penalty, size):
            return question
        most = witnesses.most_of(m, size, self.rows_per_parameter)
        draw = ask.Witnesses(most, self.start.seed + self.n_iter + 1, None)
        return replace(question, likely=(*question.likely, draw))

    def _proven_at_once(self, point, enough):
        """Return the plain bound (`duality.plain`) if it is small enough, otherwise inf."""
        g, ridge = point.gradient, self.start.ridge
        if 0.5 * (g @ np.divide(g, ridge, out=np.zeros_like(g), where=ridge > 0)) > enough * point.value:
            return math.inf  # this part of the bound takes one product
        bound = (yield ask.DualValue(point, enough * point.value)) / point.value
        return bound if bound <= enough else math.inf

    def separated(self, point):
        """Return the parameters that grow without end, and the best point, after evaluations far along them.

        Separated rows have almost no loss there, so that the other rows prove a lower bound of F*.
        """
        parameters = yield from self.separation.parameters(point)
        step, most, self.far = self.separation.along, self.separation.most, True
        known, best = self.separation.total, point  # if total, F* is known to be 0 and no bound is below 1
        for gain in _FAR if step is not None else ():
            far = yield ask.Evaluate(point.w + gain / most * step)
            bound = (yield from self.bound(far)) if far.value <= _NO_WORSE * point.value else 1.0
            known = known or bound < 1
            above = bound * far.value + self.start.blur(far.w, far.gradient, far.value)
            best = far if above < far.value * (1 - self.lower / best.value) else best
            if bound <= self.tol:
                break
        self.receded, self.far = known, False  # no other proof gives more here
        return parameters, best

    def close(self, best, verdict):
        """Return the final Verdict on the best point, after the solver has ended."""
        bound = yield from self._last_word(best, verdict)
        if bound > self.tol and self.failed:
            verdict = verdict._replace(estimate=bound)
        blurred = self.start.blur(best.w, best.gradient, best.value) / abs(best.value or 1)
        estimate = max(verdict.estimate, bound * self.share) + blurred
        return verdict._replace(estimate=estimate, bound=min(bound + blurred, 1.0))

    def _last_word(self, best, verdict):
        bound = verdict.bound if verdict.bound <= self.tol else (yield from self.bound(best))
        tried = bound > self.tol and (not self.small or self.rows is not None)
        if tried or best.dual is not None or self._is_dear(len(best.w)):
            return bound
        m, per_parameter = self.start.n_rows, self.rows_per_parameter
        within = witnesses.reach(m, len(best.w), verdict.estimate, per_parameter)
        cheap = self.small and self.exact is not None
        if (bound > _LOOSE and (self.small or not within > _GAIN * bound)) or (
            cheap and bound > max(10 * verdict.estimate, _TIGHT)
        ):
            self.partial, enough = bound, max(bound / 20, _TIGHT)
            gap = yield from self._repaired(best, math.nan, enough)
            return min(bound, gap / duality.value_of(best, self.exact))
        return bound

    def found(self, best, verdict):
        """Return the verdict with what is known of the best point when its proof was stopped: the bound that
        `bound` had found, unless that is of a point far along what is separated, or the one by `lower`."""
        known = 1.0 if self.far else self.partial
        if 0 < best.value < math.inf:
            above = max(best.value - self.lower, 0.0) + 4 * duality.rounding_of(best, self.start)
            known = min(known, above / best.value, 1.0)
        return verdict._replace(bound=min(verdict.bound, known))

    def bound(self, point, estimate=math.nan):
        """Bound the relative suboptimality: at most 1, since F* is at least 0.

        After a proof that did not suffice, the next one is tried when the estimate has fallen by the factor
        that was missing. A proof that moves a share of the rows gives about the true gap divided by that
        share, which may exceed the solver's estimate.
        """
        self.partial, self.share, self.tried = 0.0 if point.value == 0 else 1.0, 0.0, False
        if not 0 < point.value < math.inf:
            return self.partial
        self.exact = point if point.rounding < duality.EXACT * point.value else None
        if self.exact is None and self.rows is not None and self.reads_left() >= 1:
            self.exact = _with_loss((yield ask.Evaluate(point.w, self.rows)))
        if self.exact is not None:  # otherwise values are not precise enough to be compared
            above = max(self.exact.value - self.lower, 0.0) + 4 * duality.rounding_of(self.exact, self.start)
            self.partial, self.share = min(1.0, above / duality.value_of(point, self.exact)), self.lower_share
        if self.partial > self.tol and not self.receded:
            hope = math.inf if math.isnan(estimate) else self.tol * point.value
            self.partial = min(self.partial, (yield from self._plain(point, hope)) / point.value)
            self.share = 0.0
        if self.partial > self.tol and not self.receded:
            gap = yield from self._repaired(point, estimate)
            self.partial = min(self.partial, gap / duality.value_of(point, self.exact))
        if self.exact is not None and self.partial < 1:  # F* is at least 0, whatever exact sums add to F
            rounding = 4 * duality.rounding_of(self.exact, self.start)
            lower = self.exact.value - self.partial * point.value - rounding
            if lower > self.lower:
                self.lower, self.lower_share = lower, self.share
        if self.partial > self.tol and self.tried and not math.isnan(estimate):
            self.knock = estimate * max(0.01, 0.8 * self.tol / self.partial)
        return self.partial

    def _plain(self, point, hope):
        """The plain bound. Where a step costs less than a proof by a Hessian, and the rounding of float32
        alone would be too much for it, it is that of exact sums."""
        hidden = duality.hidden(point, self.start)
        few = point.dual is not None or self.penalty.has_l1 or self.reads_left() < 1
        if few or not (self._is_dear(len(point.w)) and hidden > _HIDDEN * self.tol * point.value):
            return (yield ask.DualValue(point, hope))
        rows = yield ask.Draw(ask.Witnesses(math.inf, self.start.seed, point))
        exact = yield ask.Evaluate(point.w, rows)
        return (yield ask.DualValue(exact, hope)) if exact.value > 0 else point.value

    def _repaired(self, point, estimate, enough=None):
        """Bound F − F* by a dual point whose residuals solve a problem of some rows or of all (`Repair`).

        More rows are drawn if columns are so rare that the drawn rows hardly cover them.
        """
        cheap = self.small and (enough is not None or self.far)
        gap, exactly, wanted = math.inf, enough is None or cheap, enough or self.tol
        if self._is_dear(len(point.w)) and estimate > _PATIENT_FROM * self.tol:
            return gap  # a step of the solver takes less, and the plain bound may suffice after it
        known = self.start.n_rows, len(point.w), estimate, (min(self.tol, _LOOSE), self.tol)
        for size in witnesses.numbers(*known, self.rows_per_parameter, self.fewest, cheap):
            share = min(2 * size / max(self.start.n_rows, 1), 1.0)
            if (_ALL_ROWS_COST if share == 1 else share) > self.reads_left():
                break
            if not possible(self.penalty, len(point.w)):
                self.beyond_proof = True
                break
            goals = wanted, (enough or self.enough) if share == 1 else wanted
            gap = min(gap, (yield from self._moving(size, share, point, goals, exactly)))
            if gap <= point.value:
                self.share = 1.0 if share == 1 else size / self.start.n_rows
            if gap <= _UNSEEN * wanted * point.value:
                break
            self.fewest = size / len(point.w)
        if cheap and self.hides and gap > min(self.tol, _LOOSE) * point.value:
            gap = min(gap, (yield from in_long_double(self.penalty, self.start, wanted, point)))
        self.failed = self.tried and not gap <= point.value
        return gap

    def _moving(self, size, share, point, goals, exactly):
        """Bound F − F* by moving the residuals of `size` rows."""
        self.tried = True
        known = share == 1 and self.rows is not None
        seed, sample = self.start.seed + max(self.n_iter, 0), witnesses.among(self.sample, size)
        rows = self.rows if known else (yield ask.Draw(ask.Witnesses(size, seed, point, sample)))
        repair = Repair(self.penalty, self.start, *goals, point, rows, exactly)
        repair.all_told = self.far  # a Newton step raises the margins of all separated rows
        if known and self.exact is not None and (self.exact.w == point.w).all():
            repair.here = self.exact
        gap, self.hides = (yield from repair.gap()), repair.hides
        if share == 1 and rows is not None:
            self.rows, self.exact = rows, _with_loss(repair.here)
        return gap

    def _is_dear(self, size):
        """Whether a repair takes longer than some steps of a solver."""
        all_move = self.rows is None and witnesses.all_move(self.start.n_rows, size)
        return size > (_DEAR if all_move else FACTORED_UP_TO)

    def _estimate(self, point, gap):
        """Estimate F − F* from the solver's gap, or from the gradient: ‖g‖²/(2μ).

        With a penalty, μ is λ by strong convexity, which neglects that the curvature along the intercept may
        be lower; if the least curvature along a step so far is larger, μ is that. The estimate can be wrong;
        proofs decide.
        """
        if gap is not None:
            return max(gap, 0.0)
        if self.penalty.has_l1:
            return (yield ask.DualValue(point)) / 100
        if self.previous is not None:
            s, y = point.w - self.previous.w, point.gradient - self.previous.gradient
            if s @ y > 0:
                self.least_curvature = min(self.least_curvature, float(s @ y / (s @ s)))
        squared = float(point.gradient @ point.gradient)
        curvature = max(self.penalty.modulus, self.least_curvature if self.n_iter > 1 else 0.0)
        return squared / (2 * curvature) if curvature > 0 else math.inf if squared else 0.0


def _with_loss(point):
    """Return the point, or None where exact sums leave no loss, and so no share of it."""
    return point if point.value > 0 else None
