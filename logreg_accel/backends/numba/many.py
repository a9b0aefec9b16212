"""Passes over many models: products by BLAS on a tile, compiled lines between them, one read of X.

The columns of W are cut into a few blocks, wide enough for BLAS to be fast, and all blocks are multiplied by
a tile of X while it is in cache. With blocks of one fixed width, a model would have the same bits whichever
models are fitted beside it; but such blocks would have to be narrow, which takes twice the time.
"""

from typing import NamedTuple

import numpy as np

from ... import clock
from ...data import Matrix, compute_dtype
from ...losses import Logistic, Multinomial
from .. import passes as p
from ..base import MODELS
from ..threads import blas_limit
from . import lanes
from .lanes import loops

_WIDTH = 64  # columns of a block, at most
_SUMMED_ROWS = 256  # rows that are summed in float32 before the sum is added up in float64
_TILE_BYTES, _TILE_ROWS = 1 << 18, (256, 1024)  # so that a tile and its margins stay in the L2 cache
_SPARSE_TILE_ROWS = 256


class _Table(NamedTuple):
    """The models of a block of columns, as the loops take them."""

    columns: slice
    target: np.ndarray
    line: np.ndarray
    factors: np.ndarray


class _Tile(NamedTuple):
    """Some rows of a lane.

    Attributes
    ----------
    lo, q : int
        The first row, and the number of rows.
    X : Matrix or None
        In the arithmetic of the pass; None if loops take the entries of a sparse X.
    codes : ndarray (targets, q)
    lines : ndarray (splits, q)
        The weight of each row in a split.
    """

    lo: int
    q: int
    X: Matrix | None
    codes: np.ndarray
    lines: np.ndarray


class _Job:
    """A pass over many models of a block of rows.

    Attributes
    ----------
    tables : list of _Table
        One per block of columns.
    """

    def __init__(self, backend, pass_, block):
        self.backend, self.pass_, self.block, self.X = backend, pass_, block, block.X
        self.dtype = compute_dtype(self.X.dtype)
        self.k, self.per_model = pass_.W.shape[1], pass_.loss.n_outputs
        self.softmax = isinstance(pass_.loss, Multinomial)
        kind, self.A = lanes.layout(self.X) if self.X.centre is None else (None, None)
        self.sparse = kind == "sparse"
        self.splits = sorted({model.split for model in pass_.models}, key=lambda split: split or 0)
        self.tables = [self._table(*some) for some in self._blocks(len(pass_.models))]

    def _blocks(self, models):
        """First and last models of blocks of about equal width; one block if loops take a sparse X."""
        most = models if self.sparse else max(_WIDTH // self.per_model, 1)
        bounds = lanes.even(models, -(-models // most))
        return zip(bounds, bounds[1:], strict=False)

    def _table(self, first, last):
        models = self.pass_.models[first:last]
        weights = [model.class_weight for model in models]
        classes = max((len(own) for own in weights if own), default=0)
        factors = [own or (1.0,) * classes for own in weights] if classes else np.empty((0, 0))
        return _Table(
            slice(first * self.per_model, last * self.per_model),
            np.array([model.target for model in models]),
            np.array([self.splits.index(model.split) for model in models]),
            np.ascontiguousarray(factors, dtype=self.dtype),
        )

    def columns(self, W):
        """W (n + 1, k) in the form that is multiplied: for a dense X, weights (k, n) and intercepts."""
        if self.sparse:
            return np.ascontiguousarray(W, dtype=self.dtype)
        columns = W.T.astype(self.dtype)
        return np.ascontiguousarray(columns[:, :-1]), columns[:, -1:].copy()

    # -- a tile ----------------------------------------------------------------------------------------------

    def tiles(self, start, stop):
        """The tiles of a lane."""
        least, most = _TILE_ROWS
        step = _SPARSE_TILE_ROWS
        if not self.sparse:
            step = max(least, min(_TILE_BYTES // self.X.row_bytes // least * least, most))
        for lo in range(start, stop, step):
            clock.check()
            hi = min(lo + step, stop)
            tile = None if self.sparse else self.X.between(lo, hi).astype(self.dtype)
            yield _Tile(lo, hi - lo, tile, self._codes(lo, hi), self._lines(lo, hi))

    def _codes(self, lo, hi):
        y = self.block.y[lo:hi]
        return np.ascontiguousarray(y.reshape(hi - lo, -1).T)

    def _lines(self, lo, hi):
        s, bits = self.block.sample_weight, self.block.splits
        lines = np.empty((len(self.splits), hi - lo), dtype=self.dtype)
        for line, split in zip(lines, self.splits, strict=True):
            if split is None:
                line[:] = 1
            else:
                loops("many").counted(bits, split, lo, line)
        if s is not None:
            lines *= s[lo:hi]
        return lines

    def margins(self, tile, W, columns):
        """The margins (columns, q) of a block of columns."""
        if self.sparse:
            Z = np.empty((self.k, tile.q), dtype=self.dtype)
            loops("many").sparse_margins(self.A, W, tile.lo, tile.q, Z)
            return Z
        weights, intercepts = W
        X = tile.X.stored if type(tile.X) is Matrix else None
        Z = weights[columns] @ X.T if X is not None else np.ascontiguousarray((tile.X @ weights[columns].T).T)
        Z += intercepts[columns]
        return Z

    def add(self, tile, R, columns, G, squared=False):
        """Add R·X (with `squared`, X is squared first) and the sums of R to G.

        For a dense X, G is (k, n + 1), and sums in float32 are over few rows, as in
        `Matrix.transposed_product`. For a sparse X, it is (n + 1, k).
        """
        if self.sparse:
            loops("many").sparse_gradient(self.A, R, squared, tile.lo, tile.q, G)
            return
        X = tile.X.squared() if squared else tile.X
        G = G[columns]
        if type(X) is not Matrix:  # sparse rows that are centred, and their squares
            G[:, :-1] += X.transposed_product(R.T).T
            G[:, -1] += R.sum(axis=1)
            return
        cut, X = tile.q // _SUMMED_ROWS * _SUMMED_ROWS, X.stored
        if cut:
            whole = R[:, :cut].reshape(len(R), -1, _SUMMED_ROWS).swapaxes(0, 1)
            loops("many").add_products(whole @ X[:cut].reshape(-1, _SUMMED_ROWS, X.shape[1]), G)
        if cut < tile.q:
            loops("many").add_products((R[:, cut:] @ X[cut:])[None], G)
        loops("many").add_sums(R, G)

    # -- all rows --------------------------------------------------------------------------------------------

    def run(self, of_tile, counts=1):
        """Sum over all rows what of_tile adds to value (models,) and to `counts` arrays (n + 1, k)."""
        n_lanes = lanes.count(self.X, self.k * counts)
        values = np.zeros((n_lanes, len(self.pass_.models)))
        n = self.X.shape[1] + 1
        sums = np.zeros((n_lanes, counts, n, self.k) if self.sparse else (n_lanes, counts, self.k, n))
        bounds = lanes.bounds(self.X, n_lanes)

        def work(i, start, stop):
            for tile in self.tiles(start, stop):
                for table in self.tables:
                    first = table.columns.start // self.per_model
                    of_tile(tile, table, values[i, first : first + len(table.target)], sums[i])

        with blas_limit(1):
            self.backend.run_lanes(work, bounds)
        total = sums.sum(axis=0)
        return values.sum(axis=0), total if self.sparse else total.swapaxes(1, 2)

    def work(self, q):
        """Scratch memory for the formulas of q rows."""
        return np.empty((6 if self.softmax else 2, q), dtype=self.dtype)


def _with_job(kernel):
    """A decorator: a kernel is called with a job."""

    def run(backend, pass_, block, stored):
        return kernel(_Job(backend, pass_, block), pass_)

    return run


@_with_job
def loss_gradient(job, pass_):
    """The loss, the gradient and, if asked for, the diagonal of the Hessian, of two classes."""
    if pass_.diagonal and job.softmax or pass_.keep_margins:
        return None
    W = job.columns(pass_.W)
    lines = loops("many").softmax_residuals if job.softmax else loops("many").residuals

    def of_tile(tile, table, value, sums):
        Z = job.margins(tile, W, table.columns)
        C = Z.copy() if pass_.diagonal else None
        lines(Z, tile.codes, tile.lines, *table[1:], tile.q, job.work(tile.q), value)
        job.add(tile, Z, table.columns, sums[0])
        if pass_.diagonal:
            _add_squares(job, tile, table, C, sums[1])

    value, sums = job.run(of_tile, 1 + pass_.diagonal)
    return p.Sums(value, sums[0], None, sums[1] if pass_.diagonal else None)


@_with_job
def diagonal(job, pass_):
    """The diagonal of the Hessian, of two classes."""
    W = job.columns(pass_.W)

    def of_tile(tile, table, value, sums):
        _add_squares(job, tile, table, job.margins(tile, W, table.columns), sums[0])

    return job.run(of_tile)[1][0]


def _add_squares(job, tile, table, Z, D):
    """Add a tile's contribution to the diagonal D, from its margins."""
    loops("many").curvatures(Z, tile.codes, tile.lines, *table[1:], tile.q, job.work(tile.q))
    job.add(tile, Z, table.columns, D, squared=True)


@_with_job
def hessian_vector(job, pass_):
    """Both margins of a tile from one read of it."""
    W, V = job.columns(pass_.W), job.columns(pass_.V)

    def of_tile(tile, table, value, sums):
        Z, U = (job.margins(tile, columns, table.columns) for columns in (W, V))
        known = tile.codes, tile.lines, *table[1:], tile.q, job.work(tile.q)
        if job.softmax:
            loops("many").softmax_products(Z, U, *known)
        else:
            loops("many").curvatures(Z, *known)
            Z *= U
        job.add(tile, Z, table.columns, sums[0])

    return job.run(of_tile)[1][0]


KERNELS = {
    (p.LossGradient, Logistic, MODELS): loss_gradient,
    (p.LossGradient, Multinomial, MODELS): loss_gradient,
    (p.HessianVector, Logistic, MODELS): hessian_vector,
    (p.HessianVector, Multinomial, MODELS): hessian_vector,
    (p.Diagonal, Logistic, MODELS): diagonal,
}
