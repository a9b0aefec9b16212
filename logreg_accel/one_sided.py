"""Fits where single columns without a penalty separate rows, such as a level that only one class has.

If the signs of a column agree with the classes, F decreases forever along its weight, and the loss of the
rows with entries in it tends to zero. A solver needs a step for every factor e by which that loss falls, and
hundreds of products if there are many such levels. One look at the signs of X finds these columns. The other
rows are then fitted alone, in the time of an ordinary fit, and the bound on their F holds for all rows: inf F
is the same.
"""

from typing import Any, NamedTuple

import numpy as np

from . import driver
from .backends.passes import Margins
from .backends.sides import ColumnSides
from .history import ESTIMATED, SEPARABLE, norm_of
from .objective import Objective
from .penalty import Penalty
from .rows import MemoryRows
from .separation import ended
from .session import INTERRUPTED
from .solvers import questions as ask

_LEAD = 40.0  # margin of a typical row that a column separates: its loss is then less than a rounding error
_LENGTHENED = 10.0  # factor by which steps are lengthened while rows with small entries still have a loss
_ROUNDS, _LONGEST, _EVALUATIONS = 20, 8, 3
_LEAST = 1e-20  # mean size of a column's numbers below which weights would exceed the range of float32
_NOTHING, _SMALL = 1e-14, 0.1  # a loss per row, and a share of `tol`, that do not count
_ENDS = {ask.CONVERGED, ESTIMATED, ask.NOISE_FLOOR, SEPARABLE}


class Apart(NamedTuple):
    """An objective without the rows that single columns separate.

    Attributes
    ----------
    rest : Objective or None
        The objective of the other rows; None if no column separates rows, or if all rows are separated.
    start : ndarray (size,)
        Large weights of columns whose rows still have a loss, since several classes remain possible.
    far : ndarray (size,)
        Large weights of columns that separate their rows from all other classes; zero in `rest`.
    reads : float
        Reads of X that this took.
    """

    rest: Any
    start: Any
    far: Any
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
    rest, start, far, reads = _apart(objective, getattr(solver, "box", None))
    if max_passes is not None:
        max_passes = max(max_passes - reads - bool(far.any()), 1.0)
    if rest is None:
        begin = w0 if far.any() else w0 + start  # if all rows are separated, a step or two show it
        found = driver.run(solver, objective, begin, max_passes=max_passes, callback=callback, **limits)
    else:
        tell = callback and (lambda record, w: callback(record, w + far))
        begin = np.where(far == 0, w0 + start, 0.0)
        found = driver.run(solver, rest, begin, max_passes=max_passes, callback=tell, **limits)
        found = _of_all(found, objective, far, limits["tol"])
    later = [record._replace(n_passes=record.n_passes + reads) for record in found.history]
    found = found._replace(n_passes=found.n_passes + reads, history=later)
    named = (far != 0) | (start != 0)
    if not named.any() or found.status not in _ENDS:
        return found
    also = named if found.separating is None else named | found.separating
    return found._replace(status=SEPARABLE, separating=also)


def possible(solver, objective):
    """Whether rows are in host memory, and some weights of columns have no penalty.

    Offsets are not supported, since they would be part of the margins that show which rows a column
    separates.
    """
    rows, partial = objective.rows, getattr(solver, "partial", False)
    here = isinstance(rows, MemoryRows) and not rows.backend.on_device and rows.offset_scale is None
    return here and not partial and bool(_free(objective).any())


def _free(objective):
    """Which columns have no penalty, (n_features,). Columns far from zero have no zeros and do not count."""
    penalty, at = objective.penalty, objective.at
    held = (np.zeros(at.size) + penalty.l1 + penalty.l2).reshape(-1, at.n_outputs)[: at.n_features] > 0
    return ~held.any(axis=1) & (np.zeros(at.n_features) == (0 if at.centre is None else at.centre))


def _apart(objective, box):
    """Find columns that separate rows, then those that separate some of the remaining rows, and so on."""
    at, rows, free, rest = objective.at, objective.rows, _free(objective), None
    start, far, reads = np.zeros(at.size), np.zeros(at.size), 0.0
    for _ in range(_ROUNDS):
        sides = rows.sum(ColumnSides(max(at.n_outputs, 2), free))
        reads += sides.seen / max(rows.n_rows, 1)
        toward = _directions(sides, free, at, box)
        alone = _decide(sides, toward)
        start += at.flat(np.where(alone, 0.0, toward))
        if not alone.any():
            break
        step, reads = at.flat(np.where(alone, toward, 0.0)), reads + 1
        lead = _lead(objective, rows, step)
        far = _LENGTHENED * far + _long_enough(lead) * step  # rows of earlier rounds must stay separated
        rows = rows.without(lead > 0)
        if not rows.least_weight < np.inf:
            return Apart(None, start, far, reads)
        rest, free = _on(objective, rows, far), free & (toward[:-1] == 0).all(axis=1)
    return Apart(rest, start, far, reads)


def _directions(sides, free, at, box):
    """Weights (n + 1, k) that move no row away from its class, judged by the signs of the columns."""
    there, k = sides.above.sum(axis=1) + sides.below.sum(axis=1), at.n_outputs
    seen = free & (sides.size > _LEAST * there)
    up, down = ((against == 0) & seen[:, None] for against in sides.against)
    length = np.divide(_LEAD * there, sides.size, out=np.zeros(len(there)), where=seen)
    W = np.zeros((len(there) + 1, k))
    W[:-1] = length[:, None] * (up.astype(float) - down)[:, -k:]  # of two classes, towards the second one
    return at.columns(np.where(ended(at.flat(W), box), 0.0, at.flat(W)))


def _decide(sides, toward):
    """Which columns (n + 1, 1) separate all of their rows from every other class."""
    W = toward[:-1] if toward.shape[1] > 1 else np.append(np.zeros_like(toward[:-1]), toward[:-1], axis=1)
    own = np.eye(W.shape[1], dtype=bool)
    others = np.where(own, -np.inf, W[:, None]).max(axis=2), np.where(own, np.inf, W[:, None]).min(axis=2)
    above, below = (sides.above == 0) | (W > others[0]), (sides.below == 0) | (W < others[1])
    alone = (toward[:-1] != 0).any(axis=1) & above.all(axis=1) & below.all(axis=1)
    return np.append(alone, False)[:, None]


def _lead(objective, rows, step):
    """By how much a step increases the lead of each row's own class over all others, (m,)."""
    Z = rows.to_host(rows.sum(Margins(objective.at.columns(step))))
    return objective.loss.lead(Z, rows.labels()).min(axis=1)


def _long_enough(lead):
    """The multiple of a step after which the rows that it moves have next to no loss."""
    lead, m = lead[lead > 0].astype(np.float64), len(lead)
    times = _LENGTHENED ** np.arange(_LONGEST)
    left = (np.exp(-t * lead).sum() / m for t in times)
    return next((t for t, loss in zip(times, left, strict=True) if loss <= _NOTHING), times[-1])


def _on(objective, rows, far):
    """The objective on other rows, in which the weights of `far` stay at 0, since their columns are empty."""
    penalty, none = objective.penalty, np.zeros(len(far))
    held = Penalty(penalty.l2 + (far != 0), penalty.l1 + none, penalty.modulus)
    return Objective(rows, objective.loss, held, objective.fit_intercept)


def _of_all(found, objective, far, tol):
    """Return the Solution for all rows, from the one for the rest.

    The gap of F is that of the rest plus the loss that the separated rows still have.
    """
    reads = 0
    while reads < _EVALUATIONS:
        try:
            point, reads = objective.answer(ask.Evaluate(found.w + far)), reads + 1
        except KeyboardInterrupt:
            return found._replace(w=found.w + far, suboptimality=1.0, bound=1.0, status=INTERRUPTED)
        left = max(point.value - found.value, 0.0)
        if left <= _SMALL * tol * point.value:
            break
        far = _LENGTHENED * far

    def beside(known):
        return min((known * found.value + left) / point.value, 1.0) if point.value > 0 else known

    last = found.history[-1]._replace(value=point.value)
    return found._replace(
        w=point.w,
        value=point.value,
        gradient_norm=norm_of(point.gradient),
        suboptimality=beside(found.suboptimality),
        bound=beside(found.bound),
        history=[*found.history[:-1], last],
        n_passes=found.n_passes + reads,
    )
