"""Newton's method in the row space, for data with many more features than rows."""

import math
from dataclasses import dataclass

import numpy as np

from .lbfgs import lbfgs
from .line_search import NEWTON_FLATTENING, step
from .questions import BY_ROWS, CONVERGED, SOLVE, Accept, Combine, Curvature, Draw, Evaluate, RowSpace

_SOLVED = 1e-20  # decrement relative to the loss: run until rounding hides any descent
_MOST_STEPS = 100
_WORN = 0.03
"""Share of a decrement that a step may leave for its factor to serve the next one: the same matrix again
gains as much once more, for a small part of the time of a new one."""


@dataclass(frozen=True)
class row_space:
    """Newton's method for w = Qu, where the columns of Q are an orthonormal basis of the rows of X.

    With a penalty, the minimum lies in the span of Q, and ‖w‖ = ‖u‖, so this is the same problem with as many
    unknowns as rows. X is read four times: to evaluate the start, for the Gram matrix XXᵀ, to map u back to
    w, and to evaluate the answer. The start itself is not used. If squaring X loses the information in some
    of its columns (because another one is larger by many orders of magnitude), the gradient shows it, and
    L-BFGS continues from the answer.

    References
    ----------
    Hastie and Tibshirani (2004), Efficient quadratic regularization for expression arrays, Biostatistics 5.
    """

    def bytes_beside(self, shape):
        """XXᵀ, its factors, a copy of X in the order of the pivots, and Newton's method in that space."""
        m, k = shape.n_rows, shape.n_outputs
        return shape.vectors(8) + shape.nbytes + shape.matrices(4, m) + shape.matrices(3, m * k)

    def __call__(self, start):
        yield Evaluate(start.w)
        rows = yield Draw(RowSpace())
        near, decrement = yield from _newton(rows, BY_ROWS if start.n_outputs == 1 else SOLVE)
        here = yield Evaluate((yield Combine(near.w, rows)))
        if (yield Accept(here, gap=max(decrement, _convexity(here, start)))):
            return CONVERGED
        return (yield from lbfgs()(start._replace(w=here.w)))


def _convexity(here, start):
    """The bound on F − F* by strong convexity, without the part of the gradient that is its rounding."""
    rounding = start.piled * here.rounding / math.sqrt(max(here.value, here.rounding)) * start.scale
    beyond = np.maximum(abs(here.gradient) - rounding, 0)
    return float((beyond * beyond).sum()) / (2 * start.ridge.max())


def _newton(rows, form):
    """Run Newton's method from zero until nothing is gained, and return the last Point and its decrement."""
    here, solve = (yield Evaluate(np.zeros(rows.size), rows)), None
    for _ in range(_MOST_STEPS):
        fresh = solve is None
        solve = solve or (yield Curvature(here.w, form, rows, here.margins))
        direction = -solve(here.gradient)
        decrement = -0.5 * (here.gradient @ direction)
        if not decrement > _SOLVED * here.value:
            break
        there = yield from step(here, direction, rows, flat=NEWTON_FLATTENING)
        if there is None and fresh:
            break
        if there is None:
            solve = None
            continue
        here = there
        if 0.5 * (here.gradient @ solve(here.gradient)) > _WORN * decrement:
            solve = None
    return here, decrement
