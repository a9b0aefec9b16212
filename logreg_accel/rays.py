"""Directions along which F falls forever, found by a linear programme over few rows (Konis 2007).

A direction separates if it moves no row away from its class and some rows towards it. Of all such directions
that are at most 1 long in scaled columns, the one that moves rows most in sum is the solution of a linear
programme with a constraint for each row and other class. Few of them matter: those that the weights of a fit
violate most, and those that solutions without them violate, which a read shows. Mostly the first ones leave
no direction, if there is none; that takes no read.
"""

import numpy as np
import scipy.optimize

from . import clock, leads
from .objective import Objective
from .rounding import one_by_one
from .rows import of_classes
from .separation import sparsest
from .solvers import questions as ask
from .solvers.nearly_singular import LOOKED_AT_UP_TO, directions

SIZE_UP_TO = 120  # number of weights up to which it is looked for
_EACH = 4  # constraints added at a time for each weight
_ROUNDS = 6
_AT_ONCE = 10  # worth of the least lead beside the sum of all
_LEAST = 1e-3  # a smaller largest lead, by weights of 1 in scaled columns, is rounding
_SEVERAL, _LITTLE = 30, 1e-7  # roundings of F; a relative rounding of F that is not worth a read
_NOTHING = 1e-9  # a gain of all rows that is rounding
_VIOLATED = 1e-7  # share of the largest lead that a programme may violate
_COUNTS = 1e-3  # share of the largest component above which a weight belongs to a direction
_CORRECTIONS = 2  # the second removes what the rounding of the first leaves


def find(objective, point, free, apart, ends=np.inf):
    """Look for a direction that separates rows; return it, or None, and the reads that it took.

    Parameters
    ----------
    objective : Objective
    point : Point of the rows that are left, with margins, by which the first constraints are chosen
    free : (size,) of bool, the weights without a penalty
    apart : row vector (n_rows, outputs) of bool, the classes that need not be looked at
    ends : float
        The clock after which no read begins.
    """
    rows, at, reads = objective.rows, objective.at, 0
    free, scale = _compared(free, at.n_outputs), 1 / _scale(objective)
    gain = -point.gradient[free] * scale[free]  # a positive sum of all leads
    ahead, chosen = leads.of_margins(objective, point.margins), np.zeros(0, dtype=int)
    relative = max(_NOTHING, _SEVERAL * point.rounding / point.value)
    for _ in range(_ROUNDS):
        chosen = np.union1d(chosen, leads.least(rows, ahead, apart, _EACH * len(gain)))
        limits = -_changes(objective, chosen)[:, free] * scale[free]
        if not _most(gain, limits, relative).any() or clock.is_over(ends):
            break
        # As a further variable, the least lead: if all rows can be separated at once, they are.
        limits = np.append(limits, np.ones((len(chosen), 1)), axis=1)
        solved = _most(np.append(gain, _AT_ONCE * abs(gain).sum()), limits, relative)
        along = np.zeros(at.size)
        along[free] = solved[:-1] * scale[free]
        ahead = leads.of_step(objective, along)
        reads += leads.reads_of_step(objective)
        least, most = leads.extremes(rows, ahead, apart)
        if most > _LEAST and least >= -_VIOLATED * most:
            if not least >= -_rounding(objective, along):  # the programme's own is larger
                moved = leads.more_apart(rows, ahead, apart, leads.MOVED)
                along = without_rounding(along, objective, moved, free)
                least, _ = leads.extremes(rows, leads.of_step(objective, along), apart)
                reads += leads.reads_of_step(objective) + 1
            return (along if least >= -_rounding(objective, along) else None), reads
    return None, reads


def _rounding(objective, along):
    """By how much a direction may lower leads because products with X are rounded: a number of X is at most
    √m times as large as the numbers of its column are in the mean."""
    terms = (_scale(objective) * abs(along)).reshape(-1, objective.at.n_outputs).sum(axis=0).max()
    return _SEVERAL * float(np.finfo(np.float64).eps) * objective.rows.n_rows**0.5 * terms


def _most(gain, limits, relative):
    """The x of at most 1 with limits·x <= 0 and the largest gain·x; zero if that is rounding, or unknown."""
    found = scipy.optimize.linprog(-gain, A_ub=limits, b_ub=np.zeros(len(limits)), bounds=(-1, 1))
    there = found.success and -found.fun > relative * abs(gain).sum()
    return found.x if there else np.zeros(len(gain))


def rounded(objective, w, most):
    """The weights as coefficients can hold them, and the reads that it takes to find them, at most so many.

    Where columns are nearly collinear, the margins of rows that are not separated would change if each weight
    was rounded by itself.
    """
    at = objective.at
    plain = at.rounded(w)
    if (plain == w).all() or len(w) > LOOKED_AT_UP_TO or most < 1:
        return plain, 0
    return one_by_one(at, w, objective.answer(ask.Curvature(w, ask.MATRIX))), 1


def closely(objective, point, tol, most):
    """A point, the error of its F by rounding, and the reads that they took, at most so many.

    F is summed in long double if that is offered and rounding is more than `tol`, or not little.
    """
    off = rounding(objective, point)
    worth = off > min(tol, _LITTLE) * point.value and most >= 1
    finer = objective.answer(ask.Draw(ask.Finer())) if worth else None
    if finer is None:
        return point, off, 0
    point = finer.answer(ask.Evaluate(point.w))
    return point, rounding(objective, point, finer.rows.fineness), 1


def rounding(objective, point, fineness=1.0):
    """The error of F by rounding, also that of margins in which large weights cancel, for products with X
    that are rounded so much less."""
    terms = objective.at.columns(abs(point.w) * _scale(objective)).copy()
    terms[:-1] *= fineness
    of_margins = point.rounding / (point.value or 1) * float(terms.sum(axis=0).max())
    return point.rounding + of_margins * min(point.value, 1.0) ** 0.5


def columns(along, objective, free):
    """The weights that a direction consists of, in its sparsest form, (size,) of bool."""
    H, scale = objective.answer(ask.Curvature(np.zeros(objective.size), ask.MATRIX)), _scale(objective)
    d, which = np.zeros(objective.size), np.flatnonzero(free)
    d[which] = sparsest(along[which], H[np.ix_(which, which)], scale[which])
    return abs(d * scale) > _COUNTS * abs(d * scale).max()


def without_rounding(along, objective, moved, free):
    """The direction of `free` weights without what changes the leads that it does not move."""
    rows, which = of_classes(objective.rows, moved), np.flatnonzero(free)
    if not rows.least_weight < np.inf:
        return along
    rest = Objective(rows, objective.loss, objective.penalty, objective.fit_intercept)
    here = rest.answer(ask.Evaluate(np.zeros(rest.size)))
    H = rest.answer(ask.Curvature(here.w, ask.MATRIX))[np.ix_(which, which)]
    basis, _ = _answered(rest, directions(here, H, active=which))
    along = np.where(free, along, 0.0)
    for _ in range(_CORRECTIONS):
        slope = rest.answer(ask.HessianVector(here.w, along, margins=here.margins))[which]
        along[which] -= basis @ (basis.T @ slope)
    return along


def _answered(objective, questions):
    """What a generator of questions about an objective returns."""
    answer = None
    while True:
        try:
            answer = objective.answer(questions.send(answer))
        except StopIteration as end:
            return end.value


def in_float64(objective):
    """The same objective with sums in float64; large weights would make those of centred columns inexact."""
    rows = objective.rows.in_float64(False)
    if rows is None:
        return objective
    return Objective(rows, objective.loss, objective.penalty, objective.fit_intercept)


def _compared(free, k):
    """The free weights without that of one class for each column, with which the others are compared."""
    free = free.reshape(-1, k).copy()
    if k > 1:
        free[free.all(axis=1), 0] = False
    return free.ravel()


def _scale(objective):
    scale = objective.at.of_columns(objective.rows.scale)
    return np.where(scale > 0, scale, 1)


def _changes(objective, chosen):
    """The change of the chosen leads by each weight, (len(chosen), size)."""
    rows, at, k = objective.rows, objective.at, objective.loss.n_outputs
    numbers, which = np.unique(chosen // k, return_inverse=True)
    blocks = rows._take(numbers, np.ones(len(numbers)))
    X = np.vstack([block.X.astype(np.dtype(np.float64)) @ np.eye(rows.n_features) for block in blocks])[which]
    X = np.append(X, np.ones((len(X), 1)), axis=1)[:, : at.size // k]
    y = np.concatenate([block.y for block in blocks])[which]
    if k == 1:
        return np.where(y > 0, 1.0, -1.0)[:, None] * X
    change, each = np.zeros((len(chosen), X.shape[1], k)), np.arange(len(chosen))
    change[each, :, y] += X
    change[each, :, chosen % k] -= X
    return change.reshape(len(chosen), -1)
