"""X − 1cᵀ without changing X, for columns that lie so far from zero that the arithmetic of a pass loses them.

With an intercept, X and X − 1cᵀ give the same model, except for the intercept. But margins and sums over
columns far from zero lose the digits in which the rows differ; so c is subtracted in float64, tile by tile.
"""

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .compressed import CompressedRows
from .matrix import Matrix

_ROWS = (16, 512)  # rows examined, at least and at most
_BYTES = 1 << 20
_FAR = {"float32": 30.0, "float64": 1e4}
"""Distances from zero, in standard deviations, beyond which a column is far; rounding grows as their
square."""
_EXTREME = 1e15
"""Numbers above the first or below the second have squares near the limits of float32."""


class Centred(Matrix):
    """The dense matrix X − 1cᵀ in float64.

    Parameters
    ----------
    base : Matrix
    centre : array (n_features,), float64
        c, on the device of X.
    """

    def __init__(self, base, centre):
        super().__init__(base.stored)
        self.base, self.centre, self.dtype = base, centre, np.dtype(np.float64)

    @property
    def nbytes(self):
        return self.base.nbytes

    def between(self, start, stop, step=1):
        return type(self)(self.base.between(start, stop, step), self.centre)

    def take(self, rows):
        return type(self)(self.base.take(rows), self.centre)

    def batch(self, number, n_batches):
        return self.base.batch(number, n_batches)

    def astype(self, dtype):
        return Matrix(self.to_dense())

    def to_dense(self):
        X = self.stored.astype(np.float64)
        X -= self.centre
        return X

    def first_nonfinite(self, tile_rows=4096):
        return self.base.first_nonfinite(tile_rows)

    def _columns(self, columns):
        return self.stored[:, columns].astype(np.float64) - self.centre[columns]


class CentredRows(CompressedRows):
    """X − 1cᵀ in float64 for a sparse X, by algebra: nothing is made dense.

    (X − 1cᵀ)W = XW − 1(cᵀW), and so on. The mean of a column with a zero is at most the square root of the
    number of rows, in standard deviations, so that little cancels.
    """

    def __init__(self, base, centre):
        super().__init__(base.stored)
        self.base, self.centre, self.dtype = base, centre, np.dtype(np.float64)

    def between(self, start, stop, step=1):
        return type(self)(self.base.between(start, stop, step), self.centre)

    def take(self, rows):
        return type(self)(self.base.take(rows), self.centre)

    def astype(self, dtype):
        return type(self)(self.base.astype(np.dtype(np.float64)), self.centre)

    def __matmul__(self, W):
        return self.stored @ W - self.centre @ W

    def transposed_product(self, R):
        return self.base.T @ R - self.centre[:, None] * R.sum(axis=0)

    def squared(self):
        return _Squares(self)

    def weighted_gram(self, c, positive):
        inner = self.base.weighted_gram(c, positive)
        sums = self.base.T @ c
        return (
            inner - sums * self.centre - (sums * self.centre).T + c.sum() * np.outer(self.centre, self.centre)
        )

    def weighted_gram_rows(self, c):
        inner, sums, centre = self.base.weighted_gram_rows(c), self.base.T @ c, self.centre[:, None]

        def rows(start, stop):
            some, upto = slice(start, stop), slice(stop)
            shift = sums[some] @ centre[upto].T + centre[some] @ (sums[upto] - c.sum() * centre[upto]).T
            return inner(start, stop) - shift

        return rows

    def weighted_sum(self, c):
        return self.transposed_product(c)[:, 0]

    def row_gram(self, tile_bytes, each):
        along = (self.stored.astype(np.float64) @ self.centre)[:, None]
        return self.base.row_gram(tile_bytes, each) - along - along.T + self.centre @ self.centre

    def combination(self, a, tile_bytes, each):
        return [self.astype(np.float64).transposed_product(a)]

    def densified(self):
        return self

    def to_dense(self):
        return self.stored.toarray() - self.centre


class MovedRows(CentredRows):
    """X − 1cᵀ in float64 for a sparse X if columns with a nonzero c have an entry in every row: these are
    shifted.

    No new entries arise, and nothing cancels; in the algebra of `CentredRows`, squares of c would.
    """

    @cached_property
    def moved(self):
        """X − 1cᵀ, of a tile or of few rows."""
        return self.base.moved(self.centre)

    def __matmul__(self, W):
        return self.moved @ W

    def transposed_product(self, R):
        return self.moved.transposed_product(R)

    def squared(self):
        return self.moved.squared()

    def weighted_gram(self, c, positive):
        return self.moved.weighted_gram(c, positive)

    def weighted_gram_rows(self, c):
        return self.moved.weighted_gram_rows(c)

    def row_gram(self, tile_bytes, each):
        return self.moved.row_gram(tile_bytes, each)


class _Squares:
    """(X − 1cᵀ)∘(X − 1cᵀ) of a sparse X, for the products that a pass asks of it."""

    def __init__(self, X):
        self.X, self.squares = X, X.base.squared()

    def transposed_product(self, R):
        c = self.X.centre[:, None]
        return self.squares.transposed_product(R) - 2 * c * (self.X.base.T @ R) + c * c * R.sum(axis=0)

    def __matmul__(self, v):
        c = self.X.centre
        return self.squares @ v - 2 * (self.X.stored @ (c * v)) + (c * c) @ v


def centred(X, centre):
    """Return X − 1cᵀ, for c where X lies; if X is centred already, of the numbers that it stores."""
    if isinstance(X, Centred | CentredRows):
        X = X.base
    if not X.compressed:
        return Centred(X, centre)
    return (MovedRows if X.has_all(centre) else CentredRows)(X, centre)


class Columns(NamedTuple):
    """Statistics of the columns from some evenly spaced rows.

    Attributes
    ----------
    mean, deviation, largest : ndarray
        For a sparse X only of columns without a zero: the others are nearer to zero than their deviation.
    which : ndarray or slice
        The columns of these statistics.
    scale : ndarray (n_features,)
        Root mean squares.
    """

    mean: Any
    deviation: Any
    largest: Any
    which: Any
    scale: Any


def look_at(X, xp=np, to_host=np.asarray):
    """The Columns of X, computed once; it costs no read.

    Parameters
    ----------
    X : Matrix
    xp : array library
        Of X.
    to_host : function array -> ndarray
    """
    if X.columns_seen is None:
        X.columns_seen = _look_at(X, xp, to_host)
    return X.columns_seen


def _look_at(X, xp, to_host):
    m, n = X.shape
    size = min(m, max(_ROWS[0], min(_ROWS[1], int(_BYTES // max(X.nbytes / m, 1)))))
    rows = (np.arange(size) * m + m // 2) // size
    which, scale = slice(None), None
    if X.compressed and X.on_device:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        if X.compressed:
            some = X.stored[rows]
            squares = np.bincount(some.indices, some.data.astype(np.float64) ** 2, minlength=n)
            scale = np.sqrt(squares / size)
            which = np.flatnonzero(np.bincount(some.indices, minlength=n) == size)
            some = some[:, which].toarray()
        else:
            some = to_host((X if size == m else X.take(xp.asarray(rows))).to_dense())
        most, least = (f(axis=0, initial=0).astype(np.float64) for f in (some.max, some.min))
        some, largest = some.astype(np.float64, copy=False), np.maximum(most, -least)
        mean = np.where((some == some[:1]).all(axis=0), some[:1].sum(axis=0), some.mean(axis=0))
        some = some - mean
        some -= some.mean(axis=0)  # again: for columns far from zero, the first mean was rounded
        deviation = np.sqrt(np.einsum("ij,ij->j", some, some) / max(size, 1))
        if scale is None:
            scale = np.sqrt(mean * mean + deviation * deviation)
    return Columns(mean, deviation, largest, which, scale)


def spread_of(X):
    """Return the mean of ‖x − x̄‖² over some rows, ‖x̄‖² relative to it, "dense" or "sparse", as the numpy
    backend keeps X, and the largest mean square of a column relative to their mean.

    For a sparse X, x̄ counts as zero.
    """
    columns = look_at(X)
    each = columns.scale**2
    squares = float(each.sum())
    spread = squares if X.compressed else float((columns.deviation**2).sum())
    apart = max(squares / spread - 1, 0.0) if spread > 0 else math.inf
    uneven = float(each.max()) * len(each) / squares if squares > 0 else math.inf
    return spread, apart, "dense" if X.kept_dense else "sparse", uneven


def centre_of(columns, dtype, intercept):
    """The c to subtract, or None if the arithmetic needs no change.

    Any c gives the same model, so that the means of some rows suffice. Without an intercept c is zero, and
    only the arithmetic becomes float64.

    Parameters
    ----------
    columns : Columns
    dtype : numpy.dtype
        Of the arithmetic.
    intercept : bool
        Whether the model has one.

    Returns
    -------
    ndarray (n_features,) or None
        Zeros for columns that are not far from zero. Constant columns count as far if they are large, or if
        other columns need a centre in any case: the weight of a constant column is a second intercept in
        other units.
    """
    constant = columns.deviation == 0
    with np.errstate(invalid="ignore", over="ignore"):
        far = abs(columns.mean) > _FAR[dtype.name] * np.where(constant, 1, columns.deviation)
        tiny = (0 < columns.largest) & (columns.largest < 1 / _EXTREME)
        extreme = (dtype == np.float32) & (tiny | (columns.largest > _EXTREME))
    if not np.any(far | extreme) or not (intercept or dtype == np.float32):
        return None
    centre = np.zeros(len(columns.scale))
    if intercept:
        centre[columns.which] = np.where(far | constant, columns.mean, 0)
    return centre
