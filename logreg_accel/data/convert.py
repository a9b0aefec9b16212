"""What the user holds, as arrays: the only place where input types are inspected.

Arrays pass through as views; frames and tables go by narwhals or the Arrow PyCapsule protocol; arrays on a
GPU are handed on untouched. Non-finite values of X are not looked for here: the first pass sees them at no
extra read.
"""

import numpy as np

from .matrix import CompressedRows, Matrix, is_on_device
from .sparse import as_csr


def as_matrix(X, name="X"):
    """X as a `Matrix`, whatever holds it; see `as_array`."""
    if isinstance(X, Matrix):
        return X
    stored = as_array(X, name)
    return CompressedRows(stored) if hasattr(stored, "indptr") else Matrix(stored)


def as_array(X, name="X"):
    """X as a 2-d real array: a NumPy view where possible, or an array on a GPU as it is.

    Takes NumPy arrays of any order, stride and real dtype (memory-mapped too), lists, numeric object arrays,
    pandas and polars frames, pyarrow tables and whatever speaks `__arrow_c_stream__`, DLPack or
    `__cuda_array_interface__`. Sparse matrices of SciPy and CuPy come back in compressed rows.

    Raises
    ------
    TypeError
        Columns that are not numbers (named), a dtype that NumPy cannot read.
    ValueError
        Not two-dimensional, no rows, no columns, complex.
    """
    X = to_table(X)
    if hasattr(X, "tocsr"):
        return _sparse_on_device(X, name) if is_on_device(X) else as_csr(X, name)
    refuse_masked(X, name)
    if hasattr(X, "detach"):  # a PyTorch tensor that requires a gradient exports nothing before this
        X = X.detach()
    if hasattr(X, "to_cupy"):  # a cuDF frame; the copy is by columns
        X = X.to_cupy()
    X = X if isinstance(X, np.ndarray) or is_on_device(X) else _from_table(X, name)
    if is_on_device(X) or (
        isinstance(X, np.ndarray) and X.dtype.name == "bfloat16"
    ):  # which check_array knows not
        if len(X.shape) != 2 or 0 in X.shape:
            raise ValueError(
                f"`{name}` has shape {tuple(X.shape)}; expected a non-empty (n_samples, n_features)."
            )
        if "complex" in str(X.dtype):
            raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
        return X

    from sklearn.utils import check_array

    if not isinstance(X, np.ndarray) and hasattr(X, "__dlpack__"):
        try:
            X = np.from_dlpack(X)
        except (BufferError, TypeError, RuntimeError) as error:
            if "bfloat16" in str(error).lower() or "bfloat16" in str(getattr(X, "dtype", "")):
                raise TypeError(
                    f"`{name}` is bfloat16, which NumPy cannot read through DLPack; "
                    "convert it to float32 or float16 first."
                ) from error
            X = np.asarray(X)
    X = check_array(X, dtype="numeric", ensure_all_finite=False, copy=False, input_name=name)
    if X.dtype.kind not in "fiub":
        raise TypeError(
            f"`{name}` has dtype {X.dtype}; expected real numbers. Encode the columns as numbers first."
        )
    return np.asarray(X)


def _sparse_on_device(X, name):
    if 0 in X.shape:
        raise ValueError(
            f"`{name}` has shape {tuple(X.shape)}; expected a non-empty (n_samples, n_features)."
        )
    X = X.tocsr()
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
    if (
        X.indices.size and not 0 <= int(X.indices.min()) <= int(X.indices.max()) < X.shape[1]
    ):  # kernels trust them
        raise ValueError(f"`{name}` has indices outside of its {X.shape[1]} columns.")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def to_table(X):
    """Lazy frames collected and Arrow streams read, so that their column names are seen; anything else as it is."""
    if type(X).__name__ == "LazyFrame":
        return X.collect()
    if not hasattr(X, "__arrow_c_stream__"):
        return X
    import narwhals as nw

    if nw.dependencies.is_into_dataframe(X):
        return X
    try:
        return nw.from_arrow(X, backend="pyarrow").to_native()
    except ImportError as error:
        raise TypeError(
            f"`X` is an Arrow stream ({type(X).__name__}), which needs pyarrow: "
            "pip install 'logreg-accel[arrow]'."
        ) from error


def to_host(vector):
    """y or weights from wherever they are, as something NumPy takes: tensors detached, GPU memory copied, series as arrays."""
    if hasattr(vector, "detach"):
        vector = vector.detach()
    if is_on_device(vector):
        for way in ("cpu", "get", "to_numpy"):  # PyTorch, CuPy, cuDF
            if way == "get" and hasattr(vector, "to_numpy"):
                continue
            if hasattr(vector, way):
                return np.asarray(getattr(vector, way)())
        return np.asarray(vector)  # JAX
    if hasattr(vector, "__dlpack__") and not isinstance(vector, np.ndarray):
        return np.from_dlpack(vector)
    if not isinstance(vector, np.ndarray):
        import narwhals as nw

        series = nw.from_native(vector, pass_through=True, allow_series=True)
        return series.to_numpy() if isinstance(series, nw.Series | nw.DataFrame) else vector
    return vector


def refuse_masked(array, name):
    if np.ma.is_masked(array):
        raise ValueError(f"`{name}` is a masked array with masked entries; fill or drop them first.")


def _from_table(X, name):
    """Frames, tables and Arrow streams as one array; anything else comes back as it was."""
    import narwhals as nw

    if not hasattr(X, "__array__") or hasattr(X, "columns") or hasattr(X, "schema"):
        frame = nw.from_native(X, pass_through=True)
        if isinstance(frame, nw.DataFrame):
            return _frame_to_array(frame, name)
    return X


def _frame_to_array(frame, name):
    import narwhals as nw

    numeric = {column for column, dtype in frame.schema.items() if dtype.is_numeric() or dtype == nw.Boolean}
    objects = {column for column, dtype in frame.schema.items() if dtype == nw.Object}
    odd = [column for column in frame.columns if column not in numeric | objects]
    if odd:
        listed = ", ".join(f"{column!r} ({frame.schema[column]})" for column in odd[:5])
        raise TypeError(
            f"`{name}` has columns that are not numbers: {listed}{', ...' if len(odd) > 5 else ''}. "
            "Encode them (for instance with OneHotEncoder) or leave them out."
        )
    array = frame.to_numpy()
    # pandas columns of ArrowDtype come out as objects although the schema says they are numbers; nulls become
    # NaN
    if array.dtype == object and not objects:
        return frame.to_native().to_numpy(dtype=np.float64, na_value=np.nan)
    return array
