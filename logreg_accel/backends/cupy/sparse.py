"""Passes over a sparse X with the kernels of kernels/cuda/sparse.cu."""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from .. import passes as p
from .csr import shifts_of
from .workspace import Exchange, waited_for


def run(name, block, W, V=None, keep_margins=False, since=None, at=None):
    """Run a pass with a kernel of kernels/cuda/sparse.cu: its Sums, or None if there is no such kernel.

    `since` and `at` are ignored: a sweep computes the change of margins, and known margins are recomputed.
    """
    X, m, k = block.X, block.X.shape[0], W.shape[1]
    if m == 0 or k > shapes.MOST_OUTPUTS:
        return None
    bound = None if name == "Margins" else _bound(name, X, k, block.heaviest, V)
    with X.workspace.lock:
        plan = X.workspace.plan((name, k, m), lambda: _Plan(name, X, k))
        margins = cupy.empty((k, m), dtype=compute_dtype(X.dtype)) if keep_margins else None
        with waited_for() as stream:
            plan.start(stream, block, [W] if V is None else [W, V], bound, margins)
        value, gradient = plan.answer(X, bound)
    return p.Sums(value, gradient, None if margins is None else margins.T)


def _bound(name, X, k, heaviest, V):
    """Bounds on the magnitude of a row's factors (k,)."""
    if name == "LossGradient":
        return np.full(k, heaviest)
    if name == "Diagonal":
        return np.full(k, heaviest / 4)
    # by the Cauchy-Schwarz inequality
    return heaviest / 4 * (X.reach[2] * np.linalg.norm(V[:-1], axis=0) * (1 + 1e-6) + abs(V[-1]))


class _Plan:
    """The buffers of a pass over a matrix.

    It does not refer to the matrix, whose workspace refers to the plan.
    """

    def __init__(self, name, X, k):
        (m, n), vectors = X.shape, 2 * k if name == "HessianVector" else k
        self.name, self.n, self.k = name, n, k
        self.sent = Exchange(weights=((n + 1) * vectors, compute_dtype(X.dtype)), shifts=(k, np.int32))
        self.weights = self.sent.here.weights.reshape(n + 1, vectors)  # intercepts last
        self.summed = None
        if name != "Margins":
            self.grid = shapes.sparse(name, X.dtype.name, m, X.row_entries * m, k)[1]
            self.summed = Exchange(sums=(n * k, np.int64), totals=(self.grid * 2 * k, np.float64))

    def start(self, stream, block, matrices, bound, margins):
        """Begin the pass with one or two matrices of weights."""
        for i, matrix in enumerate(matrices):
            self.weights[:, i * self.k : (i + 1) * self.k] = matrix
        before, after = (None, None, None, None), (None, None)
        if self.summed:
            self.sent.here.shifts[...] = shifts_of(bound)
            self.summed.clear()
            exponents = block.X.exponents[self.name == "Diagonal"]
            before = block.y, block.sample_weight, exponents, self.sent.there.shifts
            after = self.summed.there.sums, self.summed.there.totals
        self.sent.send(stream)
        weights = self.sent.there.weights
        block.X.launch(self.name, self.k, np.int32(self.n), weights, *before, margins, *after)
        if self.summed:
            self.summed.fetch(stream)

    def answer(self, X, bound):
        """Values and gradient, after the stream has finished."""
        if self.summed is None:
            return None, None
        n, k, here = self.n, self.k, self.summed.here
        totals = here.totals.reshape(self.grid, 2 * k).sum(axis=0)
        gradient = np.empty((n + 1, k))
        gradient[:-1] = np.nan
        if np.isfinite(bound).all():
            sums, shifts = here.sums.reshape(n, k), self.sent.here.shifts
            gradient[:-1] = X.from_fixed(sums, shifts, squares=self.name == "Diagonal")
        gradient[-1] = totals[k:]
        return totals[:k], gradient
