"""Weighted Gram matrices of compressed rows whose columns have very different densities, as in an encoded
table: numbers have an entry in every row, most levels of a category only in a few."""

import numpy as np

from .matrix import Matrix

DENSE_BELOW = 12
"""Rows per entry of a column up to which BLAS on the dense column is faster than SciPy's sparse product."""


class HalfDense:
    """A sparse X as a dense array of its fuller columns beside compressed rows of the others.

    A product of two sparse columns takes one operation for each entry that they share. A dense one in BLAS
    takes one for each row, but a much faster one. Neither suits both kinds of columns.

    Parameters
    ----------
    X : csr_array (m, n)
    """

    def __init__(self, X):
        m, n = X.shape
        full = np.bincount(X.indices, minlength=n) * DENSE_BELOW >= m
        self.full, self.rare = np.flatnonzero(full), np.flatnonzero(~full)
        self.dense = Matrix(X[:, self.full].toarray() if len(self.rare) else X.toarray())
        self.thin = X[:, self.rare]
        self.by_columns = self.thin.T.tocsr()
        self.rows = np.repeat(np.arange(m), np.diff(self.thin.indptr))

    @property
    def nbytes(self):
        parts = self.dense.stored, self.thin.data, self.thin.indices, self.by_columns.data, self.rows
        return sum(part.nbytes for part in parts)

    def weighted_gram(self, c, positive):
        """Compute Xᵀ·diag(c)·X for c (rows, 1); `positive` states that no c is negative."""
        among_full = self.dense.weighted_gram(c, positive)
        if not len(self.rare):
            return among_full
        n = len(self.full) + len(self.rare)
        G = np.empty((n, n), dtype=among_full.dtype)
        G[np.ix_(self.full, self.full)] = among_full
        across = self.by_columns @ (self.dense.stored * c)
        G[np.ix_(self.rare, self.full)], G[np.ix_(self.full, self.rare)] = across, across.T
        weighted = self.thin.copy()
        weighted.data = weighted.data * c[self.rows, 0]
        G[np.ix_(self.rare, self.rare)] = (self.by_columns @ weighted).toarray()
        return G

    def product(self, A):
        """Compute A·X for a sparse A (p, m)."""
        total = np.empty((A.shape[0], len(self.full) + len(self.rare)))
        total[:, self.full] = A @ self.dense.stored
        if len(self.rare):
            total[:, self.rare] = (A @ self.thin).toarray()
        return total
