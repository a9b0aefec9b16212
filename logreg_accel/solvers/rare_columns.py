"""Steps for columns that are zero in nearly all rows of a sample, such as rare levels of a category.

The optimum of the sample lies far along such a column. There the few rows that have it lose their curvature,
so that Newton's method diverges even with the Hessian of all rows. The diagonal of that Hessian shows which
curvature the sample lacks.
"""

import math

import numpy as np
import scipy.linalg

from .from_sample import MOST_STEPS, SOLVED
from .questions import DIAGONAL, MATRIX, Curvature, Evaluate

_LACKS = 2.0  # a sample lacks a column if all rows have more than this multiple of its curvature there
_LIFT = 1e-10  # added to a unit diagonal
_LEAST_SHARE = 1e-4  # the shortest step that is tried, as a share of the step on the sample
_SHORTER = 0.3
_ENOUGH = 1e-4  # Nocedal and Wright, Numerical Optimization, 2nd ed., eq. 3.6a


def misses(sample, here):
    """Whether a sample lacks most of the curvature of some column at a point of all rows."""
    seen = yield Curvature(here.w, DIAGONAL, sample)
    return bool((here.diagonal > _LACKS * seen).any())


def completed(H, diagonal):
    """Return a function v -> H⁻¹·v, where H is given the curvature that it lacks beside that of all rows."""
    seen = H.diagonal()
    return _factored(H + np.diag(np.where(diagonal > _LACKS * seen, diagonal - seen, 0)))


def by_own_loss(sample, here):
    """Return the step from a point of all rows to the minimum of a model of F that a sample gives.

    The model is the loss of the sample plus a linear term, which makes its gradient that of all rows, plus
    ½Σμⱼdⱼ², where μ is the curvature that the sample lacks. Unlike a quadratic model, the loss itself shows
    how far rows without curvature are from the region where they have some.

    References
    ----------
    Shamir, Srebro and Zhang (2014), Communication-efficient distributed optimization using an approximate
    Newton-type method, ICML.
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
    """Return a function v -> H⁻¹·v; the diagonal of H is increased until H is positive definite."""
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
    return lambda v: scale**2 * v  # H has entries that are not finite
