"""Newton's method in the row space, for data with many more features than rows."""

from dataclasses import dataclass

import numpy as np

from .lbfgs import lbfgs
from .newton import newton_in_memory
from .questions import BY_ROWS, CONVERGED, SOLVE, Accept, Combine, Draw, Evaluate, RowSpace

_SOLVED = 1e-20  # decrement relative to the loss: run until rounding hides any descent
_SURELY = 1e-10  # a step from a decrement of this size leads there
_MOST_STEPS = 60


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
        form = BY_ROWS if start.n_outputs == 1 else SOLVE
        near, decrement = yield from newton_in_memory(
            rows, np.zeros(rows.size), _SOLVED, _MOST_STEPS, surely=_SURELY, form=form
        )
        here = yield Evaluate((yield Combine(near.w, rows)))
        strong_convexity = float((here.gradient * here.gradient).sum()) / (2 * start.ridge.max())
        if (yield Accept(here, gap=max(decrement, strong_convexity))):
            return CONVERGED
        return (yield from lbfgs()(start._replace(w=here.w)))
