"""Newton steps for given signs of the weights, for columns so nearly collinear that models lose directions.

The model of a step under an L1 penalty is solved with its diagonal increased by more than the rounding of its
sums. Along directions with less curvature than that, its steps are too short by orders of magnitude.
"""

import numpy as np

from .nearly_singular import directions, loses
from .questions import MATRIX, Curvature


def worth(here, H, l1):
    """Whether a model with the Hessian H loses directions of the weights that are not zero."""
    free = _free(here, l1)
    return loses(H[np.ix_(free, free)])


def step(here, l1):
    """Return the Newton step of the weights that are not zero, cut at the best point where one becomes zero.

    Returns
    -------
    step : ndarray (size,)
    decrement : float
        The decrease by the whole step if all weights kept their signs.
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
    """The numbers of the weights that are not zero or have no L1 penalty."""
    return np.flatnonzero((here.w != 0) | (l1 == 0))
