"""The quadratic model of a step under an L1 penalty, solved on the host."""

import numpy as np
from scipy.linalg import lapack

from .. import clock

_LIFT = 1e-10  # relative increase of the diagonal of a model
_LEAST_LIFT = 1e-12  # the same for a system that is solved
_SWEEPS = 30
_FEWER = 4  # by which the number of weights that leave 0 together is divided after a step that gained nothing
_DOUBTFUL = 20  # steps in a row whose gain may be due to rounding


def lasso(H, gradient, w, l1, rounding, sweeps=None, little=0.0):
    """Find the u that minimises g·(u − w) + ½·(u − w)ᵀH(u − w) + Σ l1·|u|, starting from w.

    The method is feature-sign search. The minimum for given signs is the solution of a linear system. On the
    way there, the best of the points where a sign changes is taken, until no sign changes and no weight would
    leave 0. Coordinate descent in Python would be much slower, and it converges slowly if columns are
    collinear, as one-hot columns and an intercept are.

    Parameters
    ----------
    H : ndarray (p, p)
        During the call its diagonal is increased by the rounding of its sums, which could otherwise make it
        indefinite if columns are collinear.
    gradient, w, l1 : ndarray (p,)
    rounding : float
        Relative rounding of the arithmetic in which H was summed.
    sweeps : function (H, slope, u, l1, count) or None
        Compiled coordinate descent; it returns whether u still moved. A few of its sweeps come first: from a
        cold start they find most of the signs.
    little : float
        The search ends when weights that leave 0 gain no more than this share of the whole decrease.

    Returns
    -------
    ndarray (p,)

    References
    ----------
    Lee, Battle, Raina and Ng (2007), Efficient sparse coding algorithms, NIPS.
    """
    diagonal, u = H.diagonal().copy(), w.copy()
    try:  # H is changed in place because a copy of it could double the memory of the fit
        diagonal_of(H)[:] *= 1 + max(_LIFT, 200 * rounding)
        if sweeps is not None:
            slope, rows = gradient.copy(), np.ascontiguousarray(H)
            for _ in range(_SWEEPS // 2):
                clock.check()
                if not sweeps(rows, slope, u, l1, 2):
                    break
        return feature_sign_search(H, H @ w - gradient, l1, u, little)
    finally:
        diagonal_of(H)[:] = diagonal


def feature_sign_search(H, b, l1, u, little=0.0):
    """Find the minimum of ½·uᵀHu − b·u + Σ l1·|u|, starting from u, which is overwritten.

    Where rounding has made H indefinite, its diagonal is increased in place until the part in use has a
    Cholesky factor. If the systems were changed and not the model, steps would descend without end. Where
    columns are nearly collinear, steps can go on whose gains are no more than rounding: after the first of
    them the weights at 0 are checked, and after _DOUBTFUL in a row the search ends.
    """
    curvature = H.diagonal()
    usable = curvature > 0  # otherwise no row of the sample has the column, and its weight is kept
    free = usable & (l1 == 0)
    size = np.sqrt(np.where(usable, curvature, 1))
    enough = 1e-12 * (abs(b) / size).max(initial=np.finfo(float).tiny)
    signs, most, settled, lift = np.sign(u), len(u), False, _LIFT
    eps, doubtful, gained = np.finfo(float).eps, 0, 0.0
    for _ in range(20 * len(u) + 100):
        clock.check()
        slope = H @ u - b
        active = usable & ((signs != 0) | free)
        miss = abs(np.where(active, slope + l1 * signs, 0)) / size
        done, leaving = settled or miss.max() <= enough, False
        if done or doubtful:  # rounding may keep `miss` above any limit
            room = min(most, 8 + active.sum() // 2)
            worst = _zeros_that_leave(slope, l1, size, usable & ~active, room, enough)
            leaving = len(worst) > 0
            if done and not leaving:
                break
            signs[worst] = -np.sign(slope[worst])
            active[worst] = True
        A = np.flatnonzero(active)
        part = H[np.ix_(A, A)]
        solve = cholesky(part)
        if solve is None:
            if not lift < 1e3:
                raise FloatingPointError("The Hessian has entries that are not finite.")
            diagonal_of(H)[:] *= 1 + lift
            lift *= 10
            continue
        d, best, gain = _best_on_the_way(part, solve, slope[A], u[A], l1[A], signs[A])
        way = abs(d) * (best or 0)
        doubtful = doubtful + 1 if gain <= eps * way @ (abs(part) @ abs(u[A]) + abs(b[A])) else 0
        if doubtful > _DOUBTFUL:
            break
        if best is None:  # because of rounding, or because too many weights left 0 together
            if leaving and len(worst) == 1:
                break
            most = max(len(worst) // _FEWER, 1) if leaving else most
            signs, settled = np.sign(u), True
            continue
        most = 2 * most if leaving else most
        settled = False
        moved = u[A] + best * d
        crosses = (l1[A] > 0) & (u[A] * (u[A] + d) < 0)
        moved[crosses & (abs(moved) <= 1e-14 * abs(u[A]))] = 0
        u[A] = moved
        signs, gained = np.sign(u), gained + gain
        if leaving and gain <= little * gained:
            break
    return u


def _zeros_that_leave(slope, l1, size, zeros, most, enough):
    """Return at most `most` of the zero weights, those whose slopes exceed l1 most."""
    beyond = np.where(zeros, abs(slope) - l1, 0) / size
    worst = np.argsort(-beyond)[:most]
    return worst[beyond[worst] > enough]


def _best_on_the_way(H, solve, slope, u, l1, signs):
    """Return the step to the minimum for given signs, the best t in (0, 1] along it, and the gain at t.

    t is None if none of the points that are compared lies below the start.
    """
    d = -solve(slope + l1 * signs)
    crosses = (l1 > 0) & (u * (u + d) < 0)
    t = np.append(np.unique(-u[crosses] / d[crosses]), 1.0)
    values = t * (slope @ d) + 0.5 * t * t * (d @ H @ d) + abs(u + t[:, None] * d) @ l1
    gain = l1 @ abs(u) - values.min()
    return d, t[values.argmin()] if gain > 0 else None, gain


def cholesky(H):
    """Return a function b -> H⁻¹·b, or None where H is not positive definite.

    Columns may be collinear: a step along them is long, and is cut where a weight becomes zero.
    """
    if not len(H):  # LAPACK accepts no empty matrix
        return lambda b: b
    lifted = H.copy().T  # in LAPACK's order; it is called directly, since SciPy's wrapper takes longer
    diagonal_of(lifted)[:] *= 1 + _LEAST_LIFT
    factor, failed = lapack.dpotrf(lifted, lower=1, clean=0, overwrite_a=1)
    return None if failed else lambda b: lapack.dpotrs(factor, b, lower=1)[0]


def diagonal_of(H):
    """Return a writable view of the diagonal of H, which indices of its elements would be slower than."""
    return np.einsum("ii->i", H)
