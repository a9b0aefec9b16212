"""Passes over many models: products by BLAS on a tile, compiled lines between them, one read of X.

Columns go through BLAS in blocks of one width, the last one filled with zeros, and along the inner side of a
product: which of its kernels BLAS takes depends on the width and on the place along the outer side, and so a
model's sums have the same bits whoever else is in the pass. But for that, wider products are faster.
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

_WIDTH = 16  # columns of a block
_SUMMED_ROWS = 256  # in float32, before float64
_TILE_BYTES, _TILE_ROWS = 1 << 19, (256, 2048)
_SPARSE_TILE_ROWS = 256


class _Table(NamedTuple):
    """The models of a block of columns, as the loops want them."""

    columns: slice
    target: np.ndarray
    line: np.ndarray
    factors: np.ndarray


class _Job:
    """A pass over many models of a block of rows.

    Attributes
    ----------
    tables : list of _Table
        One a block of columns.
    width : int
        Columns of each.
    """

    def __init__(self, backend, pass_, block):
        self.backend, self.pass_, self.block, self.X = backend, pass_, block, block.X
        self.dtype = compute_dtype(self.X.dtype)
        self.k, self.per_model = pass_.W.shape[1], pass_.loss.n_outputs
        self.softmax = isinstance(pass_.loss, Multinomial)
        kind, self.A = lanes.layout(self.X) if self.X.centre is None else (None, None)
        self.sparse = kind == "sparse"
        self.splits = sorted({model.split for model in pass_.models}, key=lambda split: split or 0)
        at_once = len(pass_.models) if self.sparse else max(_WIDTH // self.per_model, 1)
        self.width = max(at_once * self.per_model, _WIDTH)
        self.tables = [self._table(i, at_once) for i in range(0, len(pass_.models), at_once)]

    def _table(self, first, count):
        models = self.pass_.models[first : first + count]
        weights = [model.class_weight for model in models]
        classes = max((len(own) for own in weights if own), default=0)
        factors = [own or (1.0,) * classes for own in weights] if classes else np.empty((0, 0))
        columns = slice(first * self.per_model, (first + len(models)) * self.per_model)
        return _Table(
            columns,
            np.array([model.target for model in models]),
            np.array([self.splits.index(model.split) for model in models]),
            np.ascontiguousarray(factors, dtype=self.dtype),
        )

    def columns(self, W):
        """W (n + 1, k) as it is multiplied: of a dense X weights and intercepts of every block."""
        if self.sparse:
            return np.ascontiguousarray(W, dtype=self.dtype)
        blocks = {}
        for table in self.tables:
            part = np.zeros((self.width, W.shape[0]), dtype=self.dtype)
            part[: _used(table)] = W[:, table.columns].T
            blocks[table.columns.start] = np.ascontiguousarray(part[:, :-1]), part[:, -1:].copy()
        return blocks

    # -- a tile ----------------------------------------------------------------------------------------------

    def tiles(self, start, stop):
        """(first row, how many, X where it is dense, codes, lines) of the tiles of a lane."""
        least, most = _TILE_ROWS
        step = _SPARSE_TILE_ROWS
        if not self.sparse:
            step = max(least, min(_TILE_BYTES // self.X.row_bytes // least * least, most))
        for lo in range(start, stop, step):
            clock.check()
            hi = min(lo + step, stop)
            tile = None if self.sparse else self.X.between(lo, hi).astype(self.dtype)
            yield lo, hi - lo, tile, self._codes(lo, hi), self._lines(lo, hi)

    def _codes(self, lo, hi):
        y = self.block.y[lo:hi]
        return np.ascontiguousarray(y.reshape(hi - lo, -1).T)

    def _lines(self, lo, hi):
        s, bits = self.block.sample_weight, self.block.splits
        lines = np.empty((len(self.splits), hi - lo), dtype=self.dtype)
        for line, split in zip(lines, self.splits, strict=True):
            line[:] = 1 if split is None else (bits[lo:hi, split // 8] >> (split % 8)) & 1
        if s is not None:
            lines *= s[lo:hi]
        return lines

    def margins(self, lo, q, tile, W, columns):
        """(columns, q) of a block; columns of zeros where it has fewer models."""
        if self.sparse:
            Z = np.empty((self.k, q), dtype=self.dtype)
            loops("many").sparse_margins(self.A, W, lo, q, Z)
            return Z
        weights, intercepts = W[columns.start]
        Z = np.ascontiguousarray((tile @ weights.T).T)
        Z += intercepts
        return Z

    def add(self, lo, q, tile, R, columns, G, squared=False):
        """G (n + 1, k) += Xᵀ·Rᵀ, X squared first where that is asked for."""
        if self.sparse:
            loops("many").sparse_gradient(self.A, R, squared, lo, q, G)
            return
        tile = tile.squared() if squared else tile
        used = columns.stop - columns.start
        R[used:] = 0
        G[:-1, columns] += _transposed_product(tile, R)[:, :used]
        G[-1, columns] += R[:used].sum(axis=1, dtype=np.float64)

    # -- all rows --------------------------------------------------------------------------------------------

    def run(self, of_tile, counts=1):
        """Σ over all rows of what of_tile adds: value (models,), and `counts` sums of (n + 1, k)."""
        n_lanes = lanes.count(self.X, self.k * counts)
        values = np.zeros((n_lanes, len(self.pass_.models)))
        sums = np.zeros((n_lanes, counts, self.X.shape[1] + 1, self.k))
        bounds = lanes.bounds(self.X, n_lanes)

        def work(i, start, stop):
            for tile in self.tiles(start, stop):
                for table in self.tables:
                    first = table.columns.start // self.per_model
                    of_tile(tile, table, values[i, first : first + len(table.target)], sums[i])

        with blas_limit(1):
            self.backend.run_lanes(work, bounds)
        return values.sum(axis=0), sums.sum(axis=0)

    def work(self, q):
        """Scratch of the lines."""
        return np.empty((6 if self.softmax else 2, q), dtype=self.dtype)


def _with_job(kernel):
    """A decorator: a kernel is called with a job."""

    def run(backend, pass_, block, stored):
        return kernel(_Job(backend, pass_, block), pass_)

    return run


@_with_job
def loss_gradient(job, pass_):
    """The loss and the gradient, and where it is wanted the diagonal of the Hessian, of two classes."""
    if pass_.diagonal and job.softmax or pass_.keep_margins:
        return None
    W = job.columns(pass_.W)
    lines = loops("many").softmax_residuals if job.softmax else loops("many").residuals

    def of_tile(tile, table, value, sums):
        lo, q, X, codes, counted = tile
        Z = job.margins(lo, q, X, W, table.columns)
        C = Z.copy() if pass_.diagonal else None
        lines(Z[: _used(table)], codes, counted, *table[1:], q, job.work(q), value)
        job.add(lo, q, X, Z, table.columns, sums[0])
        if pass_.diagonal:
            _add_squares(job, tile, table, C, sums[1])

    value, sums = job.run(of_tile, 1 + pass_.diagonal)
    return p.Sums(value, sums[0], None, sums[1] if pass_.diagonal else None)


@_with_job
def diagonal(job, pass_):
    """The diagonal of the Hessian, of two classes."""
    W = job.columns(pass_.W)

    def of_tile(tile, table, value, sums):
        lo, q, X, *_ = tile
        _add_squares(job, tile, table, job.margins(lo, q, X, W, table.columns), sums[0])

    return job.run(of_tile)[1][0]


def _add_squares(job, tile, table, Z, D):
    """D += the diagonal's share of a tile, from margins."""
    lo, q, X, codes, counted = tile
    loops("many").curvatures(Z[: _used(table)], codes, counted, *table[1:], q, job.work(q))
    job.add(lo, q, X, Z, table.columns, D, squared=True)


@_with_job
def hessian_vector(job, pass_):
    """Both margins of a tile from one read of it."""
    W, V = job.columns(pass_.W), job.columns(pass_.V)

    def of_tile(tile, table, value, sums):
        lo, q, X, codes, counted = tile
        Z, U = (job.margins(lo, q, X, columns, table.columns) for columns in (W, V))
        used = _used(table)
        if job.softmax:
            loops("many").softmax_products(Z[:used], U[:used], codes, counted, *table[1:], q, job.work(q))
        else:
            loops("many").curvatures(Z[:used], codes, counted, *table[1:], q, job.work(q))
            Z *= U
        job.add(lo, q, X, Z, table.columns, sums[0])

    return job.run(of_tile)[1][0]


def _transposed_product(tile, R):
    """Xᵀ·Rᵀ in float64, of float32 added up over few rows first: see `Matrix.transposed_product`."""
    X = tile.stored if type(tile) is Matrix else None
    if X is None:  # sparse rows that are centred, and their squares
        return tile.transposed_product(R.T)
    cut = len(X) // _SUMMED_ROWS * _SUMMED_ROWS
    if X.dtype == np.float64 or not cut or not X.flags.c_contiguous:
        return X.T @ R.T
    parts = X[:cut].reshape(-1, _SUMMED_ROWS, X.shape[1]).swapaxes(1, 2)
    total = (parts @ R[:, :cut].reshape(len(R), -1, _SUMMED_ROWS).transpose(1, 2, 0)).sum(
        axis=0, dtype=np.float64
    )
    return total if cut == len(X) else total + X[cut:].T @ R[:, cut:].T


def _used(table):
    return table.columns.stop - table.columns.start


KERNELS = {
    (p.LossGradient, Logistic, MODELS): loss_gradient,
    (p.LossGradient, Multinomial, MODELS): loss_gradient,
    (p.HessianVector, Logistic, MODELS): hessian_vector,
    (p.HessianVector, Multinomial, MODELS): hessian_vector,
    (p.Diagonal, Logistic, MODELS): diagonal,
}
