"""The tile primitives of a dense, row-major X.

Four rows are processed at a time, so that w and the gradient are loaded once for four. They are a quarter of
the tile apart, which gives the prefetcher four separate streams: four adjacent rows of 256 floats share one
page, and two threads then read them more slowly than one row at a time. `prange` over rows is slower as well,
aborts the process when two Python threads enter it, does not survive a fork, and its bits depend on the
number of threads; BLAS on a tile leaves the pointwise formula to a dozen NumPy calls; without a tile, exp is
evaluated one row at a time. bench/alternatives.py measures them.

Shapes: T (q, at least n: rows may be padded or part of a wider table), w (n,), z, r and c (at least q,),
gradient and diagonal (n + 1,) float64, their last entry for the intercept.
"""

from numba import njit

from .storage import LOOP, load

SUMMED_ROWS = 256
"""Rows that are summed in the arithmetic of a tile before the sum is added up in float64: if rows repeat, the
rounding errors of such sums have one sign and grow with their number."""


@njit(**LOOP)
def tile_margins(T, w, b, q, z):
    """z[i] = T[i]·w + b for the q rows of a tile."""
    zero = w.dtype.type(0)
    n = w.size
    h = q // 4
    for i in range(h):
        x0, x1, x2, x3 = T[i], T[h + i], T[2 * h + i], T[3 * h + i]
        z0, z1, z2, z3 = zero, zero, zero, zero
        for j in range(n):
            z0 += load(x0[j], zero) * w[j]
            z1 += load(x1[j], zero) * w[j]
            z2 += load(x2[j], zero) * w[j]
            z3 += load(x3[j], zero) * w[j]
        z[i], z[h + i], z[2 * h + i], z[3 * h + i] = z0 + b, z1 + b, z2 + b, z3 + b
    for i in range(4 * h, q):
        x0 = T[i]
        z0 = zero
        for j in range(n):
            z0 += load(x0[j], zero) * w[j]
        z[i] = z0 + b


@njit(**LOOP)
def tile_gradient(T, r, q, g, gradient):
    """gradient += Tᵀr of the q rows of a tile, its last entry += Σr; g (n,) is scratch."""
    n = g.size
    zero = g.dtype.type(0)
    for lo in range(0, q, SUMMED_ROWS):
        hi = min(lo + SUMMED_ROWS, q)
        h = (hi - lo) // 4
        g[:] = zero
        for i in range(lo, lo + h):
            x0, x1, x2, x3 = T[i], T[h + i], T[2 * h + i], T[3 * h + i]
            r0, r1, r2, r3 = r[i], r[h + i], r[2 * h + i], r[3 * h + i]
            for j in range(n):
                g[j] += (r0 * load(x0[j], zero) + r1 * load(x1[j], zero)) + (
                    r2 * load(x2[j], zero) + r3 * load(x3[j], zero)
                )
        for i in range(lo + 4 * h, hi):
            x0 = T[i]
            r0 = r[i]
            for j in range(n):
                g[j] += r0 * load(x0[j], zero)
        for j in range(n):
            gradient[j] += g[j]
    total = 0.0
    for i in range(q):
        total += r[i]
    gradient[n] += total


@njit(**LOOP)
def tile_squares(T, c, q, g, diagonal):
    """diagonal[j] += Σ c[i]·T[i, j]² over the q rows of a tile, its last entry += Σc; g (n,) is scratch."""
    n = g.size
    h = q // 2
    zero = g.dtype.type(0)
    g[:] = zero
    for i in range(h):
        x0, x1 = T[i], T[h + i]
        c0, c1 = c[i], c[h + i]
        for j in range(n):
            a0, a1 = load(x0[j], zero), load(x1[j], zero)
            g[j] += c0 * (a0 * a0) + c1 * (a1 * a1)
    if 2 * h < q:
        x0 = T[q - 1]
        c0 = c[q - 1]
        for j in range(n):
            a0 = load(x0[j], zero)
            g[j] += c0 * (a0 * a0)
    for j in range(n):
        diagonal[j] += g[j]
    total = 0.0
    for i in range(q):
        total += c[i]
    diagonal[n] += total


@njit(**LOOP)
def read(A, start, stop):
    """The sum of the rows of the lane: the plain read with which passes are compared."""
    total = A.dtype.type(0)
    h = (stop - start) // 4
    for i in range(start, start + h):
        x0, x1, x2, x3 = A[i], A[h + i], A[2 * h + i], A[3 * h + i]
        for j in range(x0.size):
            total += (x0[j] + x1[j]) + (x2[j] + x3[j])
    for i in range(start + 4 * h, stop):
        x0 = A[i]
        for j in range(x0.size):
            total += x0[j]
    return total
