"""Fits where single columns without a penalty separate rows, such as a level that only one class has.

If the signs of a column agree with the classes, F decreases forever along its weight, and the loss of the
rows with entries in it tends to zero. A solver needs a step for every factor e by which that loss falls, and
hundreds of products if there are many such levels. One look at the signs of X finds these columns. With
several classes, such a column mostly excludes only some of them, for the rows with entries in it. The other
rows and classes are then fitted alone, in the time of an ordinary fit, and the bound on their F holds for
all: inf F is the same.
"""

import math

import numpy as np

from . import clock, driver, leads, rays
from .apart import beyond, free_columns, of_columns, one_left
from .history import ESTIMATED, SEPARABLE, norm_of
from .session import INTERRUPTED
from .solvers import questions as ask
from .solvers.newton import newton_cg, newton_cholesky

_EVALUATIONS, _LENGTHENED = 3, 10.0  # the last while rows with small entries have a loss
_AT_LEAST = 2  # reads: one of the solver, and one that tells the loss of all rows at the end
_FOR_RAYS = 20  # reads that are left if combinations are looked for
_FROM_ITER, _MOVING, _LOST = 3, 0.9, 0.1
"""The first iteration at which combinations are looked for, by how much the step then raises a margin, which
gains about 1 if it grows without end, and by which share of that it may lower others."""

_SMALL = 0.1  # a share of `tol` that does not count
_ENDS = {ask.CONVERGED, ESTIMATED, ask.NOISE_FLOOR, SEPARABLE}


class _Separated(Exception):
    """Ends a run where a combination of columns separates rows."""

    def __init__(self, trial, point, along):
        super().__init__()
        self.w, self.along, self.n_iter, self.history = point.w, along, trial.n_iter, trial.history
        self.found, self.reads = trial.solution(SEPARABLE), trial.session.n_passes


def run(solver, objective, w0, *, max_passes=None, max_seconds=None, max_iter=1000, callback=None, **limits):
    """Run `driver.run` on the rows that no column separates by itself or with others; see `possible`.

    Parameters
    ----------
    solver, objective, w0, max_passes, max_seconds, max_iter, callback, limits
        As in `driver.run`.

    Returns
    -------
    Solution
        Its status is "separable" if there are such columns, unless a budget was exhausted.
    """
    began, box = clock.now(), getattr(solver, "box", None)
    most = math.inf if max_passes is None else max_passes
    ends = math.inf if max_seconds is None else began + max_seconds
    apart, history, n_iter = of_columns(objective, box, most - _AT_LEAST, ends), [], 0
    begin = w0 if apart.rest is None else _begun(w0, apart.held, objective.loss.n_outputs)
    solver = solver if apart.rest is None else _without_means(solver, apart.rest)
    over = apart.rest is None and apart.far.any()  # if all rows are separated, a step or two show it
    while True:
        left = {
            "max_passes": max_passes and max(max_passes - apart.reads - bool(apart.far.any()), 1.0),
            "max_seconds": max_seconds and max(max_seconds - (clock.now() - began), 1e-3),
            "max_iter": max(max_iter - n_iter, 1),
            "callback": _told(callback, apart, n_iter, over),
            "watch": None if over or box is not None else _watching(objective, apart),
        }
        try:
            found = driver.run(solver, apart.rest or objective, begin, **left, **limits)
            break
        except _Separated as seen:
            history += _later(seen.history, apart.reads, n_iter)
            apart, begin = beyond(objective, apart, seen.along, apart.reads + seen.reads), seen.w
            if apart.rest is None:  # inf F is 0
                known = {"w": seen.w, "value": 0.0, "n_passes": 0.0, "suboptimality": 1.0, "bound": 1.0}
                last = history.pop()._replace(n_passes=0.0, n_iter=seen.n_iter)
                found = seen.found._replace(**known, history=[last], lower=0.0)
                break
            n_iter += seen.n_iter
    if apart.far.any() and not over:
        most = 1.0 if clock.is_over(ends) else most - apart.reads - found.n_passes
        found = _of_all(found, objective, apart.far, limits["tol"], most)
    found = found._replace(
        n_passes=found.n_passes + apart.reads,
        n_iter=found.n_iter + n_iter,
        history=history + _later(found.history, apart.reads, n_iter),
    )
    if not apart.named.any() or found.status not in _ENDS:
        return found
    also = apart.named if found.separating is None else apart.named | found.separating
    return found._replace(status=SEPARABLE, separating=also)


def _later(history, reads, n_iter):
    return [one._replace(n_passes=one.n_passes + reads, n_iter=one.n_iter + n_iter) for one in history]


def _told(callback, apart, n_iter, over):
    """The callback of a run on the rest, which is told about all rows."""
    far = 0.0 if over else apart.far
    return callback and (lambda record, w: callback(_later([record], 0.0, n_iter)[0], w + far))


def _watching(objective, apart):
    """A function that ends a run where a direction separates rows, which is looked for at a few points."""
    free = np.repeat(free_columns(objective), objective.loss.n_outputs)
    free = np.append(free, np.ones(objective.size - len(free), dtype=bool)) & ~apart.held
    if not 0 < free.sum() <= rays.SIZE_UP_TO:
        return None

    after = [_FROM_ITER]

    def watch(trial, point):
        steps = trial.certificate.separation
        recedes = steps.most > _MOVING and steps.lost < _LOST and point.margins is not None
        if not recedes or trial.n_iter < after[-1] or _reads_left(trial.session) < _FOR_RAYS:
            return
        after.append(2 * trial.n_iter)
        gone, session = leads.set_apart(objective, apart.apart), trial.session
        along, reads = rays.find(rays.in_float64(objective), point, free, gone, session.ends)
        session.n_passes += reads
        if along is not None:
            raise _Separated(trial, point, along)

    return watch


def _reads_left(session):
    """The reads that the budgets allow, as far as the time of those so far tells."""
    of_a_read = session.seconds / max(session.n_passes, 1.0)
    return min(session.reads_left, (session.max_seconds - session.seconds) / max(of_a_read, 1e-9))


def _without_means(solver, rest):
    """Newton's method by factors in place of that whose preconditioner is the mean over the classes, which
    takes many products where classes differ."""
    by_mean = isinstance(solver, newton_cg) and solver.by_class_mean
    return newton_cholesky() if by_mean and rest.size <= solver.factored_up_to else solver


def _begun(w0, held, k):
    """A start for the rest, where weights `held` are 0, by a shift of the classes that a column leaves."""
    W, held = w0.reshape(-1, k), held.reshape(-1, k)
    kept = np.where(one_left(held), W, 0.0).sum(axis=1, keepdims=True)
    return np.where(held, 0.0, W - kept).ravel()


def possible(solver, objective):
    """Whether leads of rows can be kept on the host, and some weights of columns have no penalty."""
    rows, partial = objective.rows, getattr(solver, "partial", False)
    here = rows.keeps_vectors and not rows.backend.on_device
    return here and not partial and bool(free_columns(objective).any())


def _of_all(found, objective, far, tol, most):
    """Return the Solution for all rows, from that for the rest, in a read or two, or at most so many: the gap
    of F is that of the rest plus the loss that the separated rows still have, in float64."""
    exact, reads, best = rays.in_float64(objective), 0, None
    while reads < min(_EVALUATIONS, max(most, 1)):
        try:
            aim = exact.at.centred(objective.at.original(found.w + far))
            there, taken = rays.rounded(exact, aim, most - reads - 1)
            w, reads = objective.at.centred(exact.at.original(there)), reads + taken + 1
            point = exact.answer(ask.Evaluate(there))
        except KeyboardInterrupt:
            w = objective.at.rounded(found.w + far)
            return found._replace(w=w, suboptimality=1.0, bound=1.0, status=INTERRUPTED)
        if best is not None and point.value >= best[1].value:
            break
        best = w, point
        if point.value - found.value <= _SMALL * tol * point.value or not found.value:
            break
        far = _LENGTHENED * far
    w, (point, off, more) = best[0], rays.closely(exact, best[1], tol, most - reads)
    left, above = (max(point.value - known, 0.0) + off for known in (found.value, found.lower))
    if exact is not objective:  # the rounding of the gap's own F may hide what rows have lost since
        left += float(np.finfo(objective.at.dtype).eps) * found.value

    def beside(known):
        return min((known * found.value + left) / point.value, above / point.value, 1.0) if above > 0 else 0.0

    return found._replace(
        w=w,
        value=point.value,
        gradient_norm=norm_of(point.gradient),
        suboptimality=beside(found.suboptimality),
        bound=beside(found.bound),
        history=[*found.history[:-1], found.history[-1]._replace(value=point.value)],
        n_passes=found.n_passes + reads + more,
    )
