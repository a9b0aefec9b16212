"""Passes over a dense X with the kernels of kernels/cuda: dense.cu by rows, columns.cu by columns."""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from .. import passes as p
from . import arrays, sweeps
from .compiler import REAL, begin, kernel
from .workspace import Exchange, waited_for


def run(name, block, W, V=None, keep_margins=False, since=None, at=None):
    """Run a pass with a kernel: its Sums, or None if there is no such kernel.

    The change of the margins of one output `since` others is computed in passing, without a second wait. `at`
    has the margins at W if they are known, which saves half of the products with V.
    """
    X, k = block.X, W.shape[1]
    if X.shape[0] == 0:
        return None
    at_hand = at is not None and k == 1 and X.by_rows and at.dtype == compute_dtype(X.dtype)
    if at_hand:
        name, W, V = "ProductAt", V, None
    with X.workspace.lock:
        plan = X.workspace.plan((name, k, X.shape[0], X.layout), lambda: _plan(name, X, k))
        if plan is None:
            return None
        margins = cupy.empty((k, X.shape[0]), dtype=plan.real) if keep_margins else None
        margins = arrays.contiguous(at) if at_hand else margins
        told = keep_margins and since is not None and k == 1
        with waited_for() as stream:
            plan.start(stream, block, (W,) if V is None else (W, V), margins)
            change = sweeps.begin_change(stream, since, margins.T, block) if told else None
        sums = plan.answer(margins)
    return sums._replace(change=sweeps.change_of(change)) if told else sums


def _plan(name, X, k):
    shape = name, X.dtype.name, X.shape[0], X.columns, k
    launch = shapes.dense(*shape, X.layout[1]) if X.by_rows else shapes.columns(*shape)
    return None if launch is None else _Plan(name, launch, X, k)


class _Plan:
    """The launches of a pass over matrices of one layout, and the buffers that its numbers go through."""

    def __init__(self, name, launch, X, k):
        (m, n), columns = X.shape, X.columns
        self.k, self.real = k, compute_dtype(X.dtype)
        vectors = 2 * k if name == "HessianVector" else k
        self.sent = Exchange(weights=(vectors * (columns + 1), self.real))
        weights, self.intercepts = np.split(self.sent.here.weights, [vectors * columns])
        self.slopes = weights.reshape(vectors, columns)[:, :n].T  # the padding beyond n stays zero

        self.launch = (launch.grid,), (launch.block,)
        self.kernel = kernel("dense.cu" if X.by_rows else "columns.cu", launch.kernel)
        self.shape = np.int64(X.layout[0]), np.int64(m), np.int32(columns), self.sent.there.weights
        self.slice_rows = np.int32(launch.slice_rows)
        self.partial = None, None
        self.summed = None
        if name == "Margins":
            return
        numbers, extras = k * columns, 2 * k
        scratch = X.workspace.scratch(launch.grid * (extras * 8 + numbers * self.real.itemsize))
        totals, sums = scratch[: launch.grid * extras * 8], scratch[launch.grid * extras * 8 :]
        self.partial = sums, totals
        self.summed = Exchange(packed=(numbers + extras, np.float64))
        packed = self.summed.here.packed
        self.gradient = packed[:numbers].reshape(k, columns)[:, :n].T
        self.values, self.factors = packed[numbers:-k], packed[-k:]
        summing, grid, threads = shapes.sum_slices(REAL[self.real.name], launch.grid, packed.size)
        self.summing = kernel("dense.cu", summing)
        sizes = np.int64(launch.grid), np.int32(numbers), np.int32(extras)
        self.sum = (grid,), (threads,), (sums, totals, *sizes, self.summed.there.packed)

    def start(self, stream, block, matrices, margins):
        """Begin the pass with one or two matrices of weights."""
        for i, matrix in enumerate(matrices):
            these = slice(i * self.k, (i + 1) * self.k)
            self.slopes[:, these], self.intercepts[these] = matrix[:-1], matrix[-1]
        self.sent.send(stream)
        rest = block.y, block.sample_weight, self.slice_rows, margins, *self.partial
        self.kernel(*self.launch, (block.X.stored, *self.shape, *rest))
        if self.summed:
            self.summing(*self.sum)
            self.summed.fetch(stream)

    def answer(self, margins):
        """The Sums, once the stream has been waited for."""
        margins = None if margins is None else margins.T
        if self.summed is None:
            return p.Sums(None, None, margins)
        gradient = np.empty((len(self.gradient) + 1, self.k))
        gradient[:-1], gradient[-1] = self.gradient, self.factors
        return p.Sums(self.values.copy(), gradient, margins)


def compile_ahead(dtype, most=8192):
    """Compile the kernels of dense.cu for padded numbers of columns; yields how many of all are done."""
    vector = 16 // np.dtype(dtype).itemsize
    widths = range(vector, most + 1, vector)
    launches = (shapes.dense(name, dtype, 1 << 20, n) for name in shapes.PASSES for n in widths)
    expressions = sorted({launch.kernel for launch in launches if launch})
    begin([("dense.cu", expression) for expression in expressions])
    for done, expression in enumerate(expressions, 1):
        kernel("dense.cu", expression)
        yield done, len(expressions)
