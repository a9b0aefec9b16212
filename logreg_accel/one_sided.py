"""Fits where single columns without a penalty separate rows, such as a level that only one class has.

If the signs of a column agree with the classes, F decreases forever along its weight, and the loss of the
rows with entries in it tends to zero. A solver needs a step for every factor e by which that loss falls, and
hundreds of products if there are many such levels. One look at the signs of X finds these columns. With
several classes, such a column mostly excludes only some of them, for the rows with entries in it. The other
rows and classes are then fitted alone, in the time of an ordinary fit, and the bound on their F holds for
all: inf F is the same.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from . import clock, driver, rays
from .backends.sides import ColumnSides
from .history import ESTIMATED, SEPARABLE, norm_of
from .objective import Objective
from .penalty import Penalty
from .rows import MemoryRows, of_classes
from .separation import ended
from .session import INTERRUPTED
from .solvers import questions as ask
from .solvers.newton import newton_cg, newton_cholesky

_ROUNDS, _EVALUATIONS, _LENGTHENED = 20, 3, 10.0  # the last while rows with small entries have a loss
_AT_LEAST = 2  # reads: one of the solver, and one that tells the loss of all rows at the end
_FOR_RAYS = 20  # reads that are left if combinations are looked for
_LEAST = 1e-20  # mean size of a column's numbers below which weights would exceed the range of float32
_FROM_ITER, _MOVING, _LOST = 3, 0.9, 0.1
"""The first iteration at which combinations are looked for, by how much the step then raises a margin, which
gains about 1 if it grows without end, and by which share of that it may lower others."""

_SMALL = 0.1  # a share of `tol` that does not count
_ENDS = {ask.CONVERGED, ESTIMATED, ask.NOISE_FLOOR, SEPARABLE}


class Apart(NamedTuple):
    """An objective without what single columns separate.

    Attributes
    ----------
    rest : Objective or None
        The objective of the rows that still have a loss, among the classes that are still possible for each;
        None if no column separates any, or if all rows are separated from all other classes.
    far : ndarray (size,)
        Large weights, which separate rows from classes.
    ahead : ndarray (n_rows, outputs)
        The leads over other classes that they give.
    held : ndarray (size,) of bool
        Weights that are zero in `rest`: those of `far`, of empty columns, and one of the classes that a
        column leaves, which are only compared with one another.
    apart : ndarray (n_rows, outputs) of bool
        The classes that are excluded for each row.
    named : ndarray (size,) of bool
        The weights that grow without end.
    reads : float
        Reads of X that this took.
    """

    rest: Any
    far: Any
    ahead: Any
    held: Any
    apart: Any
    named: Any
    reads: float


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
    apart, history, n_iter = _apart(objective, box, most - _AT_LEAST), [], 0
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
            apart, begin = _beyond(objective, apart, seen), seen.w
            if apart.rest is None:  # inf F is 0
                known = {"w": seen.w, "value": 0.0, "n_passes": 0.0, "suboptimality": 1.0, "bound": 1.0}
                last = history.pop()._replace(n_passes=0.0, n_iter=seen.n_iter)
                found = seen.found._replace(**known, history=[last], lower=0.0)
                break
            n_iter += seen.n_iter
    if apart.far.any() and not over:
        found = _of_all(found, objective, apart.far, limits["tol"], most - apart.reads - found.n_passes)
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
    free = np.repeat(_free(objective), objective.loss.n_outputs)
    free = np.append(free, np.ones(objective.size - len(free), dtype=bool)) & ~apart.held
    if not 0 < free.sum() <= rays.SIZE_UP_TO:
        return None

    after = [_FROM_ITER]

    def watch(trial, point):
        steps = trial.certificate.separation
        recedes = steps.most > _MOVING and steps.lost < _LOST and point.margins is not None
        if not recedes or trial.n_iter < after[-1] or trial.session.reads_left < _FOR_RAYS:
            return
        after.append(2 * trial.n_iter)
        along, reads = rays.find(rays.in_float64(objective), point, free, apart.apart)
        trial.session.n_passes += reads
        if along is not None:
            raise _Separated(trial, point, along)

    return watch


def _beyond(objective, apart, seen):
    """What is left where a direction separates more rows."""
    exact, along, rest = rays.in_float64(objective), seen.along, None
    ahead, reads = rays.lead(exact, along), apart.reads + seen.reads + rays.reads_of_lead(exact) + 1
    more = apart.apart | rays.moved(ahead)
    rows, named = of_classes(objective.rows, more), apart.named | rays.columns(along, exact, ~apart.held)
    if rows.least_weight < np.inf:
        rest = _on(objective, rows, apart.held)
        there = _on(exact, of_classes(exact.rows, more), apart.held)
        along = np.where(apart.held, 0.0, rays.without_rounding(along, there))
        ahead, reads = rays.lead(exact, along), reads + rays.reads_of_lead(exact) + 1
    times = rays.long_enough(ahead, more & ~apart.apart, ~more)
    far, ahead = rays.beside(apart.far, apart.ahead, apart.apart, times * along, times * ahead)
    return Apart(rest, far, ahead, apart.held, more, named, reads)


def _without_means(solver, rest):
    """Newton's method by factors in place of that whose preconditioner is the mean over the classes, which
    takes many products where classes differ."""
    by_mean = isinstance(solver, newton_cg) and solver.by_class_mean
    return newton_cholesky() if by_mean and rest.size <= solver.factored_up_to else solver


def _begun(w0, held, k):
    """A start for the rest, where weights `held` are 0, by a shift of the classes that a column leaves."""
    W, held = w0.reshape(-1, k), held.reshape(-1, k)
    kept = np.where(_one_left(held), W, 0.0).sum(axis=1, keepdims=True)
    return np.where(held, 0.0, W - kept).ravel()


def possible(solver, objective):
    """Whether rows are in host memory, and some weights of columns have no penalty."""
    rows, partial = objective.rows, getattr(solver, "partial", False)
    here = isinstance(rows, MemoryRows) and not rows.backend.on_device
    return here and not partial and bool(_free(objective).any())


def _free(objective):
    """Which columns have no penalty, (n_features,). Columns far from zero have no zeros and do not count."""
    penalty, at = objective.penalty, objective.at
    held = (np.zeros(at.size) + penalty.l1 + penalty.l2).reshape(-1, at.n_outputs)[: at.n_features] > 0
    return ~held.any(axis=1) & (np.zeros(at.n_features) == (0 if at.centre is None else at.centre))


def _apart(objective, box, most):
    """Find columns that separate rows, then those that separate some of the remaining rows, and so on, in at
    most so many reads."""
    at, rows, free = objective.at, objective.rows, _free(objective)
    far, reads, a_round = np.zeros(at.size), 0.0, 2 + (rows.offset_scale is not None)
    ahead = np.zeros((rows.n_rows, at.n_outputs))
    apart = ahead > 0
    for _ in range(_ROUNDS):
        if reads + a_round > most:
            break
        sides = rows.sum(ColumnSides(max(at.n_outputs, 2), free))
        reads += sides.seen / max(rows.n_rows, 1)
        step = np.where(far == 0, at.flat(_directions(sides, free, at, box)), 0.0)
        if not step.any():
            break
        lead, reads = rays.lead(objective, step), reads + rays.reads_of_lead(objective)
        times = rays.long_enough(lead, lead > 0, lead == 0)
        far, ahead = rays.beside(far, ahead, apart, times * step, times * lead)
        apart = apart | (lead > 0)
        rows = of_classes(objective.rows, apart)
        if not rows.least_weight < np.inf:
            return Apart(None, far, ahead, far != 0, apart, far != 0, reads)
    if not far.any():
        return Apart(None, far, ahead, far != 0, apart, far != 0, reads)
    held = at.columns(far) != 0
    if box is None:
        held |= _one_left(held)
        held[:-1] |= (sides.seen == rows.n_rows) & (sides.size == 0)[:, None]
    held = at.flat(held)
    return Apart(_on(objective, rows, held), far, ahead, held, apart, far != 0, reads)


def _one_left(held):
    """The first class that each column with weights in `held` (n, k) leaves, (n, k) of bool."""
    left = held.any(axis=1, keepdims=True) & ~held
    return left & (np.cumsum(left, axis=1) == 1)


def _directions(sides, free, at, box):
    """Weights (n + 1, k) that move no row away from its class, judged by the signs of the columns."""
    there, k = sides.above.sum(axis=1) + sides.below.sum(axis=1), at.n_outputs
    seen = free & (sides.size > _LEAST * there)
    up, down = ((against == 0) & seen[:, None] for against in sides.against)
    length = np.divide(rays.LEAD * there, sides.size, out=np.zeros(len(there)), where=seen)
    W = np.zeros((len(there) + 1, k))
    W[:-1] = length[:, None] * (up.astype(float) - down)[:, -k:]  # of two classes, towards the second one
    return at.columns(np.where(ended(at.flat(W), box), 0.0, at.flat(W)))


def _on(objective, rows, held):
    """The objective on other rows, in which some weights are held at 0; they change no margin there."""
    penalty = objective.penalty
    held = Penalty(penalty.l2 + held, penalty.l1 + np.zeros(len(held)), penalty.modulus)
    return Objective(rows, objective.loss, held, objective.fit_intercept)


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
