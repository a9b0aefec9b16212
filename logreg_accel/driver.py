"""Runs solvers: a `Trial` is one model being fitted, whose questions a `Session` answers."""

import functools
import math
import time

import numpy as np

from . import rounding
from .box import BoxCertificate
from .certificate import MAX_ITER, Certificate
from .clock import MAX_SECONDS, Stop
from .history import ESTIMATED, SEPARABLE, UNKNOWN, Record, Solution, norm_of
from .session import INTERRUPTED, MAX_PASSES, Session
from .solvers import questions as ask
from .solvers.nearly_singular import LOOKED_AT_UP_TO
from .solvers.newton import newton_cholesky

CALLBACK = "callback"

SATISFIED = {ask.CONVERGED, ESTIMATED, ask.NOISE_FLOOR, ask.PARTIAL, CALLBACK, INTERRUPTED}
"""Statuses without a warning; a noise floor above `HIGH_FLOOR` causes one."""

_PROVABLE = {ask.NOISE_FLOOR, ask.STALLED, MAX_ITER, MAX_PASSES, MAX_SECONDS}  # after them, a proof is tried

HIGH_FLOOR, _LOW_FLOOR = 1e-6, 1e-8
"""Relative suboptimality at which rounding should not yet have stopped a fit; Newton's method in float64."""

_PATIENCE = 2  # accepted points in a row without a new least value or gradient norm
_IDLE = 30  # accepted points in a row whose estimate is below `tol` and does not halve, without a proof
_NOTHING_LEFT = float(np.finfo(np.float64).eps)  # relative suboptimality that sums in float64 cannot resolve


def run(
    solver,
    objective,
    w0,
    *,
    tol=1e-8,
    max_iter=1000,
    max_passes=None,
    max_seconds=None,
    callback=None,
    seed=0,
    watch=None,
):
    """Run a solver on an objective until a point is good enough or a budget is exhausted.

    Parameters
    ----------
    solver : callable Start -> generator of questions
    objective : Objective
    w0 : ndarray (objective.size,)
    tol : float
        Proven relative suboptimality (F − F*)/F to stop at.
    max_iter : int
        Largest number of accepted steps.
    max_passes, max_seconds : float or None
        A read of X that would exceed them is not begun; a read in progress is finished.
    callback : callable (Record, w) -> bool or None
        Called at every accepted point; True stops.
    seed : int
    watch : function (Trial, Point) or None
        Called at every accepted point that is not good enough; an exception ends the run.

    Returns
    -------
    Solution
        The best point, whatever the status; Ctrl-C is caught and gives the status "interrupted".

    Notes
    -----
    Where rounding stops a solver far from the optimum, Newton's method with sums in float64 continues.
    """
    if isinstance(solver, str):
        raise TypeError(
            f"`solver` is {solver!r}; expected settings: logreg_accel.solvers.{solver.replace('-', '_')}()."
        )
    session = Session(max_passes, max_seconds)
    trial = Trial(session, solver, objective, objective.start(w0, seed), tol, max_iter, callback)
    trial.watch = watch
    found = session.run(trial)

    def goes_on(floor=HIGH_FLOOR):
        high = found.status == ask.NOISE_FLOOR and found.suboptimality > max(floor, tol)
        return high and not getattr(solver, "partial", False) and session.goes_on

    taken_on = functools.partial(_taken_on, session, objective, tol, max_iter, callback, seed)
    smooth = not np.any(objective.penalty.l1) and getattr(solver, "box", None) is None
    few = len(found.w) <= LOOKED_AT_UP_TO and not isinstance(solver, newton_cholesky)
    closely = newton_cholesky() if smooth and few else solver
    more = goes_on() and rounding.once(objective, closely, found, taken_on, goes_on)
    if more or closely is solver or not goes_on(_LOW_FLOOR):
        return more or found
    return taken_on(closely, objective, found) if goes_on() or objective.at.dtype == np.float64 else found


def _taken_on(session, objective, tol, max_iter, callback, seed, solver, exact, found):
    """The Solution of a run that rounding stopped, continued in float64 or by another solver."""

    def as_asked(w):
        return objective.at.centred(exact.at.original(w))

    def later(record):
        return record._replace(n_iter=record.n_iter + found.n_iter)

    def tell(record, w):
        return callback(later(record), as_asked(w))

    start = exact.start(exact.at.centred(objective.at.original(found.w)), seed)._replace(lower=found.lower)
    left = max(max_iter - found.n_iter, 1)
    try:
        more = session.run(Trial(session, solver, exact, start, tol, left, callback and tell))
    except KeyboardInterrupt:  # before the first point
        return found._replace(status=INTERRUPTED)
    if exact.at.blur(more.w, 0 * more.w, more.value) > max(found.value - more.value, tol * more.value):
        return found._replace(n_passes=more.n_passes)  # weights without a penalty have only grown
    return more._replace(
        w=as_asked(more.w),
        suboptimality=min(found.suboptimality, more.suboptimality),  # it is not worse than its start
        bound=min(found.bound, more.bound),
        n_iter=found.n_iter + more.n_iter,
        history=found.history + [later(record) for record in more.history],
    )


class Trial:
    """One model being fitted: a solver, its certificate, the best point so far and the history.

    Parameters
    ----------
    session : Session
    solver : callable Start -> generator of questions
    objective : Objective
    start : Start
    tol, max_iter, callback
        As in `run`.
    """

    def __init__(self, session, solver, objective, start, tol, max_iter, callback):
        self.session, self.solver, self.objective = session, solver, objective
        self.start = start._replace(tol=tol)
        self.tol, self.max_iter, self.callback = tol, max_iter, callback
        self.patience, self.box = getattr(solver, "patience", _PATIENCE), getattr(solver, "box", None)
        self.may_recede = not getattr(solver, "partial", False)
        known = (objective.penalty, self.start, tol, lambda: session.reads_left)
        self.certificate = Certificate(*known) if self.box is None else BoxCertificate(*known, self.box)
        self.n_iter, self.history = -1, []  # the start is not a step
        self.best = self.accepted = self.watch = None
        self.verdict, self.separating = UNKNOWN, None  # on the best point
        self.promise, self.promised_on = start, None  # the best point on the rows of the last evaluation
        self.least_value = self.least_norm = self.least_score = self.least_estimate = math.inf
        self.stale, self.idle, self.satisfied, self.batched = 0, 0, False, False

    def questions(self):
        """A generator of all questions of this trial, which returns the Solution."""
        try:
            status = yield from self._solve()
        except Stop as stop:
            status = ask.CONVERGED if self.satisfied else str(stop)
            if self.best is None:  # the time was used up on a sample of the rows
                yield from self._evaluate(ask.Evaluate(self.promise.w))
        except KeyboardInterrupt:
            if self.best is None:
                raise
            status = INTERRUPTED
        try:
            if status == ask.NOISE_FLOOR:
                self.verdict = yield from self.certificate.close(self.best, self.verdict)
            if self.may_recede and status in (ask.NOISE_FLOOR, ask.CONVERGED):
                look = self.certificate.separation.look(self.best, self.verdict.bound <= self.tol)
                status = SEPARABLE if (yield from look) else status
            if status == SEPARABLE:
                self.separating, best = yield from self.certificate.separated(self.best)
                if best is not self.best:
                    self._record(best, self.history[-1].gb_per_s)
                self.best = best
            if status != ask.NOISE_FLOOR:
                self.verdict = yield from self.certificate.close(self.best, self.verdict)
        except Stop:  # the results so far count
            self.verdict = self.certificate.found(self.best, self.verdict)
        except KeyboardInterrupt:
            status = INTERRUPTED
        return self.solution(self._ending(status))

    def _ending(self, status):
        """The status, after the final verdict on the best point."""
        if status in _PROVABLE and self.verdict.bound <= self.tol:
            return ask.CONVERGED
        if status == ask.CONVERGED and self.verdict.bound > self.tol:
            return ESTIMATED if self.verdict.suboptimality <= self.tol else ask.NOISE_FLOOR
        return status

    def solution(self, status):
        """The best point, and how the trial ended."""
        best, lower = self.best, self.certificate.lower
        how = self.verdict.suboptimality, self.verdict.bound, max(self.n_iter, 0), self.session.n_passes
        known = *how, status, self.history, self.separating, lower
        return Solution(best.w, best.value, norm_of(best.gradient), *known)

    def _solve(self):
        """The questions of the solver, and of the certificate about accepted points; returns the status."""
        generator, answer = self.solver(self.start), None
        try:
            while True:
                try:
                    question = generator.send(answer)
                except StopIteration as end:
                    return end.value
                on = getattr(question, "on", None)
                if isinstance(question, ask.Accept):
                    answer = yield from self._judged(question)
                elif isinstance(question, ask.Evaluate) and on is None:
                    answer = yield from self._evaluate(question)
                else:
                    self.batched = self.batched or bool(on and on.rows.share)
                    draws = isinstance(question, ask.Draw)
                    answer = (yield from self.certificate.drawn(question)) if draws else (yield question)
                    if isinstance(question, ask.Evaluate):
                        self._promise(on, answer)
        finally:
            generator.close()

    def _promise(self, on, point):
        if on is not self.promised_on or point.value < self.promise.value:
            self.promise, self.promised_on = point, on

    def _judged(self, told):
        """Whether the accepted point is good enough; a proven best point is only replaced by another."""
        best = not self.satisfied and self._keep_best(told)  # before a budget can stop the certificate
        verdict = yield from self.certificate.judge(told)
        if self.satisfied and verdict.bound <= self.tol:
            best = self._keep_best(told)
        look = self.may_recede and self.certificate.separation.seen_in(told.point, self.objective)
        return self._accept(told.point, verdict, best, look and (yield from look))

    def _evaluate(self, question):
        """A Point of all rows, kept in the history."""
        if self.satisfied and self.n_iter >= self.max_iter:
            raise Stop(MAX_ITER)
        began, reads = time.perf_counter(), self.session.n_passes
        point = yield from self._point(self.certificate.expecting(question))
        first = self.best is None and not (self.batched or self.box)
        if first and question.w.any() and not point.value <= self.objective.loss.at_zero:
            # A start that is worse than no model, such as an old one on rescaled data, may have no curvature.
            zero = ask.Evaluate(np.zeros_like(question.w), diagonal=question.diagonal)
            point = yield from self._point(zero)
        read = (self.session.n_passes - reads or 1.0) * self.objective.rows.nbytes  # a sample is in memory
        self.best = point if self.best is None else self.best
        self._record(point, read / (time.perf_counter() - began) / 1e9)
        if question.diagonal and point.diagonal is None:
            raise Stop(MAX_PASSES)
        return point

    def _record(self, point, rate):
        step = norm_of(point.w - self.accepted.w) if self.accepted else 0.0
        known = max(self.n_iter, 0), self.session.n_passes, point.value, norm_of(point.gradient), math.nan
        self.history.append(Record(*known, step, self.session.seconds, rate))

    def _point(self, question):
        if question.diagonal and self.objective.reads(question) > self.session.reads_left:
            question = ask.Evaluate(question.w)  # the diagonal takes a read that the budget does not have
        return (yield question)

    def _accept(self, point, verdict, best, separable):
        norm, suboptimality = norm_of(point.gradient), verdict.suboptimality
        self.n_iter += 1
        if best:
            self.verdict = verdict
        self.stale = 0 if point.value < self.least_value or norm < self.least_norm else self.stale + 1
        self.least_value, self.least_norm = min(self.least_value, point.value), min(self.least_norm, norm)
        self.accepted = point
        self.history[-1] = record = self.history[-1]._replace(n_iter=self.n_iter, suboptimality=suboptimality)
        if self.callback is not None and self.callback(record, point.w.copy()):
            raise Stop(CALLBACK)
        if separable:
            raise Stop(SEPARABLE)
        self.satisfied = self.satisfied or verdict.bound <= self.tol or verdict.trusted
        if self.satisfied:
            return True
        if self.watch is not None:
            self.watch(self, point)
        self.idle = self.idle + 1 if self.least_estimate / 2 < suboptimality <= self.tol else 0
        self.least_estimate = min(self.least_estimate, suboptimality)
        if suboptimality <= _NOTHING_LEFT or self.stale >= self.patience or self.idle >= _IDLE:
            raise Stop(ask.NOISE_FLOOR)
        if self.n_iter >= self.max_iter:
            raise Stop(MAX_ITER)
        return False

    def _keep_best(self, told):
        """Keep an accepted point if it is the best so far, before its verdict; return whether it is."""
        if told.score is None:
            better = told.point.value <= self.best.value + told.point.rounding
        else:
            better = told.score < self.least_score
        if better:
            self.best, self.verdict = told.point, UNKNOWN
            self.least_score = math.inf if told.score is None else told.score
        return better
