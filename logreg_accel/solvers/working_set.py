"""Working sets: with an L1 penalty most weights are zero, so that few columns suffice to find the others."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .by_columns import newton_by_columns
from .proximal import fista, polished, prox_newton
from .questions import CONVERGED, NOISE_FLOOR, Accept, Columns, Draw, DualValue, Evaluate, InFloat64

MODEL_UP_TO = 1000  # weights of a model that is a matrix; beyond, coordinate descent solves the model
_SPARSE_MODEL_UP_TO = 400  # the same for compressed rows, whose products take less than factors of a matrix
_SPARSE = 8  # numbers of X for each entry, from which that holds
_INDEX = 8  # most bytes of an index of compressed rows
_WHOLE_UP_TO = 4000  # weights up to which prox-newton fits all columns at once
_MOST = 1.5  # at most 1/_MOST of the columns are gathered: with more of them, all may as well be fitted
_ADDED = 32  # the least number of columns by which a set grows; otherwise as many as have weights
_FULL, _FASTER = 0.9, 3  # if this share of a set has weights, it is far too small and grows so much faster
_CLOSE = 0.9  # a column without a weight stays in the set if its gradient is above this share of its penalty
_FEW = 0.1  # a set that lacks fewer columns than this share of its own is nearly complete
_TRIED, _ROUGH = 1e-4, 1e-3  # relative gaps of fits that only show which columns matter
_PART = 0.01  # share of the last set's relative gain to which the gap of the next fit is reduced
_SOLVED, _FINEST = 1e-10, 1e-14  # relative gaps of fits to a set that is nearly complete, before a last step
_CLOSER = 1e-6  # factor from one gap to the next where a proof has missed
_STEPS = 1000  # steps of a fit to a set, at most
_SLACK = 1e-6  # relative excess of a gradient over its penalty that does not count


@dataclass(frozen=True)
class working_set:
    """Fits to some columns, gathered into memory, until no other one has a gradient above its penalty.

    The columns whose gradients are largest relative to their penalties join those with weights; these alone
    are fitted, and one read of X then gives the gradients of all. A set grows to twice the number of columns
    with weights, or to four times as long as nearly all have one, and columns without a weight and with a
    small gradient leave it. So X is read a handful of times. From the optimum under another penalty, as along
    a path, it is read two to four times. If two thirds of the columns matter, or if they cannot be gathered
    (on a GPU, from disk), all of them are fitted at once. Few columns are fitted by prox-newton, many by
    coordinate descent; of a sparse X, whose products take little, it is many sooner.

    References
    ----------
    Johnson and Guestrin (2015), Blitz: a principled meta-algorithm for scaling sparse optimization, ICML;
    Massias, Gramfort and Salmon (2018), Celer: a fast solver for the lasso with dual extrapolation, ICML.
    """

    for_l1: ClassVar[bool] = True
    patience: ClassVar[int] = fista.patience

    def bytes_beside(self, shape):
        """Count the columns in float64, twice for coordinate descent, and prox-newton's Hessian."""
        copies = 1 if shape.size <= _model_up_to(_may_be_sparse(shape)) else 2
        gathered = int(copies * 8 * min(shape.n_rows * shape.n_features, shape.nbytes) / _MOST)
        return shape.vectors(12) + gathered + shape.hessian(min(shape.size, _WHOLE_UP_TO))

    def __call__(self, start):
        n, k = start.n_features, start.n_outputs
        l1, kept, enough = start.l1[: n * k].reshape(n, k), np.zeros(n, dtype=bool), math.inf
        solved = min(_SOLVED, max(start.tol**2, _FINEST))  # a bound is of the first order in gradients
        here, best, gained, closely = (yield Evaluate(start.w)), start.w, 0.0, False
        while not (yield Accept(here)):
            weights, slope = (part[: n * k].reshape(n, k) for part in (here.w, here.gradient))
            urgency = np.divide(abs(slope), l1, out=np.zeros_like(slope), where=l1 > 0).max(axis=1)
            there = ((weights != 0) | (l1 == 0)).any(axis=1)
            times = _FASTER if there.sum() >= _FULL * kept.sum() else 1
            kept = there | (kept & (urgency > _CLOSE))
            at_once = len(here.w) <= _model_up_to(_is_sparse(start) and not closely)
            urgent = _urgent(urgency, kept, times * int(there.sum()), at_once)
            complete = enough <= solved and not urgent.any()
            if complete:
                status = yield from _told(here, best)
                if status == CONVERGED or enough == 0:
                    return status
            enough = _closer(enough) if complete else _gap_of(kept, urgent, gained, solved)
            closely = closely or enough == 0
            kept = kept | urgent
            found = yield from _fitted(here, start, kept, enough, closely)
            if found is None:
                return (yield from _in_memory(start, closely, proven=True)(start._replace(w=here.w)))
            best, before = found, here.value
            here = yield Evaluate(best)
            gained = max(before - here.value, 0.0) / before
        return CONVERGED


def _closer(enough):
    """The gap to ask of a complete set whose proof has missed; at last, all that rounding leaves."""
    return enough * _CLOSER if enough >= _FINEST else 0.0


def _gap_of(kept, urgent, gained, solved):
    """Return the relative gap at which a fit to a set ends: rough while sets gain much and can grow."""
    if not urgent.any() or (kept | urgent).all():
        return solved
    nearly = urgent.sum() <= max(_FEW * kept.sum(), 1)
    return max(solved if nearly else _TRIED, min(_PART * gained, _ROUGH))


def _fitted(here, start, kept, enough, closely):
    """Return the weights of a fit to the columns that are kept, or to all columns if most of them are.

    The result is None if columns cannot be gathered, or if prox-newton would draw a sample of the rows: the
    last step takes a Hessian of all rows, which would then take longer than all steps before it.
    """
    n, k, size = start.n_features, start.n_outputs, len(here.w)
    if _MOST * kept.sum() <= n:
        some = yield Draw(Columns(np.flatnonzero(kept)))
        if some is None:
            return None
        which, best = np.append(np.repeat(kept, k), np.ones(size - n * k, dtype=bool)), here.w.copy()
        known = some.start(here.w[which], start.seed)
        best[which] = (yield from _on(some, known, enough, _in_memory(known, closely))).w
        return best
    solver = _in_memory(start, closely) if _is_sparse(start) and not closely else prox_newton()
    sampled = start.n_rows > prox_newton.rows_per_parameter * size
    if isinstance(solver, prox_newton) and (size > _WHOLE_UP_TO or sampled):
        return None
    whole = yield Draw(InFloat64(rounded=False))
    if whole is None:  # they are in float64
        return (yield from _on(None, start._replace(w=here.w), enough, solver)).w
    known = whole.start(whole.at.centred(here.w), start.seed)
    return whole.at.original((yield from _on(whole, known, enough, solver)).w)


def _in_memory(start, closely, proven=False):
    by_products = _is_sparse(start) and not closely
    return prox_newton() if len(start.w) <= _model_up_to(by_products) else newton_by_columns(proven)


def _model_up_to(by_products):
    """The largest number of weights whose model is a matrix. Where proofs have missed, matrices find minima
    `closely` that products with a sparse X may not."""
    return min(_SPARSE_MODEL_UP_TO, MODEL_UP_TO) if by_products else MODEL_UP_TO


def _may_be_sparse(shape):
    """Whether compressed rows of as many bytes could be sparse, be their entries as wide as they can be."""
    entries = (shape.nbytes - _INDEX * (shape.n_rows + 1)) / (_INDEX + 8)
    return shape.n_outputs == 1 and _SPARSE * entries <= shape.n_rows * shape.n_features


def _is_sparse(start):
    return start.n_outputs == 1 and _SPARSE * start.entries <= start.n_rows * start.n_features


def _urgent(urgency, kept, most, all_at_once):
    """The columns outside the set whose gradients are above their penalties, at most `most` of them.

    The strong rule would add more of them, from one penalty of a path to the next; that costs more than it
    saves.
    Where more are wanted than may be gathered, all others are taken `all_at_once`, or some in each step.
    """
    urgency = np.where(kept, 0.0, urgency)
    room = int(len(kept) / _MOST) - int(kept.sum())
    beyond = np.flatnonzero(urgency > 1 + _SLACK)
    most = max(_ADDED, most)
    if all_at_once and room < min(most, len(beyond)):
        return ~kept
    most = min(most, max(room, 1))
    urgent = np.zeros(len(kept), dtype=bool)
    urgent[beyond[np.argsort(-urgency[beyond], kind="stable")[:most]]] = True
    if not (kept.any() or urgent.any()):  # all weights are zero, and a fit to one column shows it
        urgent[urgency.argmax()] = True
    return urgent


def _on(some, start, enough, solver):
    """Return the best Point of a solver on some columns (None: on all) once its relative gap is `enough`."""
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
    """Accept a point with a proof from sums in float64: with float32 sums, the rounding of the gradient would
    appear in the bound."""
    exact = yield Draw(InFloat64(rounded=False))
    if exact is None:
        return NOISE_FLOOR
    least = yield Evaluate(exact.at.centred(best), on=exact)
    gap = yield DualValue(least, on=exact)
    above = (yield Evaluate(exact.at.centred(here.w), on=exact)).value - least.value
    proven = max(above, 0.0) + gap + 16 * np.finfo(np.float64).eps * least.value
    return CONVERGED if (yield Accept(here, proven=proven)) else NOISE_FLOOR
