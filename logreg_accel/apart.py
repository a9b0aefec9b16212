"""What is left of an objective once columns, or combinations of them, have separated rows from classes."""

from typing import Any, NamedTuple

import numpy as np

from . import clock, leads, rays
from .backends.sides import ColumnSides
from .objective import Objective
from .penalty import Penalty
from .rows import of_classes
from .separation import ended

_ROUNDS = 20
_FEW_ROWS = 512  # of a source that are looked at before it is read
_LEAST = 1e-20  # mean size of a column's numbers below which weights would exceed the range of float32


class Apart(NamedTuple):
    """An objective without what single columns separate.

    Attributes
    ----------
    rest : Objective or None
        The objective of the rows that still have a loss, among the classes that are still possible for each;
        None if no column separates any, or if all rows are separated from all other classes.
    far : ndarray (size,)
        Large weights, which separate rows from classes.
    ahead : row vector (n_rows, outputs) or None
        The leads over other classes that they give.
    held : ndarray (size,) of bool
        Weights that are zero in `rest`: those of `far`, of empty columns, and one of the classes that a
        column leaves, which are only compared with one another.
    apart : row vector (n_rows, outputs) of bool or None
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


def of_columns(objective, box, most, ends):
    """Find columns that separate rows, then those that separate some of the remaining rows, and so on, in at
    most so many reads, none of which begins after the clock `ends`."""
    at, rows, free = objective.at, objective.rows, free_columns(objective)
    far, reads, a_round = np.zeros(at.size), 0.0, 2 + (rows.offset_scale is not None)
    ahead, apart, left = None, None, rows
    for _ in range(_ROUNDS):
        if reads + a_round > most or clock.is_over(ends):
            break
        sides, which, taken = _sides(left, max(at.n_outputs, 2), free)
        reads += taken
        step = np.where(far == 0, at.flat(_directions(sides, which, at, box)), 0.0)
        if not step.any() or clock.is_over(ends):
            break
        lead, reads = leads.of_step(objective, step), reads + leads.reads_of_step(objective)
        gone = leads.set_apart(objective, apart)
        apart = leads.more_apart(rows, lead, gone)
        times = leads.long_enough(rows, lead, apart, gone)
        far, ahead = leads.beside(rows, far, ahead, gone, step, lead, times)
        left = of_classes(rows, apart)
        if not left.least_weight < np.inf:
            return Apart(None, far, ahead, far != 0, apart, far != 0, reads)
    if not far.any():
        return Apart(None, far, ahead, far != 0, apart, far != 0, reads)
    held = at.columns(far) != 0
    if box is None:
        held |= one_left(held)
        held[:-1] |= (sides.seen == rows.n_rows) & (sides.size == 0)[:, None]
    held = at.flat(held)
    return Apart(_on(objective, left, held), far, ahead, held, apart, far != 0, reads)


def beyond(objective, apart, along, reads):
    """What is left where a direction separates more rows, after so many reads."""
    exact, rest, rows = rays.in_float64(objective), None, objective.rows
    gone = leads.set_apart(objective, apart.apart)
    lead, reads = leads.of_step(exact, along), reads + leads.reads_of_step(exact) + 1
    more = leads.more_apart(rows, lead, gone, leads.MOVED)
    left, named = of_classes(rows, more), apart.named | rays.columns(along, exact, ~apart.held)
    if left.least_weight < np.inf:
        rest = _on(objective, left, apart.held)
    times = leads.long_enough(rows, lead, more, gone)
    far, ahead = leads.beside(rows, apart.far, apart.ahead, gone, along, lead, times)
    return Apart(rest, far, ahead, apart.held, more, named, reads)


def free_columns(objective):
    """Which columns have no penalty, (n_features,). Columns far from zero have no zeros and do not count."""
    penalty, at = objective.penalty, objective.at
    held = (np.zeros(at.size) + penalty.l1 + penalty.l2).reshape(-1, at.n_outputs)[: at.n_features] > 0
    return ~held.any(axis=1) & (np.zeros(at.n_features) == (0 if at.centre is None else at.centre))


def _sides(rows, n_classes, free):
    """The Sides of columns, which of them may separate, and the reads that this took.

    A pass over rows in memory ends when no column may. A read of a source does not, so that a few of its rows
    are looked at first.
    """
    asked = ColumnSides(n_classes, free)
    if rows.columns_in_memory() is not None:
        sides = rows.sum(asked)
        return sides, free, sides.seen / max(rows.n_rows, 1)
    few, which = rows.evenly_spaced(_FEW_ROWS), free
    if len(few):
        blocks = rows._take(few, np.ones(len(few)))
        sides = ColumnSides.combine([rows.backend.run(asked, block) for block in blocks])
        which = free & sides.may_separate
        if not which.any():
            return sides, which, 0.0
    return rows.sum(ColumnSides(n_classes, which)), which, 1.0


def one_left(held):
    """The first class that each column with weights in `held` (n, k) leaves, (n, k) of bool."""
    left = held.any(axis=1, keepdims=True) & ~held
    return left & (np.cumsum(left, axis=1) == 1)


def _directions(sides, free, at, box):
    """Weights (n + 1, k) that move no row away from its class, judged by the signs of the columns."""
    there, k = sides.above.sum(axis=1) + sides.below.sum(axis=1), at.n_outputs
    seen = free & (sides.size > _LEAST * there)
    up, down = ((against == 0) & seen[:, None] for against in sides.against)
    length = np.divide(leads.LEAD * there, sides.size, out=np.zeros(len(there)), where=seen)
    W = np.zeros((len(there) + 1, k))
    W[:-1] = length[:, None] * (up.astype(float) - down)[:, -k:]  # of two classes, towards the second one
    return at.columns(np.where(ended(at.flat(W), box), 0.0, at.flat(W)))


def _on(objective, rows, held):
    """The objective on other rows, in which some weights are held at 0; they change no margin there."""
    penalty = objective.penalty
    held = Penalty(penalty.l2 + held, penalty.l1 + np.zeros(len(held)), penalty.modulus)
    return Objective(rows, objective.loss, held, objective.fit_intercept)
