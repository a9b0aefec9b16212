"""Steps under an L1 penalty where rows have next to no curvature, as beside large offsets.

F is nearly linear there as far as the margins of rows are from zero, and the minimum of a quadratic model is
infinitely far away.
"""

import numpy as np

_LEVEL = 0.01  # share of the squared slopes that those of free weights have where others move, too
_FARTHEST = 1e9  # a cap on a step, times the margins: beyond it, products with rows could overflow


def along_slopes(here, H, start):
    """A step of the weights along which a Hessian has next to no curvature, about as long as the margins.

    Weights without a penalty, such as an intercept, move alone until their slopes are next to nothing.
    """
    sizes, away = _sizes(start), np.where(here.w != 0, np.sign(here.w), -np.sign(here.gradient))
    slope = here.gradient + start.l1 * away
    rests = (here.w == 0) & (slope * away > 0)
    slope = np.where(rests, 0.0, slope) / sizes
    bent = H.diagonal() / sizes**2 * _FARTHEST * _margins(here, start) >= abs(slope)
    slope = np.where(bent, 0.0, slope)
    free = (start.l1 == 0) & (start.ridge == 0)
    if slope[free] @ slope[free] > _LEVEL * (slope @ slope):
        slope = np.where(free, slope, 0.0)
    return -_margins(here, start) / (abs(slope).sum() or 1.0) * slope / sizes


def shortened(d, here, start):
    """A step, or where it would take margins further away than any minimum is, one as long as that."""
    far = float(abs(d) @ _sizes(start)) / (_FARTHEST * _margins(here, start))
    return d / far if far > 1 else d


def _sizes(start):
    """Root mean squares of the columns; 1 for columns of zeros."""
    return np.where(start.scale > 0, start.scale, 1.0) + np.zeros_like(start.l1)


def _margins(here, start):
    """About the largest margins at a point, at least 1."""
    return 1.0 + start.offset + float(abs(here.w) @ _sizes(start))
