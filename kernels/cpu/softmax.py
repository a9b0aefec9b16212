"""The softmax loss: its pointwise formulas on a tile of margins Z (K, rows), and passes over row-major X.

With e = exp(z − max z) and p = e/Σe::

    ℓ = log Σ exp z − z_y      ∂ℓ/∂z = p − 1{y}      ∂²ℓ/∂z²·u = p·(u − Σ p·u)      its diagonal p·(1 − p)

The rows of a tile are contiguous in Z, so that they fill vectors even if there are few classes. Sums leave
out the term that would lose digits: that of the row's own class in ∂ℓ/∂z, and that of the largest margin in
1 − p; of u, its value at the largest margin is subtracted. In NumPy the formulas are a dozen calls per tile,
which take as long as one of the two products with X.

The passes process rows as in rows.py, and four outputs at a time: 16 products for every 8 numbers that are
loaded. BLAS on a tile, which the generic body calls, first copies its operands into packed blocks, which
takes a large part of the time if there are few columns.

Shapes as in passes.py, but y are codes of the classes, and value is (1,).
"""

import math

import numpy as np
from numba import njit

from .pointwise import POINTWISE, _exp_nonpositive
from .rows import tile_gradient, tile_margins
from .storage import LOOP, load


@njit(**POINTWISE)
def exponentials(Z, q, work):
    """Z becomes exp(z − max z); work: the place of the maximum, the sum over the other classes, max z."""
    place, lower, top = work[0], work[1], work[2]
    k = Z.shape[0]
    zero = Z.dtype.type(0)
    for i in range(q):
        place[i], top[i] = zero, Z[0, i]
    for c in range(1, k):
        here = Z.dtype.type(c)
        for i in range(q):
            higher = Z[c, i] > top[i]
            place[i] = here if higher else place[i]
            top[i] = Z[c, i] if higher else top[i]
    for i in range(q):
        lower[i] = zero
    for c in range(k):
        here = Z.dtype.type(c)
        for i in range(q):
            e = _exp_nonpositive(Z[c, i] - top[i])
            Z[c, i] = e
            lower[i] += e if place[i] != here else zero


@njit(**POINTWISE)
def loss_residual(Z, y, s, q, work):
    """Σ s·ℓ; Z becomes s·∂ℓ/∂z; an empty s means ones."""
    lower, top, own, rest = work[1], work[2], work[3], work[4]
    k = Z.shape[0]
    one, zero = Z.dtype.type(1), Z.dtype.type(0)
    for i in range(q):
        own[i] = Z[y[i], i]
    exponentials(Z, q, work)
    value = 0.0
    for i in range(q):
        weight = s[i] if s.size else one
        value += weight * (math.log1p(lower[i]) + (top[i] - own[i]))
        lower[i] = weight / (one + lower[i])
        rest[i] = zero
    for c in range(k):
        for i in range(q):
            rest[i] += Z[c, i] if y[i] != c else zero
            Z[c, i] *= lower[i]
    for i in range(q):
        Z[y[i], i] = -rest[i] * lower[i]
    return value


@njit(**POINTWISE)
def curvature(Z, s, q, work):
    """Z becomes the diagonal of s·∂²ℓ/∂z²."""
    place, lower = work[0], work[1]
    one = Z.dtype.type(1)
    exponentials(Z, q, work)
    for c in range(Z.shape[0]):
        here = Z.dtype.type(c)
        for i in range(q):
            total = one + lower[i]
            rest = total - Z[c, i] if place[i] != here else lower[i]
            Z[c, i] = (Z[c, i] / total) * (rest / total)
    if s.size:
        for c in range(Z.shape[0]):
            for i in range(q):
                Z[c, i] *= s[i]


@njit(**POINTWISE)
def curvature_product(Z, U, s, q, work):
    """Z becomes s·∂²ℓ/∂z²·u."""
    place, lower, base, mean = work[0], work[1], work[2], work[3]
    k = Z.shape[0]
    one, zero = Z.dtype.type(1), Z.dtype.type(0)
    exponentials(Z, q, work)
    for i in range(q):
        base[i] = U[np.int64(place[i]), i]
        mean[i] = zero
    for c in range(k):
        for i in range(q):
            U[c, i] -= base[i]
            mean[i] += Z[c, i] * U[c, i]
    for i in range(q):
        total = one + lower[i]
        mean[i] /= total
        lower[i] = one / total
    if s.size:
        for i in range(q):
            lower[i] *= s[i]
    for c in range(k):
        for i in range(q):
            Z[c, i] *= lower[i] * (U[c, i] - mean[i])


@njit(**LOOP)
def all_margins(T, W, b, q, Z):
    """Z[c, i] = T[i]·W[c] + b[c] for the q rows of a tile."""
    zero = W.dtype.type(0)
    k, n = W.shape
    h = q // 4
    for c in range(0, k - 3, 4):
        w0, w1, w2, w3 = W[c], W[c + 1], W[c + 2], W[c + 3]
        Z0, Z1, Z2, Z3 = Z[c], Z[c + 1], Z[c + 2], Z[c + 3]
        b0, b1, b2, b3 = b[c], b[c + 1], b[c + 2], b[c + 3]
        for i in range(h):
            x0, x1, x2, x3 = T[i], T[h + i], T[2 * h + i], T[3 * h + i]
            z00, z01, z02, z03 = zero, zero, zero, zero
            z10, z11, z12, z13 = zero, zero, zero, zero
            z20, z21, z22, z23 = zero, zero, zero, zero
            z30, z31, z32, z33 = zero, zero, zero, zero
            for j in range(n):
                a0, a1, a2, a3 = load(x0[j], zero), load(x1[j], zero), load(x2[j], zero), load(x3[j], zero)
                v0, v1, v2, v3 = w0[j], w1[j], w2[j], w3[j]
                z00 += a0 * v0
                z01 += a0 * v1
                z02 += a0 * v2
                z03 += a0 * v3
                z10 += a1 * v0
                z11 += a1 * v1
                z12 += a1 * v2
                z13 += a1 * v3
                z20 += a2 * v0
                z21 += a2 * v1
                z22 += a2 * v2
                z23 += a2 * v3
                z30 += a3 * v0
                z31 += a3 * v1
                z32 += a3 * v2
                z33 += a3 * v3
            Z0[i], Z0[h + i], Z0[2 * h + i], Z0[3 * h + i] = z00 + b0, z10 + b0, z20 + b0, z30 + b0
            Z1[i], Z1[h + i], Z1[2 * h + i], Z1[3 * h + i] = z01 + b1, z11 + b1, z21 + b1, z31 + b1
            Z2[i], Z2[h + i], Z2[2 * h + i], Z2[3 * h + i] = z02 + b2, z12 + b2, z22 + b2, z32 + b2
            Z3[i], Z3[h + i], Z3[2 * h + i], Z3[3 * h + i] = z03 + b3, z13 + b3, z23 + b3, z33 + b3
        if 4 * h < q:
            rest = T[4 * h : q]
            for a in range(c, c + 4):
                tile_margins(rest, W[a], b[a], q - 4 * h, Z[a, 4 * h : q])
    for c in range(k // 4 * 4, k):
        tile_margins(T, W[c], b[c], q, Z[c])


@njit(**LOOP)
def all_gradients(T, R, q, G, gradient):
    """gradient[c] += TᵀR[c] of the q rows of a tile, its last entry += ΣR[c]; G (4, n) is scratch."""
    zero = G.dtype.type(0)
    k, n = R.shape[0], G.shape[1]
    h = q // 4
    g0, g1, g2, g3 = G[0], G[1], G[2], G[3]
    for c in range(0, k - 3, 4):
        G[:] = zero
        R0, R1, R2, R3 = R[c], R[c + 1], R[c + 2], R[c + 3]
        for i in range(h):
            x0, x1, x2, x3 = T[i], T[h + i], T[2 * h + i], T[3 * h + i]
            r00, r01, r02, r03 = R0[i], R1[i], R2[i], R3[i]
            r10, r11, r12, r13 = R0[h + i], R1[h + i], R2[h + i], R3[h + i]
            r20, r21, r22, r23 = R0[2 * h + i], R1[2 * h + i], R2[2 * h + i], R3[2 * h + i]
            r30, r31, r32, r33 = R0[3 * h + i], R1[3 * h + i], R2[3 * h + i], R3[3 * h + i]
            for j in range(n):
                a0, a1, a2, a3 = load(x0[j], zero), load(x1[j], zero), load(x2[j], zero), load(x3[j], zero)
                g0[j] += (r00 * a0 + r10 * a1) + (r20 * a2 + r30 * a3)
                g1[j] += (r01 * a0 + r11 * a1) + (r21 * a2 + r31 * a3)
                g2[j] += (r02 * a0 + r12 * a1) + (r22 * a2 + r32 * a3)
                g3[j] += (r03 * a0 + r13 * a1) + (r23 * a2 + r33 * a3)
        for i in range(4 * h, q):
            x0 = T[i]
            for a in range(4):
                r, g = R[c + a, i], G[a]
                for j in range(n):
                    g[j] += r * load(x0[j], zero)
        for a in range(4):
            sums, g = gradient[c + a], G[a]
            for j in range(n):
                sums[j] += g[j]
            total = 0.0
            for i in range(q):
                total += R[c + a, i]
            sums[n] += total
    for c in range(k // 4 * 4, k):
        tile_gradient(T, R[c], q, g0, gradient[c])


def scratch(W, tile):
    """What a call works in: sums of n; for a tile, two matrices of margins and five vectors of its rows."""
    (k, n), dtype = W.shape, W.dtype
    return (
        np.empty((4, n), dtype),
        np.empty((k, tile), dtype),
        np.empty((k, tile), dtype),
        np.empty((5, tile), dtype),
    )


@njit(**LOOP)
def loss_gradient(A, y, s, W, b, start, stop, work, kept, value, gradient, diagonal):
    """value[0] += Σ s·ℓ; gradient[c] += Xᵀ(s·∂ℓ/∂z); margins into kept unless empty; no diagonal."""
    G, Z, _, vectors = work
    tile = Z.shape[1]
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        all_margins(T, W, b, q, Z)
        if kept.size:
            for c in range(W.shape[0]):
                for i in range(q):
                    kept[c, lo + i] = Z[c, i]
        value[0] += loss_residual(Z, y[lo : lo + q], s[lo : lo + q], q, vectors)
        all_gradients(T, Z, q, G, gradient)


@njit(**LOOP)
def hessian_vector(A, s, W, b, V, d, known, start, stop, work, result):
    """result[c] += Xᵀ(s·∂²ℓ/∂z²·(X·V + d))[c]; `known` may give the margins at W."""
    G, Z, U, vectors = work
    tile = Z.shape[1]
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        if known.size:
            for c in range(W.shape[0]):
                for i in range(q):
                    Z[c, i] = known[c, lo + i]
        else:
            all_margins(T, W, b, q, Z)
        all_margins(T, V, d, q, U)
        curvature_product(Z, U, s[lo : lo + q], q, vectors)
        all_gradients(T, Z, q, G, result)
