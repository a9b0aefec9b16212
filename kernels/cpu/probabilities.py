"""Products with the Hessian of the softmax loss at one point, whose probabilities are made once for all.

    ∂²ℓ/∂z²·u = p·(u − Σ p·u)

Exponentials take most of the time of a pass with few columns, and a system of Newton's method needs a product
with every step of conjugate gradients. Where one class is nearly certain, u − Σ p·u is rounded to nothing but
errors for that class; what is left of the mean after it was subtracted is therefore subtracted as well.
Unlike the formula in softmax.py, that needs no place of the largest margin.

Shapes as in softmax.py; P (K, rows) are the probabilities.
"""

import numpy as np
from numba import njit

from .pointwise import POINTWISE
from .softmax import all_gradients, all_margins, exponentials
from .storage import LOOP

_TILE = 256  # rows whose probabilities are made at a time


@njit(**POINTWISE)
def product_at(P, U, s, q, work):
    """P becomes s·∂²ℓ/∂z²·u."""
    mean, rest = work[0], work[1]
    zero = P.dtype.type(0)
    for i in range(q):
        mean[i], rest[i] = zero, zero
    for c in range(P.shape[0]):
        for i in range(q):
            mean[i] += P[c, i] * U[c, i]
    for c in range(P.shape[0]):
        for i in range(q):
            U[c, i] -= mean[i]
            rest[i] += P[c, i] * U[c, i]
    for c in range(P.shape[0]):
        for i in range(q):
            P[c, i] *= U[c, i] - rest[i]
    if s.size:
        for c in range(P.shape[0]):
            for i in range(q):
                P[c, i] *= s[i]


@njit(**POINTWISE)
def made(Z, P, start, stop):
    """P = e/Σe of the rows from start to below stop; Z and P (K, rows)."""
    k, one = Z.shape[0], Z.dtype.type(1)
    tile = np.empty((k, _TILE), Z.dtype)
    work = np.empty((3, _TILE), Z.dtype)
    for lo in range(start, stop, _TILE):
        q = min(_TILE, stop - lo)
        for c in range(k):
            for i in range(q):
                tile[c, i] = Z[c, lo + i]
        exponentials(tile, q, work)
        for i in range(q):
            work[0, i] = one / (one + work[1, i])
        for c in range(k):
            for i in range(q):
                P[c, lo + i] = tile[c, i] * work[0, i]


@njit(**LOOP)
def products_at(A, s, P, V, d, start, stop, work, result):
    """`hessian_vector` of softmax.py, from the probabilities P (K, m)."""
    G, Z, U, vectors = work
    tile = Z.shape[1]
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        for c in range(P.shape[0]):
            for i in range(q):
                Z[c, i] = P[c, lo + i]
        all_margins(T, V, d, q, U)
        product_at(Z, U, s[lo : lo + q], q, vectors)
        all_gradients(T, Z, q, G, result)
