"""Weighted Gram matrices of compressed rows whose columns have very different densities, as in an encoded
table: numbers have an entry in every row, most levels of a category only in a few."""

import numpy as np
import scipy.sparse

from .matrix import Matrix

DENSE_BELOW = 12
"""Rows per entry of a column up to which BLAS on the dense column is faster than SciPy's sparse product."""

_TOGETHER = 128  # rows of the product of sparse columns at a time


class HalfDense:
    """A sparse X as a dense array of its fuller columns beside compressed rows of the others.

    A product of two sparse columns takes one operation for each entry that they share. A dense one in BLAS
    takes one for each row, but a much faster one. Neither suits both kinds of columns.

    Parameters
    ----------
    X : csr_array (m, n)
    """

    def __init__(self, X):
        full = self._counts(X) * DENSE_BELOW >= X.shape[0]
        self.full, self.rare = np.flatnonzero(full), np.flatnonzero(~full)
        self.dense = Matrix(X[:, self.full].toarray() if len(self.rare) else X.toarray())
        self.thin = X[:, self.rare]
        self.by_columns = self.thin.T.tocsr()

    @staticmethod
    def _counts(X):
        return np.bincount(X.indices, minlength=X.shape[1])

    @classmethod
    def bytes_of(cls, X):
        """The bytes of the arrays that it would make of X."""
        counts = cls._counts(X)
        thin = counts * DENSE_BELOW < X.shape[0]
        dense = X.shape[0] * int((~thin).sum()) * X.dtype.itemsize
        return dense + 2 * int(counts[thin].sum()) * (X.dtype.itemsize + X.indices.itemsize)

    def weighted_gram(self, c, positive):
        """Compute Xᵀ·diag(c)·X for c (rows, 1); `positive` states that no c is negative."""
        if not len(self.rare):
            return self.dense.weighted_gram(c, positive)
        n = len(self.full) + len(self.rare)
        G = np.empty((n, n), dtype=np.result_type(self.dense.stored, c))
        G[np.ix_(self.full, self.full)] = self.dense.weighted_gram(c, positive)
        entries, rows, starts = (getattr(self.by_columns, name) for name in ("data", "indices", "indptr"))
        weighted = scipy.sparse.csr_array((entries * c[rows, 0], rows, starts), shape=self.by_columns.shape)
        across = weighted @ self.dense.stored
        G[np.ix_(self.rare, self.full)], G[np.ix_(self.full, self.rare)] = across, across.T
        for start in range(0, len(self.rare), _TOGETHER):  # the whole product would take more memory than G
            some = slice(start, start + _TOGETHER)
            G[np.ix_(self.rare[some], self.rare)] = (weighted[some] @ self.thin).toarray()
        return G

    def product(self, A):
        """Compute A·X for a sparse A (p, m)."""
        total = np.empty((A.shape[0], len(self.full) + len(self.rare)))
        total[:, self.full] = A @ self.dense.stored
        if len(self.rare):
            total[:, self.rare] = (A @ self.thin).toarray()
        return total
