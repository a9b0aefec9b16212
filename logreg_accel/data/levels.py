"""The levels of a category among the columns of a sparse X: columns of which a row has at most one entry."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from .half_dense import HalfDense

_LEAST = 64  # least number of levels
_GLANCES = 64, 4096  # rows that are examined first: in them, words of a text already share rows
# The other columns are a dense array if they are at most so many, and have no more numbers than this multiple
# of the entries of X.
_DENSE_UP_TO = 64
_DENSE_ENTRIES = 4


class Levels(NamedTuple):
    """A sparse X in two parts, in float64.

    Attributes
    ----------
    which : ndarray of int (L,)
        Columns that are levels.
    rest : ndarray of int (n − L,)
        The other columns.
    entries : csr_array (m, L)
        The columns that are levels.
    others : ndarray (m, n − L + 1) or HalfDense
        The other columns, and a column of ones.
    """

    which: np.ndarray
    rest: np.ndarray
    entries: scipy.sparse.csr_array
    others: Any

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
        if isinstance(self.others, np.ndarray):
            R = self.others[rows]
            made = (R[:, :, None] * C[:, None, :]).reshape(len(R), -1)
            shape = R.shape[1], C.shape[1]
            return diagonal, (levels.T @ made).reshape(-1, *shape), (R.T @ made).reshape(-1, *shape)
        across = [self.others.product(levels.multiply(c[:, None]).T.tocsr()) for c in C.T]
        among = [self.others.weighted_gram(c[:, None], False) for c in C.T]
        return diagonal, np.stack(across, axis=2), np.stack(among, axis=2)

    @property
    def at_once(self):
        """Whether `grams` can only be computed for all rows at once."""
        return not isinstance(self.others, np.ndarray)


def widest_run(X):
    """Return the longest run of adjacent columns, (start, stop), of which no row has two; X is a csr_array.

    Encoders put the levels of a category next to each other. Any set of columns that share no row would do,
    but finding the largest set is a hard problem, and a greedy search would collect rare levels of several
    categories in place of one wide category.
    """
    width, indices = X.shape[1], X.indices
    if not width:
        return 0, 0
    follows = np.ones(len(indices), dtype=bool)
    follows[X.indptr[:-1][np.diff(X.indptr) > 0]] = False
    before = np.full(width, -1)
    np.maximum.at(before, indices[follows], indices[np.flatnonzero(follows) - 1])
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
    X, which = X.astype(np.float64), np.arange(start, stop)
    rest = np.delete(np.arange(n), which)
    ones = np.ones((m, 1))
    others = scipy.sparse.csr_array(scipy.sparse.hstack([X[:, rest], ones], format="csr"))
    few = others.shape[1] <= _DENSE_UP_TO and np.prod(others.shape) <= _DENSE_ENTRIES * X.nnz
    return Levels(which, rest, X[:, which], others.toarray() if few else HalfDense(others))
