"""Facts about columns of X for inference: sums by group of rows, columns of zeros and ones."""

import numpy as np
import scipy.sparse


def add_by_group(X, codes, R, out):
    """Add Σ [xᵢ, 1]·Rᵢ over the rows of every group to `out`.

    Parameters
    ----------
    X : Matrix (rows, n)
        A tile, in the arithmetic of `out`.
    codes : array (rows,)
        The group of each row.
    R : array (rows, k)
    out : array (groups, n + 1, k)
    """
    n = X.shape[1]
    if not isinstance(R, np.ndarray):  # on a device, whose library has no faster product
        X = X.to_dense()
        for a in range(R.shape[1]):
            np.add.at(out[:, :n, a], codes, X * R[:, a : a + 1])
            np.add.at(out[:, n, a], codes, R[:, a])
        return
    there, local = np.unique(codes, return_inverse=True)
    ends = np.arange(len(codes) + 1)
    for a in range(R.shape[1]):
        by_row = scipy.sparse.csr_array((R[:, a], local, ends), shape=(len(codes), len(there)))
        sums = by_row.T @ X.stored  # NumPy's add.at takes many times as long
        total = by_row.sum(axis=0)
        sums = sums.toarray() if X.compressed else sums
        if X.centre is not None:
            sums = sums - total[:, None] * X.centre
        out[there, :n, a] += sums
        out[there, n, a] += total


def mixed(X):
    """How many numbers of each column are neither 0 nor 1, and how many are 1: two arrays (n,), on the device
    of X.

    This is about X as stored, before a centre is subtracted.
    """
    stored = X.stored
    if X.compressed:
        columns, data = stored.indices, stored.data
        ones = np.bincount(columns, data == 1, minlength=X.shape[1])
        return np.bincount(columns, (data != 0) & (data != 1), minlength=X.shape[1]), ones
    ones = (stored == 1).sum(axis=0)
    return stored.shape[0] - ones - (stored == 0).sum(axis=0), ones
