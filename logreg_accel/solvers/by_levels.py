"""Newton steps where the levels of a category are eliminated from the system."""

from collections import deque

import numpy as np

from .by_class import beside_shifts
from .lbfgs import two_loop
from .line_search import step
from .questions import BY_LEVELS, CONVERGED, NOISE_FLOOR, Accept, Curvature

LEVELS_AT_ONCE = 25
"""Products that a step takes in any case where a category is wide: up to so many, none is tried."""

_POOR = 0.1  # share of a decrement that is left after a step, from which on the next one takes a new Hessian
_FLATTENING = 0.5  # share of a slope that the unit step may leave: a longer one gains less than a Hessian
_MEMORY = 10  # changes of the gradient that are kept


def newton_by_levels(here, start):
    """Run Newton's method from an accepted point and return the status.

    A factor serves for several steps, corrected by what L-BFGS learns on the way, as long as each gains most
    of what is left: a step then takes one read, and two with a Hessian of its own.
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
    """v -> H⁻¹·v at a point."""
    solve = yield Curvature(here.w, BY_LEVELS, margins=here.margins)
    return solve if start.n_outputs == 1 else beside_shifts(solve, np.asarray(start.ridge), start.n_outputs)
