"""Coordinate descent on a quadratic model with an L1 penalty, from which the search for signs starts."""

from numba import njit

from .caching import CACHE


@njit(nogil=True, cache=CACHE)
def lasso_sweeps(H, slope, u, l1, sweeps):
    """Sweeps over all coordinates, of which every other one leaves zeros alone (Friedman, Hastie and
    Tibshirani 2010, § 2.6). Returns whether the last one moved any.

    slope is the model's gradient at u without the l1 part; both are changed.
    """
    moved = False
    for sweep in range(sweeps):
        moved = False
        for j in range(u.size):
            a = H[j, j]
            if not a > 0 or (sweep % 2 == 1 and u[j] == 0):
                continue
            target = a * u[j] - slope[j]
            new = 0.0
            if target > l1[j]:
                new = (target - l1[j]) / a
            elif target < -l1[j]:
                new = (target + l1[j]) / a
            step = new - u[j]
            if step != 0:
                moved = True
                u[j] = new
                for i in range(u.size):
                    slope[i] += step * H[j, i]
        if not moved:
            break
    return moved
