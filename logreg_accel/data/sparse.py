"""Conversion of SciPy's sparse matrices of any format to compressed rows."""

import collections

import numpy as np


def as_csr(X, name="X"):
    """Convert X, of any of SciPy's sparse formats, to a csr_array.

    The result shares memory with X if that is in CSR format with sorted entries, none of which is repeated.

    Raises
    ------
    TypeError, ValueError
        The numbers are not real; X is not two-dimensional or has no rows or columns; or indices are out of
        bounds.
    """
    import scipy.sparse
    from sklearn.utils import check_array

    if getattr(X, "checked", False):
        return X
    if X.dtype.kind not in "fiubc":
        raise TypeError(
            f"`{name}` has dtype {X.dtype}; expected real numbers. Encode the columns as numbers first."
        )
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
    if X.dtype == np.float16:  # which SciPy stores, but hardly computes with
        X = X.astype(np.float32)
    X = check_array(X, accept_sparse="csr", dtype=None, ensure_all_finite=False, input_name=name)
    X = scipy.sparse.csr_array(X)
    X.check_format(full_check=True)  # compiled loops trust the indices
    if not X.has_sorted_indices:
        X = X.tocsc().tocsr()  # two counting sorts, which are faster than sorting every row
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    X.checked = True  # an attribute of this package, not of SciPy
    return X


def without_sparse_columns(X):
    """A pandas frame as a sparse matrix if all of its columns leave out zeros, else with dense columns.

    Anything else is returned unchanged.
    """
    kinds = getattr(X, "dtypes", None)
    if not hasattr(kinds, "items"):
        return X
    sparse = {name: kind for name, kind in kinds.items() if type(kind).__name__ == "SparseDtype"}
    if not sparse:
        return X
    if len(sparse) == len(kinds) and all(kind.fill_value == 0 for kind in sparse.values()):
        return X.sparse.to_coo()
    return X.astype({name: kind.subtype for name, kind in sparse.items()})


def conversion(given, X):
    """Describe for the user how the sparse matrix `given` was converted to X; None if it was not."""
    if given is X or not hasattr(X, "indptr") or not hasattr(given, "format"):
        return None
    size = f"({(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 1e6:.3g} MB)"
    if given.format != "csr":
        return f"X was converted from {given.format} to csr {size}"
    if X.data.size and not (isinstance(X.data, np.ndarray) and np.shares_memory(X.data, given.data)):
        return (
            f"X was copied {size}: its entries were not sorted, or repeated, "
            "or not in this machine's byte order"
        )
    return None


def below_each_other(parts, each=map):
    """One CSR array of several in float64; `each` may be the map of threads, where SciPy copies on one."""
    import scipy.sparse

    ends = np.cumsum([0, *(part.nnz for part in parts)])
    kind = np.int32 if ends[-1] <= np.iinfo(np.int32).max else np.int64
    values, places = np.empty(ends[-1]), np.empty(ends[-1], dtype=kind)

    def put(i):
        values[ends[i] : ends[i + 1]], places[ends[i] : ends[i + 1]] = parts[i].data, parts[i].indices

    collections.deque(each(put, range(len(parts))), 0)
    firsts = [part.indptr[:-1].astype(kind) + kind(end) for part, end in zip(parts, ends[:-1], strict=True)]
    rows = np.concatenate([*firsts, ends[-1:].astype(kind)])
    shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])
    return scipy.sparse.csr_array((values, places, rows), shape=shape)
