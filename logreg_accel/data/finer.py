"""Products of few rows with more digits than float64 has, for proofs that its rounding would hide."""

import numpy as np

from .matrix import Matrix

IN_UNITS = 4 * float(np.finfo(np.longdouble).eps / np.finfo(np.float64).eps)
"""The rounding of a product in units of that of float64; no less than 1 where long double is no wider."""


class Finer(Matrix):
    """A dense X of long doubles, whose products with columns are rounded to float64 only at the end.

    Sums are made in pairs, so that few roundings pile up. Everything else is that of X in float64.

    Parameters
    ----------
    numbers : ndarray (rows, n_features) of long double
    """

    def __init__(self, numbers):
        super().__init__(numbers.astype(np.float64))
        self.numbers = numbers

    def between(self, start, stop, step=1):
        return Finer(self.numbers[start:stop:step])

    def take(self, rows):
        return Finer(self.numbers[rows])

    def astype(self, dtype):
        return self

    def __matmul__(self, W):
        return _summed(self.numbers, W)

    def by_column(self, W):
        return self @ W

    def transposed_product(self, R):
        return _summed(np.ascontiguousarray(self.numbers.T), R)


def _summed(A, B):
    """A·B in float64, each sum along an array whose numbers are adjacent, which NumPy adds in pairs."""
    columns = [(A * b).sum(axis=1).astype(np.float64) for b in B.T]
    return np.stack(columns, axis=1) if columns else np.zeros((len(A), 0))


def finer(X):
    """The Finer of a Matrix in the memory of the host, less its centre."""
    base, centre = (X, 0) if X.centre is None else (X.base, X.centre)
    return Finer(base.to_dense().astype(np.longdouble) - centre)
