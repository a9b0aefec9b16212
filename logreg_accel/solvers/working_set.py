"""Working sets: with an L1 penalty most weights are zero, and few columns are needed to find the others."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .by_columns import newton_by_columns
from .proximal import fista, polished, prox_newton
from .questions import CONVERGED, NOISE_FLOOR, Accept, Columns, Draw, DualValue, Evaluate, InFloat64

MODEL_UP_TO = 1000  # weights of a model that is a matrix; beyond, it is walked by columns
_WHOLE_UP_TO = 4000  # weights of a fit to all columns by prox-newton
_MOST = 1.5  # one column of so many is gathered at most: with more of them, all are as good
_ADDED = 32  # columns that are gathered beside those that are there, or as many as have weights
_FULL, _FASTER = 0.9, 3  # share of a set with weights that shows that it is far too small; then so many times
_CLOSE = 0.9  # of its penalty, a gradient with which a column stays in the set without a weight
_FEW = 0.1  # share of its own columns by which a set that is nearly complete grows
_TRIED, _ROUGH = 1e-4, 1e-3  # relative gaps of fits that only show which columns matter
_PART = 0.01  # of what the last set gained, relatively: a gap that says as much of this one
_SOLVED, _FINEST = 1e-10, 1e-14  # ... of those to a set that is nearly complete, before their last step
_STEPS = 1000  # of such a fit at most
_SLACK = 1e-6  # by which a gradient is above its penalty, relatively, without being wrong


@dataclass(frozen=True)
class working_set:
    """Fits to some columns, gathered into memory, until no other one has a gradient above its penalty.

    The columns whose gradients are largest beside their penalties join those with weights; these alone are
    fitted, and one read of X then gives the gradients of all. A set grows to twice the columns with weights,
    or four times as long as nearly all have some, and columns whose weights and gradients are small leave it.
    So X is read a handful of times. From the optimum under another penalty, as along a path, it is read two
    to four times. Where two thirds of the columns matter, or they cannot be gathered (on a GPU, from disk),
    all of them are fitted at once. A fit to few columns is prox-newton's, one to many goes column by column.

    References
    ----------
    Johnson and Guestrin (2015), Blitz: a principled meta-algorithm for scaling sparse optimization, ICML;
    Massias, Gramfort and Salmon (2018), Celer: a fast solver for the lasso with dual extrapolation, ICML.
    """

    for_l1: ClassVar[bool] = True
    patience: ClassVar[int] = fista.patience

    def bytes_beside(self, shape):
        """The columns in float64, once more where they are walked one by one, and prox-newton's Hessian."""
        copies = 1 if shape.size <= MODEL_UP_TO else 2
        gathered = int(copies * 8 * min(shape.n_rows * shape.n_features, shape.nbytes) / _MOST)
        return shape.vectors(12) + gathered + shape.hessian(min(shape.size, _WHOLE_UP_TO))

    def __call__(self, start):
        n, k = start.n_features, start.n_outputs
        l1, kept, enough = start.l1[: n * k].reshape(n, k), np.zeros(n, dtype=bool), math.inf
        solved = min(_SOLVED, max(start.tol**2, _FINEST))  # a bound is of the first order in gradients
        here, best, gained = (yield Evaluate(start.w)), start.w, 0.0
        while not (yield Accept(here)):
            weights, slope = (part[: n * k].reshape(n, k) for part in (here.w, here.gradient))
            urgency = np.divide(abs(slope), l1, out=np.zeros_like(slope), where=l1 > 0).max(axis=1)
            there = ((weights != 0) | (l1 == 0)).any(axis=1)
            times = _FASTER if there.sum() >= _FULL * kept.sum() else 1
            kept = there | (kept & (urgency > _CLOSE))
            urgent = _urgent(urgency, kept, times * int(there.sum()))
            complete = enough <= solved and not urgent.any()
            if complete:
                status = yield from _told(here, best)
                if status == CONVERGED or enough == 0:
                    return status
            enough = 0.0 if complete else _gap_of(kept, urgent, gained, solved)
            kept = kept | urgent
            found = yield from _fitted(here, start, kept, enough)
            if found is None:
                return (yield from _in_memory(len(here.w), proven=True)(start._replace(w=here.w)))
            best, before = found, here.value
            here = yield Evaluate(best)
            gained = max(before - here.value, 0.0) / before
        return CONVERGED


def _gap_of(kept, urgent, gained, solved):
    """The relative gap of a fit to a set: rough while sets gain much."""
    if not urgent.any():
        return solved
    nearly = urgent.sum() <= max(_FEW * kept.sum(), 1)
    return max(solved if nearly else _TRIED, min(_PART * gained, _ROUGH))


def _fitted(here, start, kept, enough):
    """The weights of a fit to the columns that are kept, or to all of them where most are.

    None where columns cannot be gathered, and where prox-newton would draw rows of all: the last step wants
    a Hessian of all rows, which would take longer than all that goes before.
    """
    n, k, size = start.n_features, start.n_outputs, len(here.w)
    if _MOST * kept.sum() <= n:
        some = yield Draw(Columns(np.flatnonzero(kept)))
        if some is None:
            return None
        which, best = np.append(np.repeat(kept, k), np.ones(size - n * k, dtype=bool)), here.w.copy()
        known = some.start(here.w[which], start.seed)
        best[which] = (yield from _on(some, known, enough, _in_memory(len(known.w)))).w
        return best
    if size > _WHOLE_UP_TO or start.n_rows > prox_newton.rows_per_parameter * size:
        return None
    whole = yield Draw(InFloat64(rounded=False))
    if whole is None:  # they are in float64
        return (yield from _on(None, start._replace(w=here.w), enough, prox_newton())).w
    known = whole.start(whole.at.centred(here.w), start.seed)
    return whole.at.original((yield from _on(whole, known, enough, prox_newton())).w)


def _in_memory(size, proven=False):
    return prox_newton() if size <= MODEL_UP_TO else newton_by_columns(proven)


def _urgent(urgency, kept, most):
    """The columns that are not kept and whose gradients are above their penalties, the worst ones of many.

    That the strong rule would keep more, from one penalty of a path to the next, costs more than it spares.
    """
    urgency = np.where(kept, 0.0, urgency)
    room = int(len(kept) / _MOST) - int(kept.sum())
    most = min(max(_ADDED, most), max(room, 1))
    beyond = np.flatnonzero(urgency > 1 + _SLACK)
    urgent = np.zeros(len(kept), dtype=bool)
    urgent[beyond[np.argsort(-urgency[beyond], kind="stable")[:most]]] = True
    if not (kept.any() or urgent.any()):  # all weights are zero: one column says so
        urgent[urgency.argmax()] = True
    return urgent


def _on(some, start, enough, solver):
    """The best Point of a solver on some columns, or None for all, until its relative gap is `enough`."""
    questions, answer = solver(start), None
    best, steps = None, 0
    while True:
        try:
            question = questions.send(answer)
        except StopIteration:
            polishes = enough <= _SOLVED and isinstance(solver, prox_newton)
            return (yield from polished(best, start.l1, some))[0] if polishes else best
        match question:
            case Accept(point, gap):
                if gap is None:
                    gap = yield DualValue(point, on=some)
                better = best is None or point.value <= best.value + point.rounding
                best, steps = point if better else best, steps + 1
                answer = gap <= enough * point.value or steps == _STEPS
            case Draw():
                answer = None
            case _:
                answer = yield replace(question, on=some)


def _told(here, best):
    """Accept a point with a proof from sums in float64, if these were not: its own residuals would find what
    rounding has done to the gradient."""
    exact = yield Draw(InFloat64(rounded=False))
    if exact is None:
        return NOISE_FLOOR
    least = yield Evaluate(exact.at.centred(best), on=exact)
    gap = yield DualValue(least, on=exact)
    above = (yield Evaluate(exact.at.centred(here.w), on=exact)).value - least.value
    proven = max(above, 0.0) + gap + 16 * np.finfo(np.float64).eps * least.value
    return CONVERGED if (yield Accept(here, proven=proven)) else NOISE_FLOOR
