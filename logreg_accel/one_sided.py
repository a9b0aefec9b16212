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

from . import driver
from .backends.passes import Margins
from .backends.sides import ColumnSides
from .history import ESTIMATED, SEPARABLE, norm_of
from .objective import Objective
from .penalty import Penalty
from .rows import MemoryRows, of_classes
from .separation import ended
from .session import INTERRUPTED
from .solvers import questions as ask
from .solvers.newton import newton_cg, newton_cholesky

_LEAD = 40.0  # margin of a typical row that a column separates: its loss is then less than a rounding error
_LENGTHENED = 10.0  # factor by which steps are lengthened while rows with small entries still have a loss
_ROUNDS, _LONGEST, _EVALUATIONS = 20, 8, 3
_AT_LEAST = 2  # reads: one of the solver, and one that tells the loss of all rows at the end
_LEAST = 1e-20  # mean size of a column's numbers below which weights would exceed the range of float32
_NOTHING, _SMALL = 1e-14, 0.1  # a loss per row, and a share of `tol`, that do not count
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
    held : ndarray (size,) of bool
        Weights that are zero in `rest`: those of `far`, of empty columns, and one of the classes that a
        column leaves, which are only compared with one another.
    reads : float
        Reads of X that this took.
    """

    rest: Any
    far: Any
    held: Any
    reads: float


def run(solver, objective, w0, *, max_passes=None, callback=None, **limits):
    """Run `driver.run` on the rows that no single column separates; see `possible`.

    Parameters
    ----------
    solver, objective, w0, max_passes, callback, limits
        As in `driver.run`.

    Returns
    -------
    Solution
        Its status is "separable" if there are such columns, unless a budget was exhausted.
    """
    most = math.inf if max_passes is None else max_passes
    rest, far, held, reads = _apart(objective, getattr(solver, "box", None), most - _AT_LEAST)
    if max_passes is not None:
        max_passes = max(max_passes - reads - bool(far.any()), 1.0)
    if rest is None:  # if all rows are separated, a step or two show it
        found = driver.run(solver, objective, w0, max_passes=max_passes, callback=callback, **limits)
    else:
        tell = callback and (lambda record, w: callback(record, w + far))
        begin = _begun(w0, held, objective.loss.n_outputs)
        found = driver.run(
            _without_means(solver, rest), rest, begin, max_passes=max_passes, callback=tell, **limits
        )
        found = _of_all(found, objective, far, limits["tol"], most - reads - found.n_passes)
    later = [record._replace(n_passes=record.n_passes + reads) for record in found.history]
    found = found._replace(n_passes=found.n_passes + reads, history=later)
    if not far.any() or found.status not in _ENDS:
        return found
    also = far != 0 if found.separating is None else (far != 0) | found.separating
    return found._replace(status=SEPARABLE, separating=also)


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
    far, apart, reads, a_round = np.zeros(at.size), False, 0.0, 2 + (rows.offset_scale is not None)
    for _ in range(_ROUNDS):
        if reads + a_round > most:
            break
        sides = rows.sum(ColumnSides(max(at.n_outputs, 2), free))
        reads += sides.seen / max(rows.n_rows, 1)
        step = np.where(far == 0, at.flat(_directions(sides, free, at, box)), 0.0)
        if not step.any():
            break
        lead, reads = _lead(objective, step), reads + 1 + (rows.offset_scale is not None)
        far = _LENGTHENED * far + _long_enough(lead) * step  # rows of earlier rounds must stay separated
        apart = apart | (lead > 0)
        rows = of_classes(objective.rows, apart)
        if not rows.least_weight < np.inf:
            return Apart(None, far, far != 0, reads)
    if not far.any():
        return Apart(None, far, far != 0, reads)
    held = at.columns(far) != 0
    if box is None:
        held |= _one_left(held)
        held[:-1] |= (sides.seen == rows.n_rows) & (sides.size == 0)[:, None]
    held = at.flat(held)
    return Apart(_on(objective, rows, held), far, held, reads)


def _one_left(held):
    """The first class that each column with weights in `held` (n, k) leaves, (n, k) of bool."""
    left = held.any(axis=1, keepdims=True) & ~held
    return left & (np.cumsum(left, axis=1) == 1)


def _directions(sides, free, at, box):
    """Weights (n + 1, k) that move no row away from its class, judged by the signs of the columns."""
    there, k = sides.above.sum(axis=1) + sides.below.sum(axis=1), at.n_outputs
    seen = free & (sides.size > _LEAST * there)
    up, down = ((against == 0) & seen[:, None] for against in sides.against)
    length = np.divide(_LEAD * there, sides.size, out=np.zeros(len(there)), where=seen)
    W = np.zeros((len(there) + 1, k))
    W[:-1] = length[:, None] * (up.astype(float) - down)[:, -k:]  # of two classes, towards the second one
    return at.columns(np.where(ended(at.flat(W), box), 0.0, at.flat(W)))


def _lead(objective, step):
    """By how much a step increases the lead of each row's own class over each other class, (m, k)."""
    rows, at, loss = objective.rows, objective.at, objective.loss
    steps = (step,) if rows.offset_scale is None else (step, np.zeros(at.size))
    leads = [loss.lead(rows.to_host(rows.sum(Margins(at.columns(w)))), rows.labels()) for w in steps]
    return leads[0] if len(leads) == 1 else leads[0] - np.where(leads[1] < np.inf, leads[1], 0)


def _long_enough(lead):
    """The multiple of a step after which the rows that it moves have next to no loss."""
    lead, m = lead[(lead > 0) & (lead < np.inf)].astype(np.float64), len(lead)
    times = _LENGTHENED ** np.arange(_LONGEST)
    left = (np.exp(-t * lead).sum() / m for t in times)
    return next((t for t, loss in zip(times, left, strict=True) if loss <= _NOTHING), times[-1])


def _on(objective, rows, held):
    """The objective on other rows, in which some weights are held at 0; they change no margin there."""
    penalty = objective.penalty
    held = Penalty(penalty.l2 + held, penalty.l1 + np.zeros(len(held)), penalty.modulus)
    return Objective(rows, objective.loss, held, objective.fit_intercept)


def _in_float64(objective):
    """The same objective with sums in float64; large weights would make those of centred columns inexact."""
    rows = objective.rows.in_float64(False)
    if rows is None:
        return objective
    return Objective(rows, objective.loss, objective.penalty, objective.fit_intercept)


def _of_all(found, objective, far, tol, most):
    """Return the Solution for all rows, from the one for the rest; it takes one read, or at most so many.

    The gap of F is that of the rest plus the loss that the separated rows still have, in float64.
    """
    exact, reads = _in_float64(objective), 0
    while reads < min(_EVALUATIONS, max(most, 1)):
        w = objective.at.rounded(found.w + far)
        try:
            there = exact.at.centred(objective.at.original(w))
            point, reads = exact.answer(ask.Evaluate(there)), reads + 1
        except KeyboardInterrupt:
            return found._replace(w=w, suboptimality=1.0, bound=1.0, status=INTERRUPTED)
        left = max(point.value - found.value, 0.0) + point.rounding
        if left <= _SMALL * tol * point.value:
            break
        far = _LENGTHENED * far

    above = point.value - found.lower + point.rounding

    def beside(known):
        return min((known * found.value + left) / point.value, above / point.value, 1.0) if above > 0 else 0.0

    last = found.history[-1]._replace(value=point.value)
    return found._replace(
        w=w,
        value=point.value,
        gradient_norm=norm_of(point.gradient),
        suboptimality=beside(found.suboptimality),
        bound=beside(found.bound),
        history=[*found.history[:-1], last],
        n_passes=found.n_passes + reads,
    )
