"""Dual coordinate ascent on an objective: epochs over its rows, and the bound that its residuals prove.

Let p, 0 ≤ p ≤ 1, be the negative residual of a row towards its own class, and u = C·Σ s·p·ỹ·x, which is w at
the optimum. If Σ s·p·ỹ is zero or there is no intercept, then at any w and b::

    F(w, b) − F* ≤ (1/Σs)·Σ s·(ℓ(z) + ℓ*(−p) + p·z̃) + (λ/2)·‖w − u‖²

Both parts are Fenchel-Young gaps, which are never negative. Margins with errors δ raise the square root of
the first part by at most the square root of the mean of δ²/8, since no curvature exceeds 1/4 (Pinsker's
inequality).
"""

import math

import numpy as np

from .backends.ascent import DualEpoch, DualGap
from .backends.passes import RowVector
from .solvers.questions import EpochEnd

_EPSILON = float(np.finfo(np.float64).eps)


def strength(C, labelled, backend, loss):
    """C times the mean of s·‖x‖², which determines the rate of convergence; inf where epochs are not
    offered."""
    X = labelled.block.X
    if labelled.block.offset is not None or not backend.has_kernel(DualEpoch, loss, X):
        return math.inf
    return C * labelled.total_weight / X.shape[0] * X.mean_square_norm()


def epoch(objective, question):
    """The answer to a questions.Epoch."""
    if not offered(objective):
        return None
    settings = (_strength(objective), objective.fit_intercept, question.seed, question.settle)
    pass_ = DualEpoch(objective.at.columns(question.w), objective.loss, *settings, question.state)
    w, state, gap, intercept = objective.rows.exactly_weighted().sum(pass_)
    best = objective.at.flat(np.append(w[:-1], intercept)[:, None])
    return EpochEnd(objective.at.flat(w[:, None]), RowVector([state]), best, gap / objective.weight_sum)


def bound(objective, point):
    """The bound on F(point) − F* that the residuals of a point prove; one read."""
    rows, penalty = objective.rows, objective.penalty
    W, strength = objective.at.columns(point.w), _strength(objective)
    pass_ = DualGap(W, objective.loss, strength, objective.fit_intercept, point.margins, point.dual)
    of_rows, u = rows.exactly_weighted().sum(pass_)
    off = W[:-1, 0] - u
    of_weights = 0.5 * penalty.l2 * float((off * off).sum())
    # The rounding of margins, of logarithms, and of the sums in u, which are at most C·Σ s·|x| each.
    scale, offset = objective.at.of_columns(rows.scale), rows.offset_scale or 0.0
    margins = (point.rounding / point.value * (float(abs(point.w) @ scale) + offset)) ** 2 / 8
    sums = (
        strength * objective.weight_sum * rows.n_rows * _EPSILON * float(np.sqrt(np.square(rows.scale).sum()))
    )
    hidden = margins + 0.5 * penalty.l2 * sums * sums
    gap = of_rows / objective.weight_sum + of_weights + 8 * _EPSILON * point.value
    return (math.sqrt(gap) + math.sqrt(hidden)) ** 2


def offered(objective):
    """Whether the backend has epochs for an objective."""
    penalty = objective.penalty
    ridge = penalty.one_ridge and not penalty.has_l1
    return ridge and objective.models is None and objective.rows.offers(DualEpoch, objective.loss)


def _strength(objective):
    return 1 / (objective.penalty.l2 * objective.weight_sum)
