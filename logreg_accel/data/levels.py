"""The levels of a category among the columns of a sparse X: columns of which a row has at most one entry."""

import functools

import numpy as np
import scipy.sparse

from .half_dense import HalfDense

_LEAST = 64  # least number of levels
_GLANCES = 64, 4096  # rows that are examined first: in them, words of a text already share rows
# The other columns are a dense array if they are at most so many, and have no more numbers than this multiple
# of the entries of X.
_DENSE_UP_TO = 64
_DENSE_ENTRIES = 4


class Levels:
    """A sparse X in two parts, which are copied in float64 when they are first needed.

    Parameters
    ----------
    X : csr_array (m, n)
    start, stop : int
        The range of the columns that are levels.

    Attributes
    ----------
    which : ndarray of int (L,)
        Columns that are levels.
    rest : ndarray of int (n − L,)
        The other columns.
    n_entries : int
        Entries in the columns that are levels.
    at_once : bool
        Whether `grams` can only be computed for all rows at once.
    """

    def __init__(self, X, start, stop):
        self._X, columns = X, np.arange(X.shape[1])
        self.which, self.rest = columns[start:stop], np.delete(columns, slice(start, stop))
        self.n_entries = int(((X.indices >= start) & (X.indices < stop)).sum())
        width = len(self.rest) + 1
        self.at_once = width > _DENSE_UP_TO or X.shape[0] * width > _DENSE_ENTRIES * X.nnz

    @functools.cached_property
    def entries(self):
        """The columns that are levels, a csr_array (m, L)."""
        return self._X[:, self.which].astype(np.float64)

    @functools.cached_property
    def others(self):
        """The other columns, and a column of ones: an ndarray (m, n − L + 1) or a HalfDense."""
        X = self._X
        parts = X[:, self.rest].astype(np.float64), np.ones((X.shape[0], 1))
        others = scipy.sparse.csr_array(scipy.sparse.hstack(parts, format="csr"))
        return HalfDense(others) if self.at_once else others.toarray()

    def grams(self, C, rows):
        """Sums over some rows of Xᵀ·diag(c)·X for each column c of C (rows, P).

        Returns
        -------
        diagonal : ndarray (L, P)
            Of each level with itself; two levels share no row.
        across : ndarray (L, n − L + 1, P)
            Between the levels and the others.
        among : ndarray (n − L + 1, n − L + 1, P)
            Between the others.
        """
        levels = self.entries[rows]
        diagonal = levels.power(2).T @ C
        if not self.at_once:
            R = self.others[rows]
            made = (R[:, :, None] * C[:, None, :]).reshape(len(R), -1)
            shape = R.shape[1], C.shape[1]
            return diagonal, (levels.T @ made).reshape(-1, *shape), (R.T @ made).reshape(-1, *shape)
        across = [self.others.product(levels.multiply(c[:, None]).T.tocsr()) for c in C.T]
        among = [self.others.weighted_gram(c[:, None], False) for c in C.T]
        return diagonal, np.stack(across, axis=2), np.stack(among, axis=2)


def widest_run(X):
    """Return the longest run of adjacent columns, (start, stop), of which no row has two; X is a csr_array.

    Encoders put the levels of a category next to each other. Any set of columns that share no row would do,
    but finding the largest set is a hard problem, and a greedy search would collect rare levels of several
    categories in place of one wide category.
    """
    width = X.shape[1]
    if not width:
        return 0, 0
    # For each entry, the column of the one before it in its row, or −1; sorted by columns, they have runs
    # whose maxima NumPy finds many times faster than by np.maximum.at.
    previous = np.empty(len(X.indices), dtype=X.indices.dtype)
    previous[1:] = X.indices[:-1]
    previous[X.indptr[:-1][np.diff(X.indptr) > 0]] = -1
    columns = type(X)((previous, X.indices, X.indptr), shape=X.shape).tocsc()
    there = np.flatnonzero(np.diff(columns.indptr))
    before = np.full(width, -1)
    before[there] = np.maximum.reduceat(columns.data, columns.indptr[there])
    first = np.maximum.accumulate(before) + 1  # for each column, the start of the longest run that ends there
    last = int((np.arange(width) - first).argmax())
    return int(first[last]), last + 1


def levels_of(X, has_room=None):
    """Return the Levels of a csr_array, or None unless most of its columns are levels of one category.

    The function has_room() is called last, since finding out the free memory takes longer than most checks.
    """
    m, n = X.shape
    least = max(_LEAST, n // 2)
    if X.nnz > m * (n - least + 1):
        return None
    for rows in (*(X[:some] for some in _GLANCES if some < m), X):
        start, stop = widest_run(rows)
        if stop - start < least:
            return None
    if not (has_room is None or has_room()):
        return None
    return Levels(X, start, stop)
