"""Runs a solver: answers its questions, counts reads of X, keeps the history and the budgets, and decides when to stop."""

import math
import time
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from .solvers import questions as ask

MAX_ITER, MAX_PASSES, MAX_SECONDS = "max_iter", "max_passes", "max_seconds"
CALLBACK, INTERRUPTED, SEPARABLE = "callback", "interrupted", "separable"

SATISFIED = {ask.CONVERGED, ask.NOISE_FLOOR, ask.PARTIAL, CALLBACK, INTERRUPTED}
"""Statuses that call for no ConvergenceWarning (the noise floor does, where it lies above `HIGH_FLOOR`)."""

HIGH_FLOOR = 1e-6
"""Relative suboptimality at which rounding should not yet have stopped a fit."""

_CERTIFY_UP_TO = 2000
"""Parameters up to which the distance to the optimum is measured with a Hessian before a fit may end on it."""

_CERTIFY_ROWS = 12
"""Rows of that Hessian for a parameter. All rows of 150,000 x 1200 took as long as 60 reads, these as long as 6."""

_LIFT = 1e-10
"""Of the diagonal of a model under an L1 penalty, relative."""

_PATIENCE = 2
"""Accepted points in a row without a new least value or gradient norm: after that, steps only move rounding about."""

_NOTHING_LEFT = float(np.finfo(np.float64).eps)
"""Relative suboptimality that no sum in float64 shows: whatever `tol` asks for, there is nothing left to win."""


class Record(NamedTuple):
    """One evaluation, as kept in `history_`.

    n_iter : accepted steps before it; n_passes : reads of X up to its end; value : F; gradient_norm : ‖∇F‖₂;
    suboptimality : estimate of (F − F*)/F, nan for points that were not accepted; step : ‖w − last accepted w‖₂;
    seconds : since the start of the fit; gb_per_s : rate at which X was read.
    """

    n_iter: int
    n_passes: float
    value: float
    gradient_norm: float
    suboptimality: float
    step: float
    seconds: float
    gb_per_s: float


HEADINGS = " iter  passes           loss    |grad|  subopt.      step  seconds   GB/s"


def format_record(record):
    """A line for a step, under `HEADINGS`."""
    return (f"{record.n_iter:5d} {record.n_passes:7.1f} {record.value:14.8g} {record.gradient_norm:9.2e} "
            f"{record.suboptimality:8.1e} {record.step:9.2e} {record.seconds:8.2f} {record.gb_per_s:6.1f}")


class Solution(NamedTuple):
    """What a run found. `bound` is rigorous, or inf where there is no bound; `suboptimality` is an estimate."""

    w: np.ndarray
    value: float
    gradient_norm: float
    suboptimality: float
    bound: float
    n_iter: int
    n_passes: float
    status: str
    history: Any


def run(solver, objective, w0, *, tol=1e-8, max_iter=1000, max_passes=None, max_seconds=None, callback=None, seed=0):
    """Run a solver on an objective until it is good enough or a budget is spent.

    Parameters
    ----------
    solver : callable (w0, seed) -> generator of questions
    objective : Objective
    w0 : ndarray (objective.size,)
    tol : float
        Estimated relative suboptimality (F − F*)/F to stop at; in effect max(tol, the rounding of the arithmetic).
    max_iter : int
        Accepted steps at most.
    max_passes : float or None
        Reads of X at most: one that would go beyond is not begun.
    max_seconds : float or None
        Checked after each answer; a read under way is finished.
    callback : callable (Record, w) -> bool or None
        Called at every accepted point; True stops.
    seed : int

    Returns
    -------
    Solution
        Of the best point, whatever the status; Ctrl-C is caught and told as status "interrupted".
    """
    patience = getattr(solver, "patience", _PATIENCE)
    partial = getattr(solver, "partial", False)
    return _Run(objective, tol, max_iter, max_passes, max_seconds, callback, patience, partial).follow(solver(w0, seed))


def _norm(vector):
    """‖v‖₂ by BLAS, which scales: no overflow on the way."""
    return float(scipy.linalg.norm(vector, check_finite=False))


class _Stop(Exception):
    """Ends a run with a status."""


class _Run:
    def __init__(self, objective, tol, max_iter, max_passes, max_seconds, callback, patience, partial):
        self.objective = objective
        self.tol, self.max_iter, self.callback = tol, max_iter, callback
        self.max_passes = math.inf if max_passes is None else max_passes
        self.max_seconds = math.inf if max_seconds is None else max_seconds
        self.patience = patience
        self.partial = partial  # of the rows: what they alone would prove is nothing
        self.started = time.perf_counter()
        self.n_iter, self.n_passes = -1, 0.0  # the start is not a step
        self.history = []
        self.best = self.accepted = None
        self.best_suboptimality = math.nan
        self.least_value = self.least_norm = self.least_curvature = math.inf
        self.least_score = math.inf
        self.stale = 0
        self.satisfied = self.batched = False
        self.certify_below = math.inf
        self.answers = {
            ask.Gradient: self._gradient,
            ask.HessianVector: lambda q: self._ask(q.on, "hessian_vector", q.w, q.v, q.margins),
            ask.Diagonal: lambda q: self._ask(q.on, "diagonal", q.w),
            ask.Metric: lambda q: self._ask(q.on, "factor", q.point.w),
            ask.Hessian: lambda q: self._ask(q.on, "hessian", q.point.w),
            ask.L1: lambda q: objective.l1(),
            ask.LassoStep: self._lasso,
            ask.Preconditioner: lambda q: self._ask(q.on, "preconditioner", q.point.w),
            ask.LineMinimum: lambda q: (q.on or objective).line_minimum(q.start, q.end),
            ask.Sample: self._sample,
            ask.RowNorms: self._norms,
            ask.Batches: lambda q: objective.batches(q.size),
            ask.Batch: lambda q: objective.batch(q.numbers, q.of),
            ask.Ridge: lambda q: objective.ridge(),
            ask.RowSpace: lambda q: self._read(objective.in_row_space),
            ask.Lift: lambda q: self._read(q.on.lift, q.u),
            ask.Progress: self._progress,
        }

    def follow(self, generator):
        answer = None
        try:
            while True:
                question = generator.send(answer)
                answer = self.answers[type(question)](question)
                if self.seconds > self.max_seconds and self.best is not None:
                    raise _Stop(MAX_SECONDS)
        except StopIteration as end:
            status = end.value
        except _Stop as stop:
            status = ask.CONVERGED if self.satisfied else str(stop)  # a last step beyond need may hit a budget
        except KeyboardInterrupt:
            if self.best is None:
                raise
            status = INTERRUPTED
        finally:
            generator.close()
        if status == ask.NOISE_FLOOR and not self.best_suboptimality <= self.tol:
            self.best_suboptimality = min(self.best_suboptimality, self._certified(self.best, math.inf))
        elif math.isnan(self.best_suboptimality) and status in (ask.STALLED, ask.DIVERGED, MAX_ITER):
            self.best_suboptimality = self._certified(self.best, math.nan)
        return self._solution(status)

    @property
    def seconds(self):
        return time.perf_counter() - self.started

    def _read(self, ask_objective, *arguments):
        """Any answer that costs one read of X."""
        if self.n_passes + 1 > self.max_passes and self.best is not None:
            raise _Stop(MAX_PASSES)
        answer = ask_objective(*arguments)
        self.n_passes += 1
        return answer

    def _ask(self, on, name, *arguments):
        """A sample in memory, a batch for its share, or the whole for one read."""
        if not on:
            return self._read(getattr(self.objective, name), *arguments)
        if on.share:
            self._count(on.share)
            self.batched = True
        return getattr(on, name)(*arguments)

    def _count(self, share):
        if self.n_passes + share > self.max_passes and self.best is not None:
            raise _Stop(MAX_PASSES)
        self.n_passes += share

    def _sample(self, question):
        """None where the sample would be most of the rows: then all of them serve, and are counted when they are read."""
        share = min((2 if question.norms is None else 1) * question.size / self.objective.dataset.n_rows, 1)
        if self.n_passes + share > self.max_passes and self.best is not None:
            raise _Stop(MAX_PASSES)
        sample, share = self.objective.sample(question.size, question.seed, question.at, question.norms)
        if sample is self.objective:
            return None
        self.n_passes += share
        return sample

    def _norms(self, question):
        if question.size >= self.objective.dataset.n_rows:
            return None
        return self._read(self.objective.row_squares, self._read(self.objective.mean_squares))

    def _lasso(self, question):
        """The diagonal is lifted by the rounding of H, which may make it indefinite where columns are collinear."""
        H = question.H.copy()
        H[np.diag_indices_from(H)] *= 1 + max(_LIFT, 200 * float(np.finfo(self.objective.dtype).eps))
        return self.objective.backend.lasso(H, question.gradient, question.w, question.l1)

    def _gradient(self, question):
        if question.on is not None:
            return self._ask(question.on, "evaluate", question.w, not question.on.share, question.diagonal)
        if self.satisfied and self.n_iter >= self.max_iter:
            raise _Stop(MAX_ITER)
        began, reads = time.perf_counter(), self.n_passes
        point = self._evaluate(question.w, question.diagonal)
        first = self.best is None and not self.batched
        if first and question.w.any() and not point.value <= getattr(self.objective, "value_at_zero", math.inf):
            # a start that is worse than no model at all, as an old one on rescaled data: its curvature may be nil
            point = self._evaluate(np.zeros_like(question.w), question.diagonal)
        took = (time.perf_counter() - began) / (self.n_passes - reads)
        if self.best is None:
            self.best = point
        step = _norm(point.w - self.accepted.w) if self.accepted else 0.0
        rate = getattr(self.objective.dataset, "nbytes", 0) / took / 1e9
        norm = _norm(point.gradient)
        self.history.append(
            Record(max(self.n_iter, 0), self.n_passes, point.value, norm, math.nan, step, self.seconds, rate)
        )
        if question.diagonal and point.diagonal is None:
            raise _Stop(MAX_PASSES)
        return point

    def _evaluate(self, w, diagonal):
        """A Point of all rows; without the diagonal where that takes a read that is not left."""
        more = self.objective.backend.reads_for_diagonal if diagonal else 0
        diagonal = diagonal and self.n_passes + 1 + more <= self.max_passes
        point = self._read(self.objective.evaluate, w, True, diagonal)
        self.n_passes += more if diagonal else 0
        return point

    def _progress(self, question):
        """An accepted point: is it good enough, the best, still getting better, within the budgets?"""
        point = question.point
        self.n_iter += 1
        norm = _norm(point.gradient)
        suboptimality = self._suboptimality(point, question.gap)
        unsure = question.gap is None or question.rough
        if suboptimality <= self.tol:
            if question.rough:  # no bound: where it cannot be measured, what the gradient alone says holds
                suboptimality = self._certified(point, self._suboptimality(point, None))
            elif unsure and not self.objective.penalty.l1 > 0:  # there it is the duality gap
                suboptimality = self._certified(point, suboptimality)
            elif not self._settled(point):
                suboptimality = math.inf
        elif question.rough:
            suboptimality = math.nan
        better = point.value <= self.best.value + point.rounding if question.score is None else question.score < self.least_score
        if better:
            self.best, self.best_suboptimality = point, suboptimality
            self.least_score = math.inf if question.score is None else question.score
        if point.value < self.least_value or norm < self.least_norm:
            self.stale = 0
        else:
            self.stale += 1
        self.least_value, self.least_norm = min(self.least_value, point.value), min(self.least_norm, norm)
        self.accepted = point
        self.history[-1] = record = self.history[-1]._replace(n_iter=self.n_iter, suboptimality=suboptimality)

        if self.callback is not None and self.callback(record, point.w.copy()):
            raise _Stop(CALLBACK)
        if not self.partial and self.objective.separates(point.value):
            raise _Stop(SEPARABLE)
        if suboptimality <= self.tol:
            self.satisfied = True
            return True
        if suboptimality <= _NOTHING_LEFT or self.stale >= self.patience:
            raise _Stop(ask.NOISE_FLOOR)
        if self.n_iter >= self.max_iter:
            raise _Stop(MAX_ITER)
        return False

    def _settled(self, point):
        """Whether the last step changed no margin by more than 1: only then is a Newton decrement to be trusted.

        Generalised self-concordance (Bach 2010, Electronic Journal of Statistics 4). On nearly separable data the bare
        decrement said 2e-7 where the truth was 2e-2.
        """
        if self.accepted is None or self.accepted.margins is None or point.margins is None:
            return True
        return all(float(abs(new - old).max()) <= 1 for new, old in zip(point.margins, self.accepted.margins, strict=True))

    def _suboptimality(self, point, gap):
        """(F − F*)/F from the solver's gap, or from the gradient: ‖g‖²/(2μ).

        μ is λ with a penalty (strong convexity, if the intercept's own curvature is not below it); without one it is the
        least curvature met along a step so far. Both can be wrong: `_certified` has the last word.
        """
        if not math.isfinite(point.value):
            return math.inf
        if gap is None and self.objective.penalty.l1 > 0:
            return self.objective.suboptimality_bound(point)
        if gap is None:
            gap = self.objective.penalty.suboptimality_bound(point.gradient)
            if math.isinf(gap) and self.accepted is not None:
                s, y = point.w - self.accepted.w, point.gradient - self.accepted.gradient
                if s @ y > 0:
                    self.least_curvature = min(self.least_curvature, float(s @ y / (s @ s)))
                gap = float(point.gradient @ point.gradient) / (2 * self.least_curvature) if self.n_iter > 1 else math.inf
        return max(gap, 0.0) / abs(point.value) if point.value else 0.0

    def _certified(self, point, claimed):
        """½·gᵀH⁻¹g/F with H of drawn rows, or of all where these are few: the word of those who hold no metric is not enough.

        After a refusal the gradient must shrink by what was missing before it is asked again; `claimed` stands where the
        Hessian is too large.
        """
        if self.objective.penalty.l1 > 0:
            return self.objective.suboptimality_bound(point)
        norm = _norm(point.gradient)
        size = point.w.size
        share = min(2 * _CERTIFY_ROWS * size / self.objective.dataset.n_rows, 1)
        if size > _CERTIFY_UP_TO or self.n_passes + 1 + share > self.max_passes:
            return claimed
        if claimed <= self.tol and norm > self.certify_below:
            return math.inf
        sample = None if point.margins is None else self._sample(ask.Sample(_CERTIFY_ROWS * size, self.n_iter, at=point))
        if sample and not (sample.diagonal(point.w) > sample.ridge()).all():
            sample = None  # columns that none of the rows drawn knows
        solve = sample.factor(point.w) if sample else self._read(self.objective.factor, point.w)
        measured = max(0.5 * float(point.gradient @ solve(point.gradient)), 0.0) / abs(point.value)
        if measured > self.tol > 0:
            self.certify_below = norm * math.sqrt(self.tol / measured)
        return measured

    def _solution(self, status):
        best = self.best
        norm = _norm(best.gradient)
        return Solution(
            best.w, best.value, norm, self.best_suboptimality, self.objective.suboptimality_bound(best),
            max(self.n_iter, 0), self.n_passes, status, self.history,
        )
