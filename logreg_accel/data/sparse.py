"""Sparse X, in compressed rows (CSR): `data` and `indices` of the entries, `indptr` where each row begins.

On the host it is SciPy's csr_array, so that SciPy computes whatever has no loop of ours; on a GPU the cupy backend has a type of
its own. Where an array of both kinds will do, code asks these functions and no types.
"""

import math

import numpy as np

_DENSE_BELOW = 8  # columns for an entry of a row


def is_sparse(X):
    """Whether X, as `as_matrix` leaves it, is in compressed rows."""
    return hasattr(X, "indptr")


def as_csr(X, name="X"):
    """X of any of SciPy's sparse formats as a csr_array, sharing memory with X where that is CSR without repeated entries.

    Raises
    ------
    TypeError, ValueError
        Numbers that are not real; not two-dimensional, no rows, no columns; indices that point outside.
    """
    import scipy.sparse
    from sklearn.utils import check_array

    if getattr(X, "checked", False):
        return X
    if X.dtype.kind not in "fiubc":
        raise TypeError(f"`{name}` has dtype {X.dtype}; expected real numbers. Encode the columns as numbers first.")
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
    X = check_array(X, accept_sparse="csr", dtype=None, ensure_all_finite=False, input_name=name)
    X = scipy.sparse.csr_array(X)
    X.check_format(full_check=True)  # compiled loops trust the indices
    if not X.has_sorted_indices:
        X = X.tocsc().tocsr()  # two counting sorts: 0.9 ms where sorting the rows of 180,000 entries takes 2.9
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    X.checked = True  # ours alone: SciPy's arrays are not
    return X


def stored_bytes(X, dtype):
    """Bytes that one read of X moves; dtype is its storage dtype."""
    if is_sparse(X):
        return int(X.nbytes if hasattr(X, "between") else X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
    return math.prod(X.shape) * dtype.itemsize


def conversion(given, X):
    """What was done to make X of the sparse matrix given, for those who want to know; None if nothing was."""
    if given is X or not is_sparse(X) or not hasattr(given, "format"):
        return None
    size = f"({stored_bytes(X, X.dtype) / 1e6:.3g} MB)"
    if given.format != "csr":
        return f"X was converted from {given.format} to csr {size}"
    if X.data.size and not (isinstance(X.data, np.ndarray) and np.shares_memory(X.data, given.data)):
        return f"X was copied {size}: its entries were not sorted, or repeated, or not in this machine's byte order"
    return None


def squared(X):
    """X with its entries squared."""
    return X.power(2) if is_sparse(X) else X * X


def transposed_product(X, R):
    """Xᵀ·R; of a dense X as (Rᵀ·X)ᵀ, which BLAS does at 58 GFlop/s for ten columns where Xᵀ·R is 45."""
    return X.T @ R if is_sparse(X) else (R.T @ X).T


def nearly_dense(X):
    """Whether X has an entry in eight places or more: BLAS takes 0.1 ns for what takes SciPy's sparse product 5."""
    return math.prod(X.shape) <= _DENSE_BELOW * X.data.size


def weighted_gram(X, c):
    """Xᵀ·diag(c)·X of a sparse X, a tile of rows, and c (m, 1), as an array."""
    if hasattr(X, "weighted_gram"):
        return X.weighted_gram(c)
    if not nearly_dense(X):
        return (X.T @ X.multiply(c)).toarray()
    dense = X.toarray()  # of a tile
    return (dense * c).T @ dense


def rows_between(X, start, stop):
    """X[start:stop] as a view."""
    if not is_sparse(X):
        return X[start:stop]
    if stop - start == X.shape[0]:
        return X
    if hasattr(X, "between"):  # on a GPU
        return X.between(start, stop)
    first, last = int(X.indptr[start]), int(X.indptr[stop])
    part = type(X)((stop - start, X.shape[1]), dtype=X.dtype)
    part.data, part.indices, part.indptr = X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first
    return part
