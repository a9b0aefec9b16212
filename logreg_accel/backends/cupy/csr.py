"""Sparse X on a GPU: compressed rows, for the generic bodies and for the passes of sparse.py.

CuPy's own sparse matrices are not suitable: they index their entries with 32 bits, and the transposed product
of cuSPARSE rounds differently on every run.
"""

import functools

import cupy
import numpy as np

from ...data import compute_dtype
from ...data.compressed import CompressedRows
from ...kernels.cuda import shapes
from . import arrays, entries
from .compiler import kernel
from .workspace import Workspace

_BITS = 62  # width of sums in fixed point


class DeviceCSR(CompressedRows):
    """A matrix in compressed rows on the device.

    Parameters
    ----------
    data : device array
        Entries, of a dtype in `shapes.STORAGE`.
    indices : device array of int32
        Columns of the entries, ascending within a row.
    indptr : device array (m + 1,) of int64
        Where each row begins in `data`. The first element need not be 0: a range of rows is a slice of
        indptr.
    n : int
        Number of columns.
    row_entries : int or None
        Average number of entries in a row; None computes it.
    workspace : Workspace or None
        None makes one; views of the rows share it.
    """

    def __init__(self, data, indices, indptr, n, row_entries=None, workspace=None):
        self.data, self.indices, self.indptr = data, indices, indptr
        self.shape = (indptr.size - 1, n)
        self.dtype = data.dtype
        self.row_entries = data.size // max(self.shape[0], 1) if row_entries is None else row_entries
        self.workspace = workspace or Workspace()

    @classmethod
    def from_sparse(cls, X, send):
        """Convert a matrix of SciPy or CuPy; `send` brings a host array to the device."""
        real = compute_dtype(X.dtype)
        dtype = X.dtype if X.dtype.name in shapes.STORAGE and real == np.float32 else real
        if X.shape[1] > np.iinfo(np.int32).max:
            raise ValueError(
                f"`X` has {X.shape[1]} columns; expected fewer than 2^31 on a GPU. Use backend='numba'."
            )
        dtypes = {"data": dtype, "indices": np.dtype(np.int32), "indptr": np.dtype(np.int64)}
        parts = {}
        for name, wanted in dtypes.items():
            part = getattr(X, name)
            parts[name] = (
                cupy.ascontiguousarray(part, dtype=wanted)
                if isinstance(part, cupy.ndarray)
                else send(part, wanted)
            )
        return cls(**parts, n=X.shape[1])

    on_device = True

    @property
    def stored(self):
        """The object that products are computed with, which is the matrix itself."""
        return self

    def between(self, start, stop, step=1):
        """View some rows, with `reach` and `exponents` of the whole matrix, which hold for its parts too."""
        indptr, n = self.indptr[start : stop + 1], self.shape[1]
        part = DeviceCSR(self.data, self.indices, indptr, n, self.row_entries, self.workspace)
        part.reach, part.exponents = self.reach, self.exponents
        return part

    def take(self, rows):
        begins, data, indices = entries.of_rows(self, rows)
        return DeviceCSR(data, indices, begins, self.shape[1])

    def astype(self, dtype, copy=False):
        if dtype == self.dtype:
            return self
        return self._of_own_entries(lambda data, indices: arrays.in_type(data, np.dtype(dtype)))

    def squared(self):
        return self._of_own_entries(lambda data, indices: arrays.squared(data))

    def moved(self, centre):
        return self._of_own_entries(lambda data, indices: entries.moved(data, indices, centre))

    def _of_own_entries(self, function):
        """A matrix with the same pattern, whose entries are function(data, columns) of this part's own."""
        first, last = int(self.indptr[0]), int(self.indptr[-1])
        data, indices = self.data[first:last], self.indices[first:last]
        return DeviceCSR(function(data, indices), indices, entries.shifted(self.indptr, first), self.shape[1])

    def has_all(self, centre):
        """Whether every row has an entry in each column whose centre is not zero."""
        far = cupy.asnumpy(centre) != 0
        return bool((self.reach[3][far] == self.shape[0]).all())

    def densified(self):
        return self

    def row_gram(self, tile_bytes, each):
        """Compute X·Xᵀ with a few rows at a time as dense vectors."""
        X, m = self.astype(np.float64), self.shape[0]
        G = np.empty((m, m))
        for start in range(0, m, shapes.MOST_OUTPUTS):
            some = X.between(start, min(start + shapes.MOST_OUTPUTS, m))
            G[:, start : start + shapes.MOST_OUTPUTS] = cupy.asnumpy(X @ some.to_dense().T)
        return G

    def first_nonfinite(self, tile_rows=4096):
        first, last = int(self.indptr[0]), int(self.indptr[-1])
        bad = ~cupy.isfinite(self.data[first:last])
        if not bool(bad.any()):
            return None
        at = first + int(bad.argmax())
        row = int((self.indptr <= at).sum()) - 1
        return row, int(self.indices[at]), "NaN" if bool(self.data[at] != self.data[at]) else "infinity"

    def to_dense(self):
        m, n = self.shape
        first, last = int(self.indptr[0]), int(self.indptr[-1])
        rows = cupy.searchsorted(self.indptr[1:], cupy.arange(first, last), side="right")
        dense = cupy.zeros((m, n), dtype=self.dtype)
        dense[rows, self.indices[first:last]] = self.data[first:last]
        return dense

    @functools.cached_property
    def nbytes(self):
        entries = int(self.indptr[-1]) - int(self.indptr[0])
        return entries * (self.dtype.itemsize + 4) + self.indptr.nbytes

    def __matmul__(self, W):
        """Compute X·W for W (n,) or (n, k) on the device, in the arithmetic of X."""
        n, real = self.shape[1], compute_dtype(self.dtype)
        W2 = W.reshape(n, -1)
        Z = cupy.empty((W2.shape[1], self.shape[0]), dtype=real)
        for k in range(0, W2.shape[1], shapes.MOST_OUTPUTS):
            some = W2[:, k : k + shapes.MOST_OUTPUTS]
            weights = cupy.zeros((n + 1, some.shape[1]), dtype=real)
            arrays.by_rows(some, some.shape[1], real, out=weights[:-1])
            self._margins(weights, Z[k : k + some.shape[1]])
        return Z.T if W.ndim == 2 else Z[0]

    def margins(self, W):
        """Compute X·W[:-1] + W[-1] for W (n + 1, k) on the host; (m, k) on the device, output by output."""
        real = compute_dtype(self.dtype)
        Z = cupy.empty((W.shape[1], self.shape[0]), dtype=real)
        for k in range(0, len(Z), shapes.MOST_OUTPUTS):
            some = slice(k, min(k + shapes.MOST_OUTPUTS, len(Z)))
            self._margins(cupy.asarray(np.ascontiguousarray(W[:, some], dtype=real)), Z[some])
        return Z.T

    def _margins(self, weights, Z):
        n, k = self.shape[1], weights.shape[1]
        self.launch("Margins", k, np.int32(n), weights, None, None, None, None, Z, None, None)

    @property
    def T(self):
        return _Transposed(self)

    def weighted_gram(self, c, positive=True):
        """Compute Xᵀ·diag(c)·X in float64 (n, n), for c (m, 1)."""
        n = self.shape[1]
        return self.full_gram(c)[:n, :n]

    def full_gram(self, c):
        """Compute [X, 1]ᵀ·diag(c)·[X, 1] in float64 (n + 1, n + 1), for c (m, 1)."""
        m, n = self.shape
        c = arrays.in_type(c, compute_dtype(self.dtype))
        largest = self.reach[1]
        shift = _BITS - _exponent(float(arrays.column_reach(c)[0])) - _exponent(m)
        sums = cupy.zeros((n, n), dtype=np.int64)
        exponents = cupy.asarray(-largest)
        self.launch("weighted_gram", 1, np.int32(n), c, exponents, np.int32(shift), sums)
        corner = cupy.asarray(arrays.column_sums(c))
        return entries.gram_of(sums, exponents, shift, self.T @ c, corner)

    # -- fixed point -----------------------------------------------------------------------------------------

    @functools.cached_property
    def reach(self):
        """Bounds on the sums over each column, as int32 exponents (n,) on the host.

        They are the largest exponents that a column's sums and its sums of squares can have for factors up to
        1, the exponent of its largest magnitude, the largest norm of a row as a float, and how many entries
        each column has.
        """
        n = self.shape[1]
        largest, counts = cupy.zeros(n, dtype=np.int64), cupy.zeros(n, dtype=np.int64)
        squared_norm = cupy.zeros(1, dtype=np.int64)
        self.launch("reaches", 1, largest, counts, squared_norm)
        exponent = np.frexp(cupy.asnumpy(largest).view(np.float64))[1].astype(np.int32)
        counts = cupy.asnumpy(counts)
        many = np.frexp(counts.astype(np.float64))[1].astype(np.int32)
        norm = float(np.sqrt(cupy.asnumpy(squared_norm).view(np.float64)[0]))
        return (exponent + many, 2 * exponent + many), exponent, norm, counts

    @functools.cached_property
    def exponents(self):
        """Exponents of the fixed-point units of a column's sums and its sums of squares, on the device."""
        return [cupy.asarray(-sums) for sums in self.reach[0]]

    def add_up(self, R, shifts, out):
        """Xᵀ·R of few outputs into the first columns of `out`; R is None for ones."""
        n, k = self.shape[1], len(shifts)
        there, sums = cupy.asarray(shifts), cupy.zeros((n, k), dtype=np.int64)
        self.launch("transposed", k, R, self.exponents[0], there, sums)
        entries.from_fixed(sums, self.exponents[0], there, out)

    def column_sums(self):
        """The sums of the columns, float64 (n,) on the device."""
        sums = cupy.empty((self.shape[1], 1), dtype=np.float64)
        self.add_up(None, shifts_of(np.ones(1)), sums)
        return sums[:, 0]

    def from_fixed(self, sums, shifts, squares=False):
        """Convert fixed-point sums (n, k) on the host to float64, given the shifts (k,) of their units."""
        return np.ldexp(sums.astype(np.float64), self.reach[0][squares][:, None] - shifts)

    def launch(self, name, outputs, *arguments):
        """Launch a kernel of sparse.cu on this matrix."""
        found, grid = shapes.sparse(
            name, self.dtype.name, self.shape[0], self.row_entries * self.shape[0], outputs
        )
        kernel("sparse.cu", found)(
            (grid,),
            (shapes.THREADS,),
            (self.data, self.indices, self.indptr, np.int64(self.shape[0]), *arguments),
        )


class _Transposed:
    def __init__(self, X):
        self.X = X

    def __matmul__(self, R):
        """Compute Xᵀ·R in float64 for R (m,) or (m, k) on the device."""
        X, real = self.X, compute_dtype(self.X.dtype)
        m, n = X.shape
        R2 = R.reshape(m, -1)
        G = cupy.empty((n, R2.shape[1]), dtype=np.float64)
        for k in range(0, R2.shape[1], shapes.MOST_OUTPUTS):
            some = arrays.in_type(R2[:, k : k + shapes.MOST_OUTPUTS], real)
            X.add_up(some, shifts_of(arrays.column_reach(some)), G[:, k:])
        return G.reshape(n, *R.shape[1:])


def _exponent(x):
    """Return the smallest e with x < 2^e."""
    return int(np.frexp(x)[1])


def shifts_of(bound):
    """Compute int32 exponents of the units of sums whose factors are at most `bound`."""
    return (_BITS - np.frexp(np.where(np.isfinite(bound), bound, 1))[1]).astype(np.int32)
