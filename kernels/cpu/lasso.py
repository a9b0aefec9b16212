"""Coordinate descent on a quadratic model with an L1 penalty: what backends/base.py does in Python loops, compiled."""

from numba import njit


@njit(nogil=True, cache=True)
def lasso_sweeps(H, slope, u, l1, accuracy, most_sweeps):
    """u minimises the model whose gradient at the given u is `slope`; both are changed, u is returned."""
    largest, active_only = 0.0, False
    for _ in range(most_sweeps):
        change = 0.0
        for j in range(u.size):
            a = H[j, j]
            if not a > 0 or (active_only and u[j] == 0):
                continue
            target = a * u[j] - slope[j]
            new = 0.0
            if target > l1[j]:
                new = (target - l1[j]) / a
            elif target < -l1[j]:
                new = (target + l1[j]) / a
            step = new - u[j]
            if step != 0:
                u[j] = new
                for i in range(u.size):
                    slope[i] += step * H[j, i]
                change = max(change, a * step * step)
        largest = max(largest, change)
        if change <= accuracy * largest:
            if not active_only:
                break
            active_only = False
        else:
            active_only = True
    return u
