"""Newton steps where the levels of a category are eliminated from the system."""

from collections import deque

import numpy as np

from .by_class import beside_shifts
from .lbfgs import two_loop
from .line_search import step
from .questions import BY_LEVELS, CONVERGED, NOISE_FLOOR, Accept, Curvature

LEVELS_AT_ONCE = 25
"""Cost of a step by levels, in products with the Hessian, up to which conjugate gradients are not tried:
where a category is wide, they take at least as many."""

_POOR = 0.1  # if a step leaves a larger share of the decrement, the next one takes a new Hessian
_FLATTENING = 0.5  # share of the slope that a unit step may leave: an exact one gains less than a Hessian
_MEMORY = 10  # pairs of changes in w and in the gradient that are kept


def newton_by_levels(here, start):
    """Run Newton's method from an accepted point and return the status.

    A factor of the Hessian serves several steps, corrected by L-BFGS updates, as long as each step removes
    most of the decrement. Such a step takes one read of X; a step with a new Hessian takes two.
    """
    pairs, metric = deque(maxlen=_MEMORY), None
    while True:
        fresh = metric is None
        if fresh:
            metric = yield from metric_by_levels(here, start)
            pairs.clear()
        there = yield from step(here, -two_loop(pairs, metric, here.gradient), flat=_FLATTENING)
        if there is None and fresh:
            return NOISE_FLOOR
        if there is None:
            metric = None
            continue
        before = 0.5 * (here.gradient @ two_loop(pairs, metric, here.gradient))
        s, y = there.w - here.w, there.gradient - here.gradient
        if s @ y > 0:
            pairs.append((s, y))
        here = there
        decrement = 0.5 * (here.gradient @ two_loop(pairs, metric, here.gradient))
        if (yield Accept(here, gap=decrement)):
            return CONVERGED
        if decrement > _POOR * before:
            metric = None


def metric_by_levels(here, start):
    """Return the function v -> H⁻¹·v at a point; a generator of questions."""
    solve = yield Curvature(here.w, BY_LEVELS, margins=here.margins)
    return solve if start.n_outputs == 1 else beside_shifts(solve, np.asarray(start.ridge), start.n_outputs)
