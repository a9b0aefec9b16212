"""Rounding of weights to the dtype of the coefficients, such that margins change as little as possible."""

import numpy as np
import scipy.linalg

from .history import ESTIMATED
from .metric import without_shifts
from .solvers.nearly_singular import LOOKED_AT_UP_TO, to_unit_diagonal
from .solvers.questions import (
    CONVERGED,
    MATRIX,
    NOISE_FLOOR,
    Accept,
    Curvature,
    Draw,
    Evaluate,
    InFloat64,
    Unrounded,
)

_LIFT = 1e-13  # added to a unit diagonal; the rounding errors of the Hessian are smaller

_ENDED = CONVERGED, ESTIMATED, NOISE_FLOOR  # statuses that depend on how near the weights are


def once(objective, solver, found, taken_on, goes_on):
    """Return the Solution of a run that rounding stopped, continued with weights that are rounded only at the
    end; None if there are no sums in float64, or if coefficients are float64.

    Parameters
    ----------
    objective : Objective
    solver : callable Start -> generator of questions
        The solver that continues.
    found : Solution
    taken_on : function (solver, objective, Solution) -> Solution
    goes_on : function () -> bool
        Whether budgets allow another run from `found`.
    """
    if objective.at.dtype == np.float64:
        return None
    exact = objective.answer(Draw(InFloat64())) or objective
    free = exact.answer(Draw(Unrounded()))
    if free is None:
        return None
    best = taken_on(solver, free, found)
    ended = NOISE_FLOOR if best.status in _ENDED else best.status
    so_far = found._replace(n_iter=best.n_iter, n_passes=best.n_passes, history=best.history, status=ended)
    so_far = so_far._replace(lower=best.lower)  # F* is the same, however weights are rounded
    if not goes_on():
        return so_far
    last = taken_on(nearest(free.at.centred(objective.at.original(best.w)), free, exact), exact, so_far)
    return last if best.status in _ENDED else last._replace(status=ended, separating=best.separating)


def nearest(w, free, exact):
    """Return a solver whose only step goes from its start to rounded weights near w, if they are better.

    Parameters
    ----------
    w : ndarray (size,)
    free, exact : Objective
        Points of the first are not rounded; those of the second, such as the start, are.
    """

    def solve(start):
        best, aim = (yield Evaluate(start.w)), w
        if start.n_outputs > 1 and not (np.any(start.ridge) or np.any(start.l1)):
            aim = without_shifts(w, start.n_outputs)  # a common shift of all classes may be large
        tried = [exact.at.rounded(aim)]
        if len(aim) <= LOOKED_AT_UP_TO:
            tried.append(one_by_one(exact.at, aim, (yield Curvature(aim, MATRIX, on=free))))
        for weights in tried:
            here = yield Evaluate(weights, on=exact)
            best = here if here.value < best.value else best
        yield Accept(best)
        return NOISE_FLOOR

    return solve


def one_by_one(at, w, H):
    """Round weights one after another, and move the rest to the minimum of ½·dᵀHd for the errors made so far.

    If columns are nearly collinear, errors of weights that are rounded independently add up along them; here
    they can cancel. Weights whose errors cost most are rounded first. Weights that are zero remain zero.

    Parameters
    ----------
    at : Coordinates
    w : ndarray (size,)
    H : ndarray (size, size)

    References
    ----------
    Babai (1986), On Lovász' lattice reduction and the nearest lattice point problem, Combinatorica 6.
    """
    scale, x = to_unit_diagonal(H), at.rounded(w)
    steps = np.where(w == 0, 0, abs(np.spacing(x.astype(at.dtype)).astype(np.float64)) / scale)
    steps[x == w] = 0
    order = np.argsort(steps, kind="stable")
    order = order[w[order] != 0]
    part = (H * scale * scale[:, None])[np.ix_(order, order)]
    part.reshape(-1)[:: len(part) + 1] += _LIFT
    try:
        R = scipy.linalg.cholesky(part, check_finite=False)
    except np.linalg.LinAlgError:
        return x
    off = np.zeros(len(order))
    for k in range(len(order) - 1, -1, -1):
        j = order[k]
        x[j] = w[j] - scale[j] * (R[k, k + 1 :] @ off[k + 1 :]) / R[k, k]
        x[j] = at.rounded(x)[j]
        off[k] = (x[j] - w[j]) / scale[j]
    return x
