"""The minimum of a step's model under an L1 penalty by products with X, for where loops over columns are not
compiled: one column after the other, plain arrays take tens of times as long."""

from typing import NamedTuple

import numpy as np

from . import clock
from .backends.threads import blas_limit

_FORCING = 0.1  # residual of a system beside that at its start
_PRODUCTS = 20  # of a system at most
_REACH = 4.0
"""Change of a margin beyond which the model says nothing: along separated rows it has hardly any curvature,
and conjugate gradients find out at once, as steps along single columns do not."""
_HALVINGS = 12
"""Of a step, at most: where columns are collinear, as levels are beside an intercept, a long one crosses the
signs of most weights, and only a short one descends."""
_BLOCKED = 4  # times that zeros in the way of a step are left out
_LITTLE = 1e-3  # of what a model has fallen, by a step: the next model gains more


class _At(NamedTuple):
    """u, X(u − w), the slope of the smooth part there, and how far the model has fallen."""

    u: np.ndarray
    z: np.ndarray
    slope: np.ndarray
    value: float


def minimum(model, here, enough, steps):
    """About the u that minimises a `descent.ColumnModel` plus Σ l1·|u|.

    A step solves for the weights that are not zero, and those whose slopes exceed their penalties, as if no
    sign changed; weights whose signs would change become zero.

    Parameters
    ----------
    model : ColumnModel
    here : Point
    enough : float
        Largest slope with which it may end.
    steps : int
        The most of them.

    References
    ----------
    Byrd, Chin, Nocedal and Oztoprak (2016), A family of second-order methods for convex ℓ1-regularized
    optimization, Math. Program. 159.
    """
    at, far = _At(here.w, np.zeros(len(model.D)), here.gradient, 0.0), False
    with blas_limit(1):  # on several threads, sums would have other bits
        products = _Products(model)
        for _ in range(steps):
            clock.check()
            signs = np.where(at.u != 0, np.sign(at.u), -np.sign(at.slope))
            free = (model.diagonal > 0) & ((at.u != 0) | (abs(at.slope) > model.l1) | (model.l1 == 0))
            r = np.where(free, -(at.slope + model.l1 * signs), 0.0)
            if far or abs(r).max(initial=0.0) <= enough:
                break
            there, far = _step(products, model, here, at, r, signs)
            if there is None:
                break
            fallen, at = at.value - there.value, there
            if fallen <= _LITTLE * -at.value:
                break
    return at.u


def _step(products, model, here, at, r, signs):
    """The next _At, None where rounding hides any descent, and whether margins have changed much."""
    for _ in range(_BLOCKED):
        d, zd, far = _direction(products, model, at, r)
        for i in range(_HALVINGS):
            t = 0.5**i
            new = at.u + t * d
            crossing = (model.l1 > 0) & (new * signs < 0)
            z = at.z + t * zd
            if crossing.any():
                z = z - products.margins(np.where(crossing, new, 0.0))
                new = np.where(crossing, 0.0, new)
            value = _value(model, here, new, z)
            if value < at.value:
                slope = here.gradient + products.back(z) + model.ridge * (new - here.w)
                return _At(new, z, slope, value), far
        blocked = (at.u == 0) & (d * signs < 0)
        if not blocked.any():
            break
        r = np.where(blocked, 0.0, r)
    return None, far


def _direction(products, model, at, r):
    """Conjugate gradients for H·d = r among the weights where r is not zero: d, X·d, and whether they ended
    because margins had changed much."""
    free, inverse = r != 0, 1 / np.where(model.diagonal > 0, model.diagonal, 1)
    d, zd, y = np.zeros_like(r), np.zeros_like(at.z), inverse * r
    p, ry = y.copy(), float(r @ y)
    small = _FORCING**2 * ry
    for _ in range(_PRODUCTS):
        if not small < ry:
            break
        zp = products.margins(p)
        Hp = products.back(zp) + model.ridge * p
        curvature = float(p @ Hp)
        if not curvature > 0:
            break
        alpha = ry / curvature
        before, after = (float(abs(at.z + zd + t * zp).max(initial=0.0)) for t in (0.0, alpha))
        if after > _REACH:
            alpha *= max(_REACH - before, 0.0) / (after - before) if after > before else 0.0
            return d + alpha * p, zd + alpha * zp, True
        d += alpha * p
        zd += alpha * zp
        r = r - alpha * np.where(free, Hp, 0.0)
        y = inverse * r
        ry, last = float(r @ y), ry
        p *= ry / last
        p += y
    return d, zd, False


def _value(model, here, u, z):
    """The model at u, less that at its point."""
    d = u - here.w
    terms = here.gradient * d + 0.5 * model.ridge * d * d + model.l1 * (abs(u) - abs(here.w))
    return float(terms.sum() + 0.5 * (model.D * z) @ z)


class _Products:
    """X·v with the intercept, and XᵀD·z, in float64."""

    def __init__(self, model):
        self.X, self.D, self.intercept = model.X.astype(np.float64), model.D, len(model.shared) > 0

    def margins(self, v):
        return (self.X @ v[:-1, None])[:, 0] + v[-1] if self.intercept else (self.X @ v[:, None])[:, 0]

    def back(self, z):
        weighted = (self.D * z)[:, None]
        sums = self.X.transposed_product(weighted)[:, 0]
        return np.append(sums, weighted.sum()) if self.intercept else sums
