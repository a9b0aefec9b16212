"""Newton's method in the space of the rows, for features much more numerous than rows."""

from dataclasses import dataclass

import numpy as np

from .newton import newton_in_memory
from .questions import CONVERGED, NOISE_FLOOR, Gradient, Lift, Progress, RowSpace

_SOLVED = 1e-20  # of the loss: until rounding hides any descent
_MOST_STEPS = 60


@dataclass(frozen=True)
class row_space:
    """Newton's method for w = Qu, where the columns of Q are an orthonormal basis of the rows of X.

    With a penalty the minimum lies in that space, and ‖w‖ = ‖u‖: the same problem with as many unknowns as rows. X is read
    for its Gram matrix XXᵀ, once more to go back from u to w, and once to evaluate the answer. Any start is forgotten.

    References
    ----------
    Hastie and Tibshirani (2004), Efficient quadratic regularization for expression arrays, Biostatistics 5.
    """

    def __call__(self, w, seed=0):
        rows = yield RowSpace()
        near, decrement = yield from newton_in_memory(rows, np.zeros(rows.size), _SOLVED, _MOST_STEPS)
        here = yield Gradient((yield Lift(near.w, rows)))
        # the same function of the same point: what the values differ by is what rounding did to w
        enough = yield Progress(here, gap=decrement + abs(here.value - near.value))
        return CONVERGED if enough else NOISE_FLOOR
