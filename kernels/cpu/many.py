"""Many models on a tile: their pointwise formulas, and the products of a sparse X with all of their columns.

Dense products are BLAS's. With a sparse X the columns of all models are contiguous, so that an entry of X is
multiplied by a vector: for one model at a time, an entry would take a random access to the weights and one to
the sums.

Shapes: Z and U (columns, q), the columns of a model together; codes (targets, q); lines (splits, q), the
weight of each row in a split; target and line (models,); factors (models, classes), the weight of each class,
empty if all are one; A = (data, indices, indptr) as in sparse.py.
"""

import numpy as np
from numba import njit

from . import pointwise, softmax
from .sparse import ENTRIES
from .storage import LOOP, load


@njit(**LOOP)
def _weights(codes, line, factor, q, counts):
    """counts[i] becomes the weight of row i in a model."""
    for i in range(q):
        counts[i] = line[i] * factor[codes[i]]


@njit(**LOOP)
def counted(bits, split, lo, line):
    """line[i] = whether row lo + i trains in a split; bits (rows, bytes), the first split in the lowest."""
    byte, bit = split // 8, np.uint8(split % 8)
    for i in range(line.size):
        line[i] = (bits[lo + i, byte] >> bit) & 1


@njit(**LOOP)
def add_products(parts, G):
    """G (columns, n + 1), except its last column, += the sum of parts (some, columns, n)."""
    for part in parts:
        for j in range(part.shape[0]):
            for f in range(part.shape[1]):
                G[j, f] += part[j, f]


@njit(**LOOP)
def add_sums(R, G):
    """The last column of G += the sums of R (columns, q), of float32 over 256 rows at a time."""
    last = G.shape[1] - 1
    for j in range(R.shape[0]):
        for lo in range(0, R.shape[1], 256):
            part = R.dtype.type(0)
            for i in range(lo, min(lo + 256, R.shape[1])):
                part += R[j, i]
            G[j, last] += part


@njit(**LOOP)
def residuals(Z, codes, lines, target, line, factors, q, work, value):
    """Z becomes s·∂ℓ/∂z, value[j] += Σ s·ℓ of model j; work (2, q)."""
    for j in range(target.size):
        y, s = codes[target[j]], lines[line[j]]
        if factors.size:
            _weights(y, s, factors[j], q, work[1])
            s = work[1]
        pointwise.loss_residual(Z[j], y, s, q, work[0])
        total = 0.0
        for i in range(q):
            total += work[0, i]
        value[j] += total


@njit(**LOOP)
def curvatures(Z, codes, lines, target, line, factors, q, work):
    """Z becomes s·∂²ℓ/∂z²."""
    for j in range(target.size):
        s = lines[line[j]]
        if factors.size:
            _weights(codes[target[j]], s, factors[j], q, work[1])
            s = work[1]
        pointwise.curvature(Z[j], s, q)


@njit(**LOOP)
def softmax_residuals(Z, codes, lines, target, line, factors, q, work, value):
    """The same for softmax: a model has as many rows of Z as classes; work (6, q)."""
    k = Z.shape[0] // target.size
    for j in range(target.size):
        y, s = codes[target[j]], lines[line[j]]
        if factors.size:
            _weights(y, s, factors[j], q, work[5])
            s = work[5]
        value[j] += softmax.loss_residual(Z[j * k : (j + 1) * k], y, s, q, work)


@njit(**LOOP)
def softmax_products(Z, U, codes, lines, target, line, factors, q, work):
    """Z becomes s·∂²ℓ/∂z²·U of softmax."""
    k = Z.shape[0] // target.size
    for j in range(target.size):
        s = lines[line[j]]
        if factors.size:
            _weights(codes[target[j]], s, factors[j], q, work[5])
            s = work[5]
        softmax.curvature_product(Z[j * k : (j + 1) * k], U[j * k : (j + 1) * k], s, q, work)


@njit(**ENTRIES)
def sparse_margins(A, W, lo, q, Z):
    """Z[:, i] = X[lo + i]·W[:-1] + W[-1] for the q rows of a tile; W (n + 1, k)."""
    data, indices, indptr = A
    k, last = W.shape[1], W.shape[0] - 1
    zero = W.dtype.type(0)
    z = np.empty(k, W.dtype)
    for i in range(q):
        for c in range(k):
            z[c] = zero
        for e in range(np.uint64(indptr[lo + i]), np.uint64(indptr[lo + i + 1])):
            x, w = load(data[e], zero), W[indices[e]]
            for c in range(k):
                z[c] += x * w[c]
        for c in range(k):
            Z[c, i] = z[c] + W[last, c]


@njit(**ENTRIES)
def sparse_gradient(A, R, squared, lo, q, G):
    """G (n + 1, k) += Xᵀ·Rᵀ of the q rows of a tile, its last row += Σ R. X may be squared."""
    data, indices, indptr = A
    k, last = G.shape[1], G.shape[0] - 1
    zero = R.dtype.type(0)
    r = np.empty(k, np.float64)
    for i in range(q):
        for c in range(k):
            r[c] = R[c, i]
            G[last, c] += r[c]
        for e in range(np.uint64(indptr[lo + i]), np.uint64(indptr[lo + i + 1])):
            x, g = np.float64(load(data[e], zero)), G[indices[e]]
            x = x * x if squared else x
            for c in range(k):
                g[c] += x * r[c]
