"""Conversion of user input to arrays, the only place where input types are inspected.

Arrays pass through as views, frames and tables are converted by narwhals or the Arrow PyCapsule protocol, and
arrays on a GPU are passed on untouched. Non-finite values of X are not searched for here, since the first
pass finds them without an extra read.
"""

from collections import Counter

import numpy as np

from .compressed import CompressedRows
from .matrix import Matrix
from .sparse import as_csr, without_sparse_columns
from .stored import is_on_device


def as_matrix(X, name="X"):
    """Convert X to a `Matrix`, from any of the types that `as_array` accepts."""
    if isinstance(X, Matrix):
        return X
    stored = as_array(X, name)
    return CompressedRows(stored) if hasattr(stored, "indptr") else Matrix(stored)


def as_array(X, name="X"):
    """Convert X to a 2-d real array: a NumPy view where possible, or an unchanged array on a GPU.

    Accepts NumPy arrays of any order, stride and real dtype (memory-mapped ones too), lists, numeric object
    arrays, pandas and polars frames, pyarrow tables and anything that supports `__arrow_c_stream__`, DLPack
    or `__cuda_array_interface__`. Sparse matrices of SciPy and CuPy, and pandas frames of sparse columns
    alone, are returned in compressed rows.

    Raises
    ------
    TypeError
        Some columns, which the message names, are not numbers, or NumPy cannot read the dtype.
    ValueError
        X is not two-dimensional, has no rows or no columns, or is complex.
    """
    if type(X) is np.ndarray and X.ndim == 2 and X.size and X.dtype.kind in "fiub":
        return X  # unchanged; for few rows, checking for other types takes longer than a pass
    X = to_table(X)
    X = without_sparse_columns(X)
    if hasattr(X, "tocsr"):
        return _sparse_on_device(X, name) if is_on_device(X) else as_csr(X, name)
    refuse_masked(X, name)
    if hasattr(X, "detach"):  # a PyTorch tensor that requires a gradient cannot be exported otherwise
        X = X.detach()
    if hasattr(X, "to_cupy"):  # a cuDF frame; the copy is column-major
        X = X.to_cupy()
    X = X if isinstance(X, np.ndarray) or is_on_device(X) else _from_table(X, name)
    # scikit-learn's check_array does not know bfloat16.
    if is_on_device(X) or (isinstance(X, np.ndarray) and X.dtype.name == "bfloat16"):
        if len(X.shape) != 2 or 0 in X.shape:
            raise ValueError(
                f"`{name}` has shape {tuple(X.shape)}; expected a non-empty (n_samples, n_features)."
            )
        if "complex" in str(X.dtype):
            raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
        return X

    if speaks_dlpack(X):
        try:
            X = np.from_dlpack(X)
        except (BufferError, TypeError, RuntimeError) as error:
            if "bfloat16" in str(error).lower() or "bfloat16" in str(getattr(X, "dtype", "")):
                raise TypeError(
                    f"`{name}` is bfloat16, which NumPy cannot read through DLPack; "
                    "convert it to float32 or float16 first."
                ) from error
            X = np.asarray(X)
    if getattr(X, "ndim", 2) == 1:
        raise ValueError(
            f"Expected 2D array, got 1D array instead: `{name}` has shape {tuple(X.shape)}. Reshape your "
            "data: (n_samples, n_features). If these are the labels, `X` and `y` are swapped: fit(X, y)."
        )
    X = _checked(np.asarray(X), name)
    if X.dtype.kind not in "fiub":
        raise TypeError(
            f"`{name}` has dtype {X.dtype}; expected real numbers. Encode the columns as numbers first."
        )
    return np.asarray(X)


def _checked(X, name):
    """An array after scikit-learn's checks; texts become the numbers that they spell."""
    from sklearn.utils import check_array

    if X.ndim == 0:
        what = type(X.item()).__name__
        raise ValueError(
            f"Expected 2D array, got scalar array instead: `{name}` is one object, of type {what}. Give an "
            "array, a frame or a sparse matrix of shape (n_samples, n_features), or `scan(...)` for files."
        )
    if X.dtype.kind in "US":  # check_array refuses such arrays, but parses strings in arrays of objects
        X = X.astype(object)
    try:
        return check_array(X, dtype="numeric", ensure_all_finite=False, copy=False, input_name=name)
    except ValueError as error:
        if "could not convert string" not in str(error):
            raise
        raise ValueError(
            f"`{name}` has text where numbers are expected: {error}. Encode it, with `TableEncoder` (frames "
            "and tables) or scikit-learn's OneHotEncoder, or leave such columns out."
        ) from error


def _sparse_on_device(X, name):
    if 0 in X.shape:
        raise ValueError(
            f"`{name}` has shape {tuple(X.shape)}; expected a non-empty (n_samples, n_features)."
        )
    X = X.tocsr()
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
    # The kernels trust the indices.
    if X.indices.size and not 0 <= int(X.indices.min()) <= int(X.indices.max()) < X.shape[1]:
        raise ValueError(f"`{name}` has indices outside of its {X.shape[1]} columns.")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def speaks_dlpack(X):
    """Whether X is an array of a library other than NumPy that supports DLPack."""
    return not isinstance(X, np.ndarray) and hasattr(X, "__dlpack__")


def is_numpy_like(array):
    """Whether an array lies on a device and NumPy's functions work on it there: one of CuPy's."""
    return hasattr(array, "__array_function__") and is_on_device(array)


def is_narrow(X):
    """Check whether X has 16-bit numbers, which scikit-learn converts to float64."""
    dtypes = [X.dtype] if hasattr(X, "dtype") else list(getattr(X, "dtypes", []))
    return any("float16" in str(dtype) or "Float16" in str(dtype) for dtype in dtypes)


def named(X, matrix):
    """Return what scikit-learn's checks should look at: X if its columns have names, else its matrix."""
    return X if hasattr(X, "columns") else matrix


def to_table(X):
    """Collect lazy frames and collections of Dask, and read Arrow streams, so that their names can be seen.

    Anything else is returned unchanged.
    """
    if hasattr(X, "__dask_graph__"):
        return X.compute()
    if type(X).__name__ == "LazyFrame":
        return X.collect()
    if not hasattr(X, "__arrow_c_stream__"):
        return X
    import narwhals as nw

    if nw.dependencies.is_into_dataframe(X):
        return X
    try:
        return nw.from_arrow(X, backend="pyarrow").to_native()
    except ValueError as error:  # a column exports itself by the same name as a table
        kind = f"{type(X).__module__.split('.')[0]}.{type(X).__name__}"
        raise ValueError(
            f"Expected 2D array, got 1D array instead: `X` is a {kind}. Give a table of one column, such as "
            "X.to_frame(), or np.asarray(X).reshape(-1, 1)."
        ) from error
    except ImportError as error:
        raise TypeError(
            f"`X` is an Arrow stream ({type(X).__name__}), which needs pyarrow: "
            "pip install 'logreg-accel[arrow]'."
        ) from error


def names_of(X):
    """The names of the columns of a frame or table; None without any."""
    names = getattr(X, "column_names", getattr(X, "columns", None))  # Arrow's columns are their values
    return None if names is None else list(names)


def to_host(vector):
    """Convert y or weights to something that NumPy accepts.

    Tensors are detached, vectors in GPU memory are copied to the host, and series become arrays.
    """
    if hasattr(vector, "detach"):
        vector = vector.detach()
    if is_on_device(vector):
        for way in ("cpu", "get", "to_numpy"):  # PyTorch, CuPy, cuDF
            if way == "get" and hasattr(vector, "to_numpy"):
                continue
            if hasattr(vector, way):
                return np.asarray(getattr(vector, way)())
        return np.asarray(vector)  # JAX
    if hasattr(vector, "dictionary_encode"):  # Arrow's arrays, whose DLPack has no strings
        return vector.to_numpy(zero_copy_only=False)
    if hasattr(vector, "__dlpack__") and not isinstance(vector, np.ndarray):
        return np.from_dlpack(vector)
    if not isinstance(vector, np.ndarray):
        if (repeated := _from_dictionary(vector)) is not None:
            return repeated
        import narwhals as nw

        series = nw.from_native(vector, pass_through=True, allow_series=True)
        return series.to_numpy() if isinstance(series, nw.Series | nw.DataFrame) else vector
    return vector


def _from_dictionary(series):
    """Strings and categories of pandas, each converted once: an object for every row can take longer than a
    fit.

    None for other types, and if some are missing.
    """
    if not (hasattr(series, "factorize") and str(series.dtype).startswith(("category", "str"))):
        return None
    codes, values = series.factorize()
    return None if (codes < 0).any() else np.asarray(values)[codes]


def refuse_masked(array, name):
    if np.ma.is_masked(array):
        raise ValueError(f"`{name}` is a masked array with masked entries; fill or drop them first.")


def _as_frame(X, name="X"):
    """Wrap frames and tables by narwhals; anything else is returned unchanged."""
    import narwhals as nw

    try:
        return nw.from_native(X, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        names = Counter(map(str, X.columns))
        twice = ", ".join(repr(column) for column, count in names.most_common(5) if count > 1)
        raise ValueError(f"`{name}` has two columns of one name: {twice}. Rename one of them.") from error


def _from_table(X, name):
    """Convert frames, tables and Arrow streams to one array; anything else is returned unchanged."""
    import narwhals as nw

    if not hasattr(X, "__array__") or hasattr(X, "columns") or hasattr(X, "schema"):
        frame = _as_frame(X, name)
        if isinstance(frame, nw.DataFrame):
            return _frame_to_array(frame, name)
    return X


def columns_of_int64(X):
    """Pairs (name, array) of the columns of a frame or table with 64-bit integers."""
    import narwhals as nw

    frame = _as_frame(X)
    if isinstance(frame, nw.DataFrame):
        for name, dtype in frame.schema.items():
            if dtype in (nw.Int64, nw.UInt64):
                yield name, np.asarray(frame.get_column(name).to_numpy())


def _frame_to_array(frame, name):
    import narwhals as nw
    import narwhals.selectors

    numeric = {column for column, dtype in frame.schema.items() if dtype.is_numeric() or dtype == nw.Boolean}
    objects = {column for column, dtype in frame.schema.items() if dtype == nw.Object}
    odd = [column for column in frame.columns if column not in numeric | objects]
    if odd:
        listed = ", ".join(f"{column!r} ({frame.schema[column]})" for column in odd[:5])
        raise TypeError(
            f"`{name}` has columns that are not numbers: {listed}{', ...' if len(odd) > 5 else ''}. "
            "Encode them, with `TableEncoder` or scikit-learn's OneHotEncoder, or leave them out."
        )
    decimals = [column for column, dtype in frame.schema.items() if dtype == nw.Decimal]
    if decimals:
        frame = frame.with_columns(nw.col(*decimals).cast(nw.Float64))
    array = frame.to_numpy()
    # Bools with nulls, and pandas columns of ArrowDtype, come out as objects, although the schema says that
    # they are numbers. Here, their nulls become NaN.
    if array.dtype != object or objects:
        return array
    if frame.implementation.is_pandas_like():
        return frame.to_native().to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.with_columns(nw.selectors.boolean().cast(nw.Float64)).to_numpy()
