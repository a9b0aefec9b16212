"""Newton steps for the signs of the weights, where columns are so nearly collinear that models lose some.

The model of a step under an L1 penalty is solved with its diagonal lifted by more than the rounding of its
sums. Along directions whose curvature is below that it loses it, and its steps are too short by orders of
magnitude.
"""

import numpy as np

from .nearly_singular import directions, loses
from .questions import MATRIX, Curvature


def worth(here, H, l1):
    """Whether a model with the Hessian H loses directions of the weights that are not zero."""
    free = _free(here, l1)
    return loses(H[np.ix_(free, free)])


def step(here, l1):
    """The Newton step of the weights that are not zero, up to the best of the points where one becomes zero.

    Returns
    -------
    step : ndarray (size,)
    decrement : float
        What the whole step would gain if all weights kept their signs.
    """
    free, moved = _free(here, l1), np.zeros_like(here.w)
    if not len(free):
        return moved, 0.0
    H = yield Curvature(here.w, MATRIX, margins=here.margins)
    basis, _ = yield from directions(here, H[np.ix_(free, free)], active=free)
    w, slope, bound = here.w[free], here.gradient[free], np.broadcast_to(l1, here.w.shape)[free]
    half = basis.T @ (slope + bound * np.sign(w))
    d = -basis @ half
    crosses = (bound > 0) & (w * (w + d) < 0)
    zero_at = np.divide(-w, d, out=np.full_like(w, np.inf), where=crosses)
    ends = np.append(np.unique(zero_at[crosses]), 1.0)
    values = ends * (slope @ d) + 0.5 * ends * ends * (half @ half) + abs(w + ends[:, None] * d) @ bound
    end = ends[values.argmin()]
    moved[free] = np.where(zero_at == end, -w, end * d)
    return moved, 0.5 * float(half @ half)


def _free(here, l1):
    """The numbers of the weights that are not zero, or need not become zero."""
    return np.flatnonzero((here.w != 0) | (l1 == 0))
