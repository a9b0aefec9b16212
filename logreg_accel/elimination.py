"""Newton's system where the levels of a category are eliminated.

Since a row has one level of a category, the part of the Hessian that belongs to the levels is block diagonal:
D has one block (k, k) for each level. Let A be the part of the other parameters, and B that between the two
groups. The solution is (y, x) for a right-hand side (s, r) of the levels and the others, with

    S = A − Bᵀ·D⁻¹·B,   x = S⁻¹·(r − Bᵀ·D⁻¹·s),   y = D⁻¹·(s − B·x)

However many levels there are, the only large matrix to factor, the Schur complement S, has the size of A.
"""

import math

import numpy as np

from . import clock, metric

_SIZE_UP_TO = 2000  # largest size of S
_NUMBERS_UP_TO = 1 << 24  # largest number of entries of B
_TILE = 1 << 20  # numbers computed from a tile of rows, such that they fit the cache
_COPIES = 4  # the memory for the levels, and for what is computed from them, as a multiple of X
# Nanoseconds per unit of work in a solve or a product: an entry of X, a product of two entries of a row, a
# number computed from a row, a number of a system, a multiplication in BLAS, and an exponential.
_ENTRY, _PAIR, _MADE, _NUMBER, _IN_BLAS, _EXPONENTIAL = 1.2, 0.3, 9.0, 10.0, 0.06, 10.0


def worth(objective, most):
    """Return the number of products with the Hessian that take as long as one solve; inf if none is possible.

    Parameters
    ----------
    objective : Objective
    most : int
        Largest size of a matrix that may be factored.
    """
    X, k = objective.rows.columns_in_memory(), objective.loss.n_outputs
    if X is None or objective.models is not None:
        return math.inf
    products = foreseen(X, objective.rows.backend, k, most)
    penalised = products == math.inf or (objective._ridge.reshape(-1, k)[X.levels().which] > 0).all()
    return products if penalised else math.inf


def foreseen(X, backend, k, most=_SIZE_UP_TO):
    """`worth` for a matrix and k outputs, before there is an objective."""
    if X.centre is not None or X.on_device or backend.on_device:
        return math.inf

    def has_room():
        there = backend.free_bytes(X)
        return there is None or there >= _COPIES * X.nbytes

    found = X.levels(has_room)
    if found is None:
        return math.inf
    (m, n), entries = X.shape, X.entries
    q, count = n - len(found.which) + 1, len(found.which) * k
    size, others = q * k, m + entries - found.n_entries
    if size > most or count * size > _NUMBERS_UP_TO:
        return math.inf
    grams = _PAIR * others**2 / m + 2 * _ENTRY * others if found.at_once else _MADE * m * q
    system = _IN_BLAS * size * size * (count + size / 3) + _NUMBER * count * size
    return (k * (k + 1) / 2 * grams + system) / (k * (_ENTRY * entries + _EXPONENTIAL * m))


def solve(objective, question):
    """Return a function v -> (∇²F)⁻¹·v; with several outputs, for a v whose mean over the outputs is zero."""
    k, found = objective.loss.n_outputs, objective.rows.columns_in_memory().levels()
    D, B, A = _sums(objective, question.margins, found)
    ridge = objective._ridge.reshape(-1, k)
    own = np.append(found.rest, np.arange(objective.rows.n_features, len(ridge)))  # the intercept, if any
    q, count = len(own), len(found.which)
    A, B = A[:q, :, :q].reshape(q * k, q * k), B[:, :, :q].reshape(count, k, q * k)
    A[np.diag_indices(q * k)] += ridge[own].ravel()
    D[:, range(k), range(k)] += ridge[found.which]
    if k > 1:  # along a shift of all outputs the curvature is the ridge alone, which rounding would hide
        metric.against_shifts(A, k, range(q))
        D += np.trace(D, axis1=1, axis2=2)[:, None, None] / k**2
    inverse = np.linalg.inv(D)
    scaled = (inverse @ B).reshape(count * k, q * k)
    S = A - B.reshape(count * k, q * k).T @ scaled
    solve_others = objective.rows.backend.factor(S, metric.rounding(objective))

    def solve_parts(v):
        V = v.reshape(-1, k)
        ours = V[found.which]
        x = solve_others(V[own].ravel() - ours.ravel() @ scaled)
        Y = np.empty_like(V)
        Y[own] = x.reshape(-1, k)
        Y[found.which] = (inverse @ ours[:, :, None])[:, :, 0] - (scaled @ x).reshape(-1, k)
        return Y.ravel()

    return solve_parts


def _sums(objective, margins, found):
    """D (L, k, k), B (L, k, q, k) and A (q, k, q, k), divided by the sum of the weights."""
    backend, loss, k = objective.rows.backend, objective.loss, objective.loss.n_outputs
    (block,), (Z,) = objective.rows.blocks(), margins.parts
    count, q, m, n_pairs = len(found.which), len(found.rest) + 1, len(Z), k * (k + 1) // 2
    sums = np.zeros((count, n_pairs)), np.zeros((count, q, n_pairs)), np.zeros((q, q, n_pairs))
    for rows in clock.slices(m, m if found.at_once else max(_TILE // (n_pairs * q), 1)):
        s = None if block.sample_weight is None else block.sample_weight[rows, None]
        blocks = list(backend.curvature_blocks(loss, Z[rows], block.y[rows], s))
        C = np.concatenate([c for *_, c in blocks], axis=1).astype(np.float64)
        for total, part in zip(sums, found.grams(C, rows), strict=True):
            total += part
    D, B, A = np.empty((count, k, k)), np.empty((count, k, q, k)), np.empty((q, k, q, k))
    for i, (a, b, _) in enumerate(blocks):
        for c, d in ((a, b), (b, a)):
            D[:, c, d], B[:, c, :, d], A[:, c, :, d] = (part[..., i] / objective.weight_sum for part in sums)
    return D, B, A
