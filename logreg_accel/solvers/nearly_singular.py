"""Newton steps for columns so nearly collinear that rounding hides some directions of the Hessian."""

import math

import numpy as np
import scipy.linalg

from .questions import MATRIX, Curvature, HessianVector

LOST = 1e-10
"""Up to this size, curvatures of a matrix with unit diagonal may be rounding errors or be hidden by them."""

FLAT = 1e-26
"""Up to this size, a curvature in one round of products is rounding; a step may try more, a proof may not."""

LOOKED_AT_UP_TO = 600
"""Number of parameters up to which directions are computed one by one."""

_LIFT = 1e-14  # added to a unit diagonal, more where it is not definite
_AT_ONCE = 16  # products with the Hessian in one read

_SEVERAL = 4  # times √p, the roundings of a margin of p terms
_DOUBLE = float(np.finfo(np.float64).eps)


def noise(size, relative=_DOUBLE):
    """The root of the curvature that rounding alone may give to a direction, for a unit diagonal."""
    return _SEVERAL * relative * size**0.5


def to_unit_diagonal(H):
    """The scale that gives H a unit diagonal: 1/√Hⱼⱼ, or 1 where Hⱼⱼ is not positive."""
    diagonal = H.diagonal()
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))


def split(H, lost=LOST):
    """Directions along which H is the identity, (p, q), and those whose curvature is lost, (p, p − q)."""
    scale = to_unit_diagonal(H)
    values, Q = scipy.linalg.eigh(H * scale * scale[:, None], check_finite=False)
    seen = values > lost
    return scale[:, None] * Q[:, seen] / np.sqrt(values[seen]), scale[:, None] * Q[:, ~seen]


def loses(H):
    """Whether a curvature of a matrix is lost, and parameters are so few that it may be looked for."""
    if not 0 < len(H) <= LOOKED_AT_UP_TO:
        return False
    scale = to_unit_diagonal(H)
    return scipy.linalg.eigvalsh(H * scale * scale[:, None], check_finite=False)[0] <= LOST


def creep(decrements, share):
    """Whether more than a share of a decrement is left two steps later, three times in a row."""
    last = decrements[-5:]
    return len(last) == 5 and all(
        after > share * before for before, after in zip(last, last[2:], strict=False)
    )


def directions(here, H, on=None, active=slice(None), flat=None):
    """Directions along which H is the identity, and those without curvature; a generator of questions.

    A product H·v adds up x·(c·(x·v)), where x·v cancels before it is squared. So it resolves curvatures down
    to the square of the rounding, whereas the matrix resolves them only down to the rounding. Components
    along the other directions, which are due to rounding, are first removed from the lost ones; otherwise
    they would dominate their curvature. A direction with a much smaller curvature than others is hidden once
    more, by the rounding of its products with them, so it is multiplied again without them, unless the
    largest is rounding itself.

    Parameters
    ----------
    here : Point
    H : ndarray (p, p)
        Rows and columns `active` of the Hessian at `here`.
    on : handle or None
        Rows.
    active : index
    flat : float or None
        The curvature above which a direction counts without a second look, though it may be rounding.
    """
    basis, lost = split(H)
    if not lost.shape[1]:
        return basis, lost
    lost, least = lost - basis @ (basis.T @ (yield from _products(here, lost, on, active))), noise(len(H))
    rounded = noise(len(H), max(_DOUBLE, here.rounding / (abs(here.value) or 1)))
    while lost.shape[1]:
        products = yield from _products(here, lost, on, active)
        curvatures, turn = scipy.linalg.eigh(lost.T @ products, check_finite=False)
        largest = np.sqrt(max(curvatures[-1], 0.0))
        curved, lost = curvatures > (flat or least * max(least, largest)), lost @ turn
        basis = np.hstack([basis, lost[:, curved] / np.sqrt(curvatures[curved])])
        lost = lost[:, ~curved]
        if flat or not largest > rounded:
            break
    return basis, lost


def solution(here, flat=None):
    """A function v -> H⁻¹·v, within the directions that have a curvature, and whether the matrix H loses
    some; a generator of questions."""
    H = yield Curvature(here.w, MATRIX, margins=here.margins)
    basis, _ = yield from directions(here, H, flat=flat)
    return lambda v: basis @ (basis.T @ v), split(H)[1].size > 0


def _products(here, V, on, active):
    full = np.zeros((V.shape[1], len(here.w)))
    full[:, active] = V.T
    products = []
    for some in np.array_split(full, math.ceil(len(full) / _AT_ONCE)):
        asked = some if len(some) > 1 else some[0]
        products.append(np.atleast_2d((yield HessianVector(here.w, asked, on, here.margins))))
    return np.vstack(products)[:, active].T


def factored(H, cholesky):
    """Return a function v -> H⁻¹v for v (p,) or (p, k), or None, and the least pivot of H scaled to a unit
    diagonal."""
    if not len(H):  # LAPACK accepts no empty matrix
        return lambda v: v, 1.0
    scale, lift = to_unit_diagonal(H), _LIFT
    while True:
        A = H * scale  # made again where it was not definite: the factor takes its place
        A *= scale[:, None]
        A.reshape(-1)[:: len(A) + 1] = 1 + lift
        found = cholesky(A, True)
        if found is not None:
            break
        lift *= 10
        if not lift < 1:
            return None, 0.0
    solve, diagonal = found
    least = float((diagonal**2).min(initial=1.0))
    return lambda v: (scale * solve((scale * v.T).T).T).T, least if (H.diagonal() > 0).all() else 0.0
