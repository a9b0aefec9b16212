"""Newton's method: with the Hessian factored, and with its system solved by conjugate gradients."""

import math
from dataclasses import dataclass

import numpy as np

from .line_search import step
from .questions import CONVERGED, DIAGONAL, NOISE_FLOOR, SOLVE, Accept, Curvature, Evaluate, HessianVector


@dataclass(frozen=True)
class newton_cholesky:
    """Newton's method (iteratively reweighted least squares): d = −H⁻¹g with the full Hessian, (n + 1)²
    numbers.

    The gap to the optimum is half the squared Newton decrement, ½·gᵀH⁻¹g. When that is small enough one last
    full step is taken, since its factor is at hand: results then agree to rounding, whatever `tol` says.

    References
    ----------
    Boyd and Vandenberghe, Convex Optimization, algorithm 9.5.
    """

    def __call__(self, start):
        here = yield Evaluate(start.w)
        while True:
            solve = yield Curvature(here.w, SOLVE)
            direction = -solve(here.gradient)
            if (yield Accept(here, gap=-0.5 * (here.gradient @ direction))):
                last = yield Evaluate(here.w + direction)
                if last.value <= here.value + here.rounding:
                    yield Accept(last, gap=0.5 * (last.gradient @ solve(last.gradient)))
                return CONVERGED
            here = yield from step(here, direction)
            if here is None:
                return NOISE_FLOOR


@dataclass(frozen=True)
class newton_cg:
    """Truncated Newton: H·d = −g solved by conjugate gradients, each step of them one read of X.

    Preconditioned by the diagonal of the Hessian at the start; stopped at a residual of min(0.1,
    √(‖g‖/‖g₀‖)), in the preconditioned norm, relative to its start. The step at hand when a point is good
    enough is taken, as in newton-cholesky.

    Parameters
    ----------
    max_inner : int
        Conjugate-gradient steps at most for one Newton step.

    References
    ----------
    Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.1; forcing terms after Dembo, Eisenstat
    and Steihaug (1982), SIAM J. Numer. Anal. 19.
    """

    max_inner: int = 200

    def __post_init__(self):
        if not (isinstance(self.max_inner, int) and self.max_inner >= 1):
            raise ValueError(f"`max_inner` is {self.max_inner!r}; expected a positive integer.")

    def __call__(self, start):
        here = yield Evaluate(start.w, diagonal=True)
        inverse = 1 / np.where(here.diagonal > 0, here.diagonal, 1)
        first_norm = math.sqrt(here.gradient @ (inverse * here.gradient)) or 1.0
        while True:
            norm = math.sqrt(here.gradient @ (inverse * here.gradient))
            forcing = min(0.1, math.sqrt(norm / first_norm))
            direction = yield from conjugate_gradients(
                here, lambda r: inverse * r, forcing, self.max_inner, margins=here.margins
            )
            decrement = -0.5 * (here.gradient @ direction)
            if (yield Accept(here, gap=decrement)):
                last = yield Evaluate(here.w + direction)
                if last.value <= here.value + here.rounding:
                    yield Accept(
                        last, gap=decrement
                    )  # at most: what is left is unknown without more products
                return CONVERGED
            here = yield from step(here, direction)
            if here is None:
                return NOISE_FLOOR


def conjugate_gradients(here, precondition, forcing, most, on=None, margins=None):
    """d ≈ −H⁻¹g, down to a residual of `forcing` in the preconditioned norm; margins: those of `here`, if on the same rows."""
    d = np.zeros_like(here.w)
    r = -here.gradient
    z = precondition(r)
    p, rz = z, r @ z
    enough = forcing**2 * rz
    for _ in range(most):
        if rz <= enough:
            break
        Hp = yield HessianVector(here.w, p, on, margins)
        curvature = p @ Hp
        if not curvature > 0:  # only rounding can do this: F is convex
            break
        alpha = rz / curvature
        d = d + alpha * p
        r = r - alpha * Hp
        z = precondition(r)
        rz, previous = r @ z, rz
        p = z + (rz / previous) * p
    return d


def newton_in_memory(on, w, enough, most_steps, factored_up_to=math.inf):
    """Newton's method on rows in memory, down to a decrement of `enough` of the value: the Point, and the
    last decrement.

    The Hessian is factored up to some number of parameters; beyond, its system is solved by conjugate
    gradients.
    """
    here = yield Evaluate(w, on)
    if len(w) > factored_up_to:
        diagonal = yield Curvature(here.w, DIAGONAL, on)
        inverse = 1 / np.where(diagonal > 0, diagonal, 1)
    for _ in range(most_steps):
        if len(w) > factored_up_to:
            direction = yield from conjugate_gradients(
                here, lambda r: inverse * r, 0.1, 200, on, here.margins
            )
        else:
            solve = yield Curvature(here.w, SOLVE, on)
            direction = -solve(here.gradient)
        decrement = -0.5 * (here.gradient @ direction)
        there = (yield from step(here, direction, on)) if decrement > enough * here.value else None
        if there is None:
            break
        here = there
    return here, decrement
