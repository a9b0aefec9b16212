"""The infimum of a problem without a penalty whose classes a plane separates, wholly or in part.

A linear programme finds a direction along which no margin falls and as many as possible grow. Their losses
go to nothing, and what is left has a minimum. Dropping losses only lowers F, so the minimum of the rest is a
lower bound whatever the programme got wrong; what a long step along the direction reaches is the upper one.

The numbers of X are known up to their rounding. Where margins stay but for that, a step of 1e12 would move
them, and F could fall along what is no more than the rounding of X: such steps are not taken, as directions
that only rounding tells apart are none in `reference`.
"""

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse

from . import exact, losses
from .reference import Exact, Optimum, optimum

_LD = np.longdouble
_ROUNDING = 1e-15  # of a value, relative
_GONE, _STILL = 7, 1e-9  # powers of 2 after which losses are gone, and by how much the other margins may move


def infimum(X, codes, k, s, intercept):
    """The Optimum of Σ s·ℓ alone."""
    whole = Exact(X, losses.of(codes, k), s, 0.0, 0.0, intercept)
    first = optimum(whole, steps=40)
    kept, direction, moved = _recession(whole, codes, k)
    if first.upper - first.lower <= 1e-12 * first.upper:  # next to nothing is left of the losses that go
        first.recedes = not kept.all()
        return first
    if kept.all():
        return optimum(whole)
    if not _undecided(kept, k).any():
        return Optimum(_LD(0), _LD(0), first.point, first.steps, recedes=True)
    if k == 2:
        rest = kept[:, 0]
        left = Exact(X[rest], losses.of(codes[rest], k), s[rest], 0.0, 0.0, intercept, like=whole)
    else:
        left = Exact(X, losses.Softmax(codes, k, kept), s, 0.0, 0.0, intercept, like=whole)
    found = optimum(left)
    start = whole.point(found.point.W)
    powers = [power for power in range(40) if power <= _GONE or 2.0**power * moved <= _STILL]
    far = [whole.moved(start, direction, 2.0**power) for power in powers]
    best = min((point for point in (first.point, *far) if np.isfinite(point.value)), key=lambda p: p.value)
    # A bound above what was reached is wrong: columns were too nearly collinear for it.
    lower = found.lower if found.lower <= best.value * (1 + _ROUNDING) else _LD(0)
    return Optimum(min(lower, best.value), best.value, best, found.steps, recedes=True)


def _undecided(kept, k):
    """Rows whose loss does not go to nothing: the own class is always kept."""
    return kept[:, 0] if k == 2 else kept.sum(axis=1) > 1


def _recession(whole, codes, k):
    """Which (row, other class) keep their loss, (m, k) or (m, 1); the direction, a pair of (n + 1, k), that
    raises the margins of others by 1 at least; and by how much it moves the margins that stay."""
    X = whole.X[0]
    outputs = 1 if k == 2 else k
    length = np.sqrt((X * X).sum(axis=0))
    length[length == 0] = 1
    Q, R, order = scipy.linalg.qr(X / length, mode="economic", pivoting=True)
    rank = int((abs(np.diag(R)) > 2e-14 * abs(R[0, 0])).sum())
    Q, R = Q[:, :rank] * np.sqrt(len(X)), R[:rank, :rank] / np.sqrt(len(X))
    rows, own, other = _pairs(codes, k)
    A = _differences(Q, rows, own, other, outputs)
    grows, u = _programme(A)
    kept = np.ones((len(X), outputs), bool)
    kept[rows[grows], other[grows]] = False
    if not grows.any():
        return kept, None, 0.0
    still, direction, most = A[~grows].toarray(), (np.zeros((X.shape[1], outputs)),) * 2, 0.0
    for _ in range(4):  # each time what rounding has left of the margins that are to stay
        inner = scipy.linalg.solve_triangular(R, u.reshape(outputs, rank).T)
        step = np.zeros((X.shape[1], outputs))
        step[order[:rank]] = inner / length[order[:rank], None]
        direction = exact.added(direction, (step, 0 * step))
        Z = exact.joined(*exact.product(whole.XT, direction))
        moved = Z[rows, own] - Z[rows, other] if k > 2 else np.where(own == 1, 1, -1) * Z[rows, 0]
        most = float(abs(moved[~grows]).max(initial=0.0))
        u = (
            -scipy.linalg.lstsq(still, moved[~grows].astype(np.float64), cond=1e-10)[0]
            if len(still)
            else 0 * u
        )
    return kept, direction, most


def _pairs(codes, k):
    """All (row, own class, other class)."""
    if k == 2:
        return np.arange(len(codes)), codes, np.zeros(len(codes), int)
    rows, other = np.nonzero(np.arange(k) != codes[:, None])
    return rows, codes[rows], other


def _differences(Q, rows, own, other, outputs):
    """The operator from the coefficients of Q to z_own − z_other, or to z̃."""
    rank = Q.shape[1]
    if outputs == 1:
        return scipy.sparse.csr_array(np.where(own == 1, 1.0, -1.0)[:, None] * Q)
    columns = [(c[:, None] * rank + np.arange(rank)) for c in (own, other)]
    entries = np.hstack([Q[rows], -Q[rows]]).ravel(), np.hstack(columns).ravel()
    at = np.repeat(np.arange(len(rows)), 2 * rank)
    return scipy.sparse.csr_array((entries[0], (at, entries[1])), shape=(len(rows), outputs * rank))


def _programme(A):
    """Which entries of A·u can grow while none falls, and such a u."""
    count, size = A.shape
    # What all classes have in common may go anywhere, which some programmes do not bear.
    for most in (None, 1e5, 1e3):
        found = scipy.optimize.linprog(
            np.append(np.zeros(size), -np.ones(count)),
            A_ub=scipy.sparse.hstack([-A, scipy.sparse.eye_array(count)]).tocsr(),
            b_ub=np.zeros(count),
            bounds=[(most and -most, most)] * size + [(0, 1)] * count,
            method="highs",
        )
        if found.x is not None:
            return found.x[size:] > 0.5, found.x[:size]
    # Undecided: bounds of F are looked for as if it had a minimum.
    return np.zeros(count, bool), np.zeros(size)
