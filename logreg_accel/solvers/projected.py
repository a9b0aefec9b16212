"""Projected Newton, for weights between bounds."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.linalg

from .. import clock
from . import line_search
from .questions import CONVERGED, MATRIX, NOISE_FLOOR, Accept, Curvature, Evaluate

_ENOUGH_DECREASE = 1e-4
_LIFT = 1e-13
_ROUNDS_PER_WEIGHT = 10
_SETTLED = 1e-10  # share of the model's decrease that is not worth leaving a bound for


@dataclass(frozen=True)
class projected_newton:
    """Newton's method with weights that stay between bounds.

    A step goes to the minimum of the quadratic model between the bounds, which an active-set method with
    projected steps finds in memory. The line search is that of newton-cholesky, and without bounds the two
    methods are the same.

    Parameters
    ----------
    box : (lower, upper) or None
        Arrays of the size of a point, which a fit with `bounds` sets.

    References
    ----------
    Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints, SIAM J.
    Control Optim. 20; Nocedal and Wright, Numerical Optimization, 2nd ed., § 16.7.
    """

    box: Any = None
    for_bounds: ClassVar[bool] = True

    def bytes_beside(self, shape):
        return shape.vectors(12) + 2 * shape.hessian(shape.size)

    def __call__(self, start):
        lower, upper = self.box or (np.full(len(start.w), -np.inf), np.full(len(start.w), np.inf))
        flat = line_search.NEWTON_FLATTENING if np.any(start.ridge) else line_search.ENOUGH_FLATTENING
        here, gap = (yield Evaluate(np.clip(start.w, lower, upper))), math.inf
        while not (yield Accept(here, gap=gap)):
            H = yield Curvature(here.w, MATRIX)
            direction = between(H, here.gradient, here.w, lower, upper) - here.w
            gap = -float(here.gradient @ direction + 0.5 * direction @ H @ direction)
            here = yield from line_search.step(here, direction, flat=flat, box=(lower, upper))
            if here is None:
                return NOISE_FLOOR
        return CONVERGED


def held(w, gradient, lower, upper):
    """Which weights are at a bound that the gradient pushes them against."""
    return ((w <= lower) & (gradient > 0)) | ((w >= upper) & (gradient < 0))


def newton_step(H, gradient, free):
    """Return −H⁻¹·g in the space of the free weights, and 0 elsewhere.

    The diagonal of H is increased as far as rounding has made H indefinite.
    """
    A, step, lift = H[np.ix_(free, free)], np.zeros(len(gradient)), _LIFT
    diagonal = A.diagonal()
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    A = A * unit * unit[:, None]
    while lift < 1e3:
        try:
            A[np.diag_indices_from(A)] = 1 + lift
            factor = scipy.linalg.cho_factor(A, lower=True, check_finite=False)
            break
        except np.linalg.LinAlgError:
            lift *= 10
    else:
        raise FloatingPointError("The Hessian has entries that are not finite.")
    step[free] = -unit * scipy.linalg.cho_solve(factor, unit * gradient[free], check_finite=False)
    return step


def between(H, gradient, w, lower, upper):
    """The u between bounds that minimises g·(u − w) + ½·(u − w)ᵀH(u − w), by an active set.

    In the space of the free weights, a Newton step is projected onto the box if the model decreases there,
    and otherwise cut at the first bound on its way. If it stays within the box, the weight that gains most by
    leaving its bound becomes free.
    """
    u, q, fallen = w.copy(), gradient.copy(), 0.0
    fixed = held(u, q, lower, upper) | (lower == upper)
    gain = np.where(H.diagonal() > 0, 0.5 / np.where(H.diagonal() > 0, H.diagonal(), 1), 0.0)
    for _ in range(_ROUNDS_PER_WEIGHT * len(w) + 20):
        clock.check()
        step = newton_step(H, q, ~fixed)
        d = np.clip(u + step, lower, upper) - u
        inside = (d == step).all() or bool((abs(d - step) <= 1e-15 * abs(u)).all())
        if not inside and float(q @ d + 0.5 * d @ H @ d) > 0.5 * _ENOUGH_DECREASE * float(q @ step):
            d = _cut(u, step, lower, upper)
        fallen -= float(q @ d + 0.5 * d @ H @ d)
        u, q = np.clip(u + d, lower, upper), q + H @ d
        if not inside:
            fixed |= ((u <= lower) & (step < 0)) | ((u >= upper) & (step > 0))
            continue
        inward = ((u <= lower) & (q < 0)) | ((u >= upper) & (q > 0))
        gains = np.where(fixed & inward & (lower < upper), q * q * gain, 0.0)
        if not gains.max(initial=0) > _SETTLED * fallen:
            break
        fixed[gains.argmax()] = False
    return u


def _cut(u, step, lower, upper):
    """A step as far as the first bound on its way, which it reaches exactly."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (upper - u) / step, np.where(step < 0, (lower - u) / step, np.inf))
    t = max(float(room.min()), 0.0)
    return np.where(room <= t, np.where(step > 0, upper, lower) - u, np.clip(t * step, lower - u, upper - u))
