"""The levels of a category among the columns of a sparse X: columns of which no row has two."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from .half_dense import HalfDense

_LEAST = 64  # levels
_GLANCES = 64, 4096  # rows, among which words of a text show that they are no levels
_DENSE_UP_TO = 64  # other columns ...
_DENSE_ENTRIES = 4  # ... and their numbers, beside the entries of X


class Levels(NamedTuple):
    """A sparse X in two parts, in float64.

    Attributes
    ----------
    which : ndarray of int (L,)
        Columns that are levels.
    rest : ndarray of int (n − L,)
        The other ones.
    entries : csr_array (m, L)
        Of the levels.
    others : ndarray (m, n − L + 1) or HalfDense
        The other columns, and one of ones.
    """

    which: np.ndarray
    rest: np.ndarray
    entries: scipy.sparse.csr_array
    others: Any

    def grams(self, C, rows):
        """Sums over some rows of Xᵀ·diag(c)·X for each column c of C (rows, P).

        Returns
        -------
        diagonal : (L, P), among the levels
        across : (L, n − L + 1, P)
        among : (n − L + 1, n − L + 1, P), among the others
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
        """Whether `grams` are of all rows only."""
        return not isinstance(self.others, np.ndarray)


def widest_run(X):
    """The longest run of columns next to each other, (start, stop), of which no row of a csr_array has two.

    Encoders put the levels of a category next to each other. Any columns that share no row would do, but the
    best choice of them is a hard problem, and rare levels of several categories, taken first, would hide it.
    """
    width, indices = X.shape[1], X.indices
    if not width:
        return 0, 0
    follows = np.ones(len(indices), dtype=bool)
    follows[X.indptr[:-1][np.diff(X.indptr) > 0]] = False
    before = np.full(width, -1)
    np.maximum.at(before, indices[follows], indices[np.flatnonzero(follows) - 1])
    first = np.maximum.accumulate(before) + 1  # of the run that ends with a column
    last = int((np.arange(width) - first).argmax())
    return int(first[last]), last + 1


def levels_of(X, has_room=None):
    """The Levels of a csr_array, or None unless most of its columns are those of one category.

    Memory is asked for last, by has_room(): asking takes longer than most other checks.
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
