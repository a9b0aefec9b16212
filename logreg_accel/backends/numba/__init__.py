"""Compiled CPU loops: each pass reads X from memory once, on a pool of threads over fixed lanes of rows.

The number of lanes depends only on X's shape and their sums are added in a fixed order, so a result has the
same bits at any number of threads. What has no loop of its own (uncommon strides and byte orders, many
outputs, other losses) runs the generic body lane by lane, with one BLAS thread in each.
"""

import copy

import numpy as np

from ... import clock
from ...data import Block, Matrix, compute_dtype
from .. import drawing, moments
from .. import passes as p
from ..base import Backend
from ..numpy import NumpyBackend
from ..threads import blas_limit, run_lanes, usable_threads
from . import classes, dual, lanes, sandwich  # noqa: F401  (three of them add kernels to the table)
from .kernels import KERNELS, POINTWISE, column_sweep, drawing_loops, lasso_sweeps

_SMALL = p.LossGradient | p.HessianVector | p.Diagonal | p.Margins | p.ColumnSquares | p.RowSquares


class NumbaBackend(NumpyBackend):
    """Numba's loops for row-major, column-major and sparse X; the generic bodies, threaded, for the rest."""

    name = "numba"
    kernels = KERNELS
    pointwise_kernels = POINTWISE
    lasso_sweeps = staticmethod(lasso_sweeps)
    column_sweep = staticmethod(column_sweep)

    def kept(self, block):
        return block

    def layout(self, X):
        return lanes.layout(X)

    def take(self, block, rows, weights):
        X = block.X
        if X.compressed or X.centre is not None:  # which have ways of their own
            return Backend.take(self, block, rows, weights)
        stored = X.stored
        if not stored.flags.c_contiguous or len(rows) * X.shape[1] * stored.itemsize < 2 * lanes.LANE_BYTES:
            return super().take(block, rows, weights)
        taken = np.empty((len(rows), X.shape[1]), dtype=stored.dtype)

        def gather(i, start, stop):
            np.take(stored, rows[start:stop], axis=0, out=taken[start:stop], mode="clip")

        matrix = Matrix(taken)
        self.run_lanes(gather, lanes.even(len(rows), lanes.count(matrix)))
        splits, offset = (None if array is None else array[rows] for array in block[3:5])
        return Block(matrix, block.y[rows], weights.astype(compute_dtype(X.dtype)), splits, offset)

    def generic(self, pass_, block):
        """The generic body, lane by lane where it reads X."""
        if pass_.reads == 0:
            return super().generic(pass_, block)
        n_lanes = lanes.count(block.X, pass_.W.shape[1] if hasattr(pass_, "W") else 1)
        if isinstance(pass_, p.Hessian | p.MeanHessian | p.OwnHessians):
            n_lanes = lanes.hessian_count(block.X, pass_)
        elif isinstance(pass_, moments.GroupScores):
            n_lanes = lanes.groups_count(block.X, pass_)
        bounds = lanes.bounds(block.X, n_lanes)
        parts = [None] * n_lanes

        def work(i, start, stop):
            parts[i] = NumpyBackend.generic(
                self, pass_.between(start, stop), self.rows(block, slice(start, stop))
            )

        with blas_limit(1):
            self.run_lanes(work, bounds)
        return p.joined(pass_, parts, _transposed if isinstance(pass_, p.LossGradient) else np.concatenate)

    def total_mass(self, mass):
        """Compiled, on all threads."""
        bounds = lanes.even(len(mass), lanes.rows_count(mass))
        sums = [None] * (len(bounds) - 1)

        def work(i, start, stop):
            sums[i] = drawing_loops().total(mass, start, stop)

        self.run_lanes(work, bounds)
        return sum(total for total, _ in sums), sum(count for _, count in sums)

    def rows_above(self, mass, scale, even, bar, seed, numbers=None):
        """Compiled, on all threads, for consecutive rows whose numbers have 32 bits."""
        numbers = range(len(mass)) if numbers is None else numbers
        if not isinstance(numbers, range) or numbers.stop > 2**32:
            return super().rows_above(mass, scale, even, bar, seed, numbers)
        bounds = lanes.even(len(mass), lanes.rows_count(mass))
        counts, rows = [0] * (len(bounds) - 1), np.empty(len(mass), dtype=np.int64)
        real = mass.dtype.type
        arguments = (mass, real(scale), real(even), np.float32(bar), *drawing.keys(seed), numbers.start)

        def work(i, start, stop):
            counts[i] = drawing_loops().above(*arguments, start, stop, rows)

        self.run_lanes(work, bounds)
        passed = [rows[start : start + n] for start, n in zip(bounds, counts, strict=False)]
        rows = np.concatenate(passed)
        return rows, mass[rows]

    def limit_threads(self):
        """One thread of BLAS: lanes run beside each other, and sums on the host keep their order."""
        return blas_limit(1)

    @property
    def abreast(self):
        return self.n_threads or usable_threads()

    def each(self, work, count):
        """On all threads, each with a BLAS of one thread."""

        def in_time(i):
            clock.check()
            work(i)

        with blas_limit(1):
            run_lanes(in_time, count, self.abreast)

    def beside(self, pass_, count):
        """None for Hessians, since the sums of each may be as large as a block of rows."""
        threads = self.n_threads or usable_threads()
        if threads == 1 or not isinstance(pass_, _SMALL):
            return None
        backend = copy.copy(self)
        backend.n_threads = max(threads // count, 1)
        return backend

    def in_array_code(self):
        backend = NumbaBackend(self.n_threads)
        backend.kernels, backend.pointwise_kernels = {}, {}
        return backend

    def run_lanes(self, work, bounds):
        """work(i, start, stop) for lane i and its rows: bounds[i] to bounds[i + 1]."""
        run_lanes(
            lambda i: work(i, bounds[i], bounds[i + 1]), len(bounds) - 1, self.n_threads or usable_threads()
        )


def _transposed(parts):
    """Margins of all lanes, one output after the other, the order in which the loops take them back."""
    return np.concatenate([part.T for part in parts], axis=1).T
