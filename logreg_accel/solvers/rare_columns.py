"""Steps where a sample has hardly seen some columns, as rare levels are: its optimum lies far along them.

The few rows that have such a column lose their curvature there, so that Newton's method goes astray even with
the Hessian of all rows. What a sample lacks is told by the diagonal of that Hessian.
"""

import math

import numpy as np
import scipy.linalg

from .from_sample import MOST_STEPS, SOLVED
from .questions import DIAGONAL, MATRIX, Curvature, Evaluate

_LACKS = 2.0  # times the curvature of the rows drawn, from which that of all shows a rare level
_LIFT = 1e-10  # of a unit diagonal
_LEAST_SHARE = 1e-4  # of a step on the sample
_SHORTER = 0.3
_ENOUGH = 1e-4  # Nocedal and Wright, Numerical Optimization, 2nd ed., eq. 3.6a


def misses(sample, here):
    """Whether a sample lacks most of the curvature of some column at a point of all rows."""
    seen = yield Curvature(here.w, DIAGONAL, sample)
    return bool((here.diagonal > _LACKS * seen).any())


def completed(H, diagonal):
    """A function v -> H⁻¹·v, where H has what it lacks most of beside the diagonal of all rows."""
    seen = H.diagonal()
    return _factored(H + np.diag(np.where(diagonal > _LACKS * seen, diagonal - seen, 0)))


def by_own_loss(sample, here):
    """The way from a point of all rows to the minimum of what a sample makes of F there.

    That is the loss of the sample, tilted such that its gradient is that of all rows (Shamir, Srebro and
    Zhang 2014, Communication-efficient distributed optimization using an approximate Newton-type method,
    ICML), and ½Σμⱼdⱼ², with the curvature that the sample lacks. A loss, unlike its Hessian, tells how far
    rows without curvature are from where they have some.
    """
    first = at = yield Evaluate(here.w, sample)
    lacking = np.maximum(here.diagonal - (yield Curvature(here.w, DIAGONAL, sample)), 0)
    tilt, d = here.gradient - first.gradient, np.zeros_like(here.w)
    value, gradient = first.value, here.gradient
    for _ in range(MOST_STEPS):
        H = yield Curvature(at.w, MATRIX, sample, at.margins)
        newton = -_factored(H + np.diag(lacking))(gradient)
        slope = float(gradient @ newton)
        if not -0.5 * slope > SOLVED * first.value:
            break
        share, there = 1.0, math.inf
        while not there <= value + _ENOUGH * share * slope and share > _LEAST_SHARE:
            at = yield Evaluate(here.w + d + share * newton, sample)
            way = at.w - here.w
            there = at.value + tilt @ way + 0.5 * way @ (lacking * way)
            share *= _SHORTER
        if not there < value:
            break
        d, value, gradient = way, there, at.gradient + tilt + lacking * way
    return d


def _factored(H):
    """A function v -> H⁻¹·v; H is lifted until it is positive definite."""
    diagonal = H.diagonal()
    scale, lift = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)), _LIFT
    scaled = H * scale * scale[:, None]
    while lift < math.inf:
        try:
            factor = scipy.linalg.cho_factor(scaled + lift * np.eye(len(H)), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            lift *= 10
        else:
            return lambda v: scale * scipy.linalg.cho_solve(factor, scale * v, check_finite=False)
    return lambda v: scale**2 * v  # H has no finite numbers to factorise
