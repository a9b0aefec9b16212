"""X as the passes see it: a `Matrix` that hides how its numbers are stored.

A pass uses a few methods of a matrix: rows between two bounds, chosen rows, X·W, Xᵀ·R, squares, a weighted
Gram matrix. Only the backends, when they look up a kernel, ask how the matrix is stored.
"""

import itertools
import math

import numpy as np

from .pieces import gram_bounds, runs_of
from .stored import compute_dtype, is_on_device, storage_dtype

_LEAST_COLUMNS = 512  # columns of a tile at least: fewer take longer to gather than to multiply
_FEW_NUMBERS = 1 << 16  # numbers up to which a product takes no longer than its calls
_SUMMED_ROWS = 256  # rows that are summed in float32 before the sum is added up in float64
_VERY_FEW_COLUMNS = 3  # columns up to which BLAS takes longer than products of one column after the other
_FEW_COLUMNS = 32  # columns of margins up to which those of a row are added up one after the other
_MANY_MARGINS = 1 << 14  # margins of a tile
_MADE = 8  # margins, exponentials, residuals and what is between them, which the cache holds as well


class Matrix:
    """A dense X: a two-dimensional array of any real dtype and layout, in host memory or on a device.

    Parameters
    ----------
    stored : array (rows, n_features)
        An array of NumPy or of a GPU library; it is not copied.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        The dtype in storage.
    names : sequence of str or None
        Names of the columns, for messages.
    centre : array (n_features,) or None
        Subtracted from every row before it is used; kernels read X as stored.
    piled : float
        Number of rounding errors of float32 that a sum over rows may accumulate, beside that of each term.
    """

    compressed = False
    keeps_copies = False
    columns_seen = None  # by look_at
    names = None
    centre = None
    piled = 2.0

    def __init__(self, stored):
        self.stored = stored
        self.shape = tuple(stored.shape)
        self.dtype = storage_dtype(stored)

    @property
    def nbytes(self):
        """Bytes that one read moves."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def entries(self):
        """How many numbers are stored."""
        return math.prod(self.shape)

    @property
    def work(self):
        """The size in bytes of a dense X whose passes take NumPy about as long."""
        return self.nbytes

    @property
    def row_bytes(self):
        """Bytes of one row of a tile in the arithmetic of the passes."""
        return self.shape[1] * compute_dtype(self.dtype).itemsize

    def tile_row_bytes(self, columns):
        """`row_bytes`, or those of what is made of a row for so many columns of W where that is more."""
        made = _MADE * columns * compute_dtype(self.dtype).itemsize if columns > 1 else 0
        return max(self.row_bytes, made)

    @property
    def on_device(self):
        """Whether the matrix lies in the memory of a CUDA GPU."""
        return is_on_device(self.stored)

    # -- rows ------------------------------------------------------------------------------------------------

    def between(self, start, stop, step=1):
        """Return a view of the rows start, start + step, ... below stop."""
        return Matrix(self.stored[start:stop:step])

    def take(self, rows):
        """Return a copy of some rows."""
        return Matrix(self.stored[rows])

    def columns(self, which):
        """Return a copy of some columns."""
        return type(self)(self.stored[:, which])

    def column_arrays(self):
        """Return Xᵀ, row-major, for loops over columns: an array (n, m), or data, indices and indptr."""
        return np.ascontiguousarray(self.stored.T)

    def levels(self, has_room=None):
        """Return the Levels of most columns of a sparse X, or None; `has_room` tells whether they fit."""
        return None

    def batch(self, number, n_batches):
        """Return slices of rows that form one of `n_batches` batches, which together contain every row once.

        If the numbers of a row are adjacent, a batch is every `n_batches`-th row, since data may be sorted by
        class. For a column-major X, where that would read everything, it is runs of rows in four places.
        """
        if self.shape[1] == 1 or self.stored.strides[1] == self.stored.itemsize:
            return [slice(number, self.shape[0], n_batches)]
        return runs_of(self.shape[0], number, n_batches)

    # -- arithmetic ------------------------------------------------------------------------------------------

    def astype(self, dtype):
        """Convert to another dtype, without a copy if it is the current one."""
        return self if self.stored.dtype == dtype else Matrix(self.stored.astype(dtype))

    def __matmul__(self, W):
        """Compute X·W."""
        return self.stored @ W

    def by_column(self, W):
        """Compute X·W with the numbers of a column adjacent if columns are few, rows many and X is dense.

        NumPy combines such columns several times faster than rows of a few numbers. Few numbers take no
        longer than its calls either way.
        """
        many = self.shape[0] * W.shape[1] >= _MANY_MARGINS and type(self.stored) is np.ndarray
        return (W.T @ self.stored.T).T if many and 1 < W.shape[1] <= _FEW_COLUMNS else self @ W

    def transposed_product(self, R):
        """Compute Xᵀ·R as (Rᵀ·X)ᵀ, which is faster in BLAS if R has few columns.

        On the host, float32 is summed over few rows, and then in float64: with repeated rows, rounding errors
        have one sign, and BLAS adds one row after the other.
        """
        X, (m, n) = self.stored, self.shape
        blocks = m // _SUMMED_ROWS
        if blocks < 2 or X.dtype != np.float32 or type(X) is not np.ndarray or not X.flags.c_contiguous:
            return (R.T @ X).T
        cut = blocks * _SUMMED_ROWS
        parts = R[:cut].reshape(blocks, _SUMMED_ROWS, -1).swapaxes(1, 2) @ X[:cut].reshape(blocks, -1, n)
        return parts.sum(axis=0, dtype=np.float64).T + (R[cut:].T @ X[cut:]).T

    def squared(self):
        """Return X with every number squared."""
        return Matrix(self.stored * self.stored)

    def sides(self, R):
        """Compute (X > 0)ᵀ·R, (X < 0)ᵀ·R and |X|ᵀ·r for the sums r of R's rows, in float64."""
        X, r = self.stored, R.sum(axis=1)
        return (X > 0).T @ R, (X < 0).T @ R, abs(X.astype(np.float64)).T @ r

    def weighted_gram(self, c, positive):
        """Compute Xᵀ·diag(c)·X for c (rows, 1); `positive` states that no c is negative."""
        X, n = self.stored, self.shape[1]
        if 0 < n <= _VERY_FEW_COLUMNS and type(X) is np.ndarray:
            columns = (X[:, j : j + 1] * c for j in range(n))
            return np.concatenate([self.transposed_product(column) for column in columns], axis=1)
        if not positive:
            return (X * c).T @ X
        scaled = X * np.sqrt(c)  # the same array on both sides, for which NumPy calls syrk instead of gemm
        return scaled.T @ scaled

    def few_products(self, k):
        """Whether `weighted_grams` of k > 1 columns is offered and takes no longer than one call for each."""
        m, n = self.shape
        here = type(self.stored) is np.ndarray and self.centre is None
        return here and k > 1 and m * n * k <= _FEW_NUMBERS

    def weighted_grams(self, C):
        """Compute [X 1]ᵀ·diag(c)·[X 1] for all columns c of C, (columns, n + 1, n + 1), by one product."""
        (m, n), k = self.shape, C.shape[1]
        X = np.concatenate([self.stored, np.ones((m, 1), dtype=self.stored.dtype)], axis=1)
        product = X.T @ (C[:, :, None] * X[:, None]).reshape(m, -1)
        return product.reshape(n + 1, k, n + 1).swapaxes(0, 1)

    def weighted_gram_rows(self, c):
        """Return a function (start, stop) -> some rows of `weighted_gram`, up to column `stop`."""
        X, scaled = self.stored, self.stored * c
        return lambda start, stop: X[:, start:stop].T @ scaled[:, :stop]

    def weighted_sum(self, c):
        """Compute Xᵀ·c (n_features,) for c (rows, 1)."""
        return (self.stored.T @ c)[:, 0]

    def mean_square_norm(self):
        """The mean of ‖x‖² over the rows, or inf where it would take as long as a pass."""
        return math.inf

    def row_gram(self, tile_bytes, each):
        """Compute X·Xᵀ in float64, some columns at a time; `each` runs blocks of rows in any order."""
        total, bounds = None, gram_bounds(self.shape[0])
        for columns in self._column_tiles(tile_bytes):
            part = self._columns(columns)
            total = np.zeros((len(part), len(part)), like=part) if total is None else total

            def add(i):
                rows, upto = slice(bounds[i], bounds[i + 1]), slice(bounds[i + 1])
                total[rows, upto] += part[rows] @ part[upto].T

            each(add, len(bounds) - 1)
        for start, stop in itertools.pairwise(bounds):
            total[:start, start:stop] = total[start:stop, :start].T
        return total

    def combination(self, a, tile_bytes, each):
        """Compute Xᵀ·a in float64 as a list of pieces; `each` runs tiles of columns in any order."""
        tiles = self._column_tiles(tile_bytes)
        parts = [None] * len(tiles)

        def multiply(i):
            parts[i] = self._columns(tiles[i]).T @ a

        each(multiply, len(tiles))
        return parts

    is_half_dense = False
    kept_dense = True

    def densified(self):
        """Return a dense copy if that is faster to use and not much larger, else the matrix itself."""
        return self

    def to_dense(self):
        """Return a dense array of all numbers."""
        return self.stored

    def first_nonfinite(self, tile_rows=4096):
        """Return row, column (with its name) and kind of the first number that is not finite, or None."""
        X = self.stored
        for start in range(0, X.shape[0], tile_rows):
            tile = X[start : start + tile_rows]
            bad = ~np.isfinite(tile)
            if bad.any():
                row, column = divmod(int(bad.argmax()), X.shape[1])
                return start + row, self._called(column), kind_of(tile[row, column])
        return None

    def _called(self, column):
        return column if self.names is None else f"{column} ({self.names[column]!r})"

    def _column_tiles(self, tile_bytes):
        m, n = self.shape
        step = max(tile_bytes // (8 * m), _LEAST_COLUMNS)
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def _columns(self, columns):
        """Return a copy of some columns in float64."""
        return self.stored[:, columns].astype(np.float64)


def kind_of(value):
    return "NaN" if bool(np.isnan(value)) else "infinity"
