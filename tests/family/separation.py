"""The infimum of a problem without a penalty whose classes a plane separates, wholly or in part.

A linear programme finds a direction along which no margin falls and as many as possible grow. Their losses
go to nothing, and what is left has a minimum. Dropping losses only lowers F, so the minimum of the rest is a
lower bound whatever the programme got wrong; what a long step along the direction reaches is the upper one.
"""

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse

from . import losses
from .reference import Exact, Optimum, optimum

_LD = np.longdouble


def infimum(X, codes, k, s, intercept):
    """The Optimum of Σ s·ℓ alone."""
    whole = Exact(X, losses.of(codes, k), s, 0.0, 0.0, intercept)
    found = optimum(whole, steps=40)
    if found.upper - found.lower <= 1e-12 * found.upper:
        return found
    kept, direction = _recession(whole.X[0], codes, k)
    if kept.all():
        return optimum(whole)
    if k == 2:
        rest = kept[:, 0]
        if not rest.any():
            return Optimum(_LD(0), _LD(0), whole.zero(), 0)
        left = Exact(X[rest], losses.of(codes[rest], k), s[rest], 0.0, 0.0, intercept, whole)
    else:
        if not kept.sum(axis=1).max() > 1:
            return Optimum(_LD(0), _LD(0), whole.zero(), 0)
        left = Exact(X, losses.Softmax(codes, k, kept), s, 0.0, 0.0, intercept, whole)
    found = optimum(left)
    start = whole.point(found.point.W)
    far = [whole.moved(start, 2.0**power * direction) for power in range(40)]
    upper = min((point for point in far if np.isfinite(point.value)), key=lambda p: p.value)
    return Optimum(found.lower, max(upper.value, found.upper), upper, found.steps)


def _recession(X, codes, k):
    """Which (row, other class) keep their loss, (m, k) or (m, 1), and the direction (n + 1, outputs)."""
    Q, R, order = scipy.linalg.qr(X, mode="economic", pivoting=True)
    rank = int((abs(np.diag(R)) > 1e-14 * abs(R[0, 0])).sum())
    Q = Q[:, :rank] * np.sqrt(len(X))
    outputs = 1 if k == 2 else k
    if k == 2:
        sides = np.where(codes == 1, 1.0, -1.0)
        pairs, A = [(i, 0) for i in range(len(X))], sides[:, None] * Q
    else:
        pairs = [(i, c) for i in range(len(X)) for c in range(k) if c != codes[i]]
        i, c = np.array(pairs).T
        data = np.concatenate([Q[i], -Q[i]], axis=1)
        columns = np.concatenate(
            [codes[i][:, None] * rank + np.arange(rank), c[:, None] * rank + np.arange(rank)], axis=1
        )
        rows = np.repeat(np.arange(len(pairs)), 2 * rank)
        A = scipy.sparse.csr_array((data.ravel(), (rows, columns.ravel())), shape=(len(pairs), k * rank))
    count = A.shape[0]
    programme = scipy.optimize.linprog(
        np.append(np.zeros(A.shape[1]), -np.ones(count)),
        A_ub=scipy.sparse.hstack([-scipy.sparse.csr_array(A), scipy.sparse.eye_array(count)]).tocsr(),
        b_ub=np.zeros(count),
        bounds=[(None, None)] * A.shape[1] + [(0, 1)] * count,
        method="highs",
    )
    kept = np.ones((len(X), outputs), bool)
    if programme.x is None:
        return kept, None
    grows = programme.x[A.shape[1] :] > 0.5
    if not grows.any():
        return kept, None
    u = programme.x[: A.shape[1]]
    still = A[~grows] if k == 2 else A[~grows].toarray()
    for _ in range(2):
        if len(still):
            u = u - scipy.linalg.lstsq(still, still @ u, cond=1e-10)[0]
    for (i, c), gone in zip(pairs, grows, strict=True):
        kept[i, c] = not gone
    direction = np.zeros((X.shape[1], outputs))
    inner = scipy.linalg.solve_triangular(R[:rank, :rank], u.reshape(outputs, rank).T * np.sqrt(len(X)))
    direction[order[:rank]] = inner
    return kept, direction
