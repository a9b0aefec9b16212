"""A sparse X as the passes see it."""

import math
from typing import Any

import numpy as np

from .half_dense import DENSE_BELOW, HalfDense
from .levels import levels_of
from .matrix import Matrix, kind_of
from .pieces import gram_bounds, runs_of

_SPARSE_WORK = 4  # time of a pass relative to a dense X of the same size in bytes
_TILES = 32  # factor by which tiles are larger than those of a dense X
_KEPT_UP_TO = 1 << 25  # bytes of entries up to which copies are kept
_DENSE_NUMBERS = 1 << 20  # size of a part whose fuller columns are made dense, where X is cut for that
_DENSE_AT_MOST = 2  # largest size of a dense copy relative to the compressed rows


class CompressedRows(Matrix):
    """A sparse X in compressed rows, as SciPy's csr_array; the entries of a row ascend, none is repeated."""

    compressed = True
    piled = 1.0
    _by_columns = None
    _in_float64 = None
    _half_dense = None
    _levels: Any = False

    @property
    def nbytes(self):
        X = self.stored
        return int(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)

    @property
    def work(self):
        return _SPARSE_WORK * self.nbytes

    @property
    def keeps_copies(self):
        """Whether copies of the entries, which make products faster, are small enough to be kept."""
        return self.stored.data.nbytes <= _KEPT_UP_TO

    @property
    def row_bytes(self):
        """A fraction of a mean row: SciPy's products have a fixed cost, and gain nothing from small tiles."""
        return self.nbytes // max(_TILES * self.shape[0], 1) + 1

    def tile_row_bytes(self, columns):
        return self.row_bytes

    def between(self, start, stop, step=1):
        if step != 1:
            raise ValueError(f"`step` is {step}; compressed rows can only be cut in runs.")
        X = self.stored
        if stop - start == X.shape[0]:
            return self
        first, last = int(X.indptr[start]), int(X.indptr[stop])
        data, indices, indptr = X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first
        return CompressedRows(_on(type(X), (stop - start, X.shape[1]), data, indices, indptr))

    def take(self, rows):
        return CompressedRows(self.stored[rows])

    def batch(self, number, n_batches):
        """Return slices of rows, cut as `Matrix.batch` cuts a column-major X."""
        return runs_of(self.shape[0], number, n_batches)

    def astype(self, dtype):
        return self if self.stored.dtype == dtype else self._with_data(self.stored.data.astype(dtype))

    @property
    def T(self):
        """Xᵀ for products, on the same memory."""
        from scipy.sparse import csc_array

        X = self.stored
        return _on(csc_array, X.shape[::-1], X.data, X.indices, X.indptr)

    @property
    def entries(self):
        return self.stored.data.size

    @property
    def has_columns(self):
        """Whether `by_columns` was called before."""
        return self._by_columns is not None

    def by_columns(self):
        """Return Xᵀ in compressed rows, a copy that is made once and kept."""
        if self._by_columns is None:
            columns = self.stored.tocsc()
            parts = columns.data, columns.indices, columns.indptr
            self._by_columns = CompressedRows(type(self.stored)(parts, shape=self.shape[::-1]))
        return self._by_columns

    def column_arrays(self):
        X = self.by_columns().stored
        return X.data, *(a.view(f"u{a.itemsize}") for a in (X.indices, X.indptr))

    def levels(self, has_room=None):
        """Return the Levels of most of its columns, a copy that is made once and kept, or None."""
        if self._levels is False:
            self._levels = levels_of(self.stored, has_room)
        return self._levels

    def transposed_product(self, R):
        """Compute Xᵀ·R in float64, since SciPy adds one entry after the other.

        The copy of X in float64 that SciPy would make for each product is kept if it is small.
        """
        if self._in_float64 is None and self.keeps_copies:
            self._in_float64 = self.astype(np.float64).T
        X = self.T if self._in_float64 is None else self._in_float64
        return X @ R.astype(np.float64, copy=False)

    def squared(self):
        return self._with_data(self.stored.data * self.stored.data)

    def sides(self, R):
        x, r = self.stored.data, R.sum(axis=1)
        above, below, size = ((x > 0) * 1.0, (x < 0) * 1.0, abs(x.astype(np.float64)))
        return self._with_data(above).T @ R, self._with_data(below).T @ R, self._with_data(size).T @ r

    def weighted_gram(self, c, positive):
        m, n = self.shape
        if self._half_dense is None:
            small = HalfDense.bytes_of(self.stored) <= _KEPT_UP_TO
            if not small and m * n * self.dtype.itemsize > _KEPT_UP_TO:
                return self._weighted_gram_in_parts(c, positive, max(_DENSE_NUMBERS // n, n))
            parts = HalfDense(self.stored)
            if not small:
                return parts.weighted_gram(c, positive)
            self._half_dense = parts
        return self._half_dense.weighted_gram(c, positive)

    def _weighted_gram_in_parts(self, c, positive, rows):
        """As `weighted_gram`, some rows at a time: their dense columns take no more than a few results."""
        total, m = 0.0, self.shape[0]
        for start in range(0, m, rows):
            stop = min(start + rows, m)
            part = HalfDense(self.between(start, stop).stored)
            total += part.weighted_gram(c[start:stop], positive)
        return total

    def weighted_gram_rows(self, c):
        if self._is_nearly_dense():
            return Matrix(self.stored.toarray()).weighted_gram_rows(c)
        transposed, scaled = self.stored.T.tocsr(), self.stored.multiply(c).tocsr()
        return lambda start, stop: (transposed[start:stop] @ scaled).toarray()[:, :stop]

    def mean_square_norm(self):
        entries = self.stored.data
        return float(entries @ entries) / max(self.shape[0], 1) if entries.dtype.kind == "f" else math.inf

    def has_all(self, centre):
        """Whether every row has an entry in each column whose centre is not zero."""
        far = centre != 0
        return int(far[self.stored.indices].sum()) == self.shape[0] * int(far.sum())

    def weighted_sum(self, c):
        return (self.T @ c)[:, 0]

    def row_gram(self, tile_bytes, each):
        X = self.stored.astype(np.float64)
        transposed, total = X.T.tocsr(), np.empty((X.shape[0], X.shape[0]))
        bounds = gram_bounds(X.shape[0])

        def multiply(i):
            rows = slice(bounds[i], bounds[i + 1])
            total[rows] = (X[rows] @ transposed).toarray()

        each(multiply, len(bounds) - 1)
        return total

    def combination(self, a, tile_bytes, each):
        return [self.astype(np.float64).T @ a]

    def densified(self):
        return Matrix(self.stored.toarray()) if self._is_nearly_dense() else self

    @property
    def is_half_dense(self):
        """Whether a dense copy is small, and no larger than this matrix with the copy that products keep."""
        dense = math.prod(self.shape) * self.dtype.itemsize
        return dense <= min(_DENSE_AT_MOST * self.nbytes, _KEPT_UP_TO)

    @property
    def kept_dense(self):
        """Whether the numpy backend keeps X as a dense array."""
        return self.is_half_dense and self._is_nearly_dense()

    def to_dense(self):
        return self.stored.toarray()

    def first_nonfinite(self, tile_rows=4096):
        X = self.stored
        bad = ~np.isfinite(X.data)
        if not bad.any():
            return None
        at = int(bad.argmax())
        return int((X.indptr <= at).sum()) - 1, self._called(int(X.indices[at])), kind_of(X.data[at])

    def moved(self, centre):
        """Return a copy in float64 with `centre` subtracted from every entry."""
        return self._with_data(self.stored.data.astype(np.float64) - centre[self.stored.indices])

    def _with_data(self, data):
        """Return a matrix with the same pattern and other numbers."""
        X = self.stored
        return CompressedRows(_on(type(X), X.shape, data, X.indices, X.indptr))

    def _is_nearly_dense(self):
        """Whether X is so dense that BLAS on all numbers is faster than SciPy's sparse product."""
        return math.prod(self.shape) <= DENSE_BELOW * self.stored.data.size


def _on(kind, shape, data, indices, indptr):
    """Return a sparse array of SciPy's on three arrays.

    Its constructor, and with it `X.T` and `X.astype`, would read all indices for a check and copy those that
    are a small part of a larger array, as a tile's are.
    """
    X = kind(shape, dtype=data.dtype)
    X.data, X.indices, X.indptr = data, indices, indptr
    return X
