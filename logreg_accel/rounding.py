"""Weights rounded to the dtype of the coefficients, such that margins change as little as they can."""

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

_LIFT = 1e-13  # of a unit diagonal, beside which rounding errors of the Hessian are small

_ENDED = CONVERGED, ESTIMATED, NOISE_FLOOR  # statuses that depend on how near the weights are


def once(objective, solver, found, taken_on, goes_on):
    """The Solution of a run that rounding stopped, continued with weights that are rounded at its end alone;
    None where there are no sums in float64, or all weights keep their digits.

    Parameters
    ----------
    objective : Objective
    solver : callable Start -> generator of questions
        That continues.
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
    if not goes_on():
        return so_far
    last = taken_on(nearest(free.at.centred(objective.at.original(best.w)), free, exact), exact, so_far)
    return last if best.status in _ENDED else last._replace(status=ended, separating=best.separating)


def nearest(w, free, exact):
    """A solver whose only step goes from its start to rounded weights near w, where they are better.

    Parameters
    ----------
    w : ndarray (size,)
    free, exact : Objective
        Points of the first are not rounded; those of the second, of which the start is one, are.
    """

    def solve(start):
        best, aim = (yield Evaluate(start.w)), w
        if start.n_outputs > 1 and not (np.any(start.ridge) or np.any(start.l1)):
            aim = without_shifts(w, start.n_outputs)  # what all classes have in common may be large
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
    """Weights that are rounded one after another, the later ones moved to where H wants them for the earlier.

    The columns of w may be nearly collinear: then errors that are rounded on their own add up along them, and
    only together can they cancel. Weights whose errors cost most go first. Those that are zero stay so.

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
