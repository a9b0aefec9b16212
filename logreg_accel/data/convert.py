"""What the user holds, as arrays: the only place where input types are inspected.

Arrays pass through as views; frames and tables go by narwhals or the Arrow PyCapsule protocol; arrays on a GPU are
handed on untouched. Non-finite values of X are not looked for here: the first pass sees them at no extra read.
"""

import numbers

import numpy as np

from .sparse import as_csr, is_sparse

_CUDA = {2, 13}  # DLPack device types: kDLCUDA, kDLCUDAManaged


def as_matrix(X, name="X"):
    """X as a 2-d real array: a NumPy view where possible, or an array on a GPU as it is.

    Takes NumPy arrays of any order, stride and real dtype (memory-mapped too), lists, numeric object arrays, pandas and
    polars frames, pyarrow tables and whatever speaks `__arrow_c_stream__`, DLPack or `__cuda_array_interface__`. Sparse
    matrices of SciPy and CuPy come back in compressed rows, see `logreg_accel.data.sparse`.

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
    _refuse_masked(X, name)
    if hasattr(X, "detach"):  # a PyTorch tensor that requires a gradient exports nothing before this
        X = X.detach()
    if hasattr(X, "to_cupy"):  # a cuDF frame; the copy is by columns
        X = X.to_cupy()
    X = X if isinstance(X, np.ndarray) or is_on_device(X) else _from_table(X, name)
    if is_on_device(X) or (isinstance(X, np.ndarray) and X.dtype.name == "bfloat16"):  # which check_array knows not
        if len(X.shape) != 2 or 0 in X.shape:
            raise ValueError(f"`{name}` has shape {tuple(X.shape)}; expected a non-empty (n_samples, n_features).")
        if "complex" in str(X.dtype):
            raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
        return X

    from sklearn.utils import check_array

    if not isinstance(X, np.ndarray) and hasattr(X, "__dlpack__"):
        try:
            X = np.from_dlpack(X)
        except (BufferError, TypeError, RuntimeError) as error:
            if "bfloat16" in str(error).lower() or "bfloat16" in str(getattr(X, "dtype", "")):
                raise TypeError(f"`{name}` is bfloat16, which NumPy cannot read through DLPack; "
                                "convert it to float32 or float16 first.") from error
            X = np.asarray(X)
    X = check_array(X, dtype="numeric", ensure_all_finite=False, copy=False, input_name=name)
    if X.dtype.kind not in "fiub":
        raise TypeError(f"`{name}` has dtype {X.dtype}; expected real numbers. Encode the columns as numbers first.")
    return np.asarray(X)


def _sparse_on_device(X, name):
    if 0 in X.shape:
        raise ValueError(f"`{name}` has shape {tuple(X.shape)}; expected a non-empty (n_samples, n_features).")
    X = X.tocsr()
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: `{name}` has dtype {X.dtype}.")
    if X.indices.size and not 0 <= int(X.indices.min()) <= int(X.indices.max()) < X.shape[1]:  # kernels trust them
        raise ValueError(f"`{name}` has indices outside of its {X.shape[1]} columns.")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def in_namespace_of(X, result):
    """The result as an array of X's kind, on X's device, where scikit-learn's `array_api_dispatch` is on; else as it is."""
    from sklearn import get_config

    if not get_config()["array_api_dispatch"] or isinstance(X, np.ndarray) or not hasattr(X, "__dlpack__"):
        return result
    if result.dtype.kind not in "biuf":
        return result
    from sklearn.utils._array_api import get_namespace_and_device

    xp, _, device = get_namespace_and_device(X)
    return xp.asarray(result, device=device)


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
        raise TypeError(f"`X` is an Arrow stream ({type(X).__name__}), which needs pyarrow: "
                        "pip install 'logreg-accel[arrow]'.") from error


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


def _refuse_masked(array, name):
    if np.ma.is_masked(array):
        raise ValueError(f"`{name}` is a masked array with masked entries; fill or drop them first.")


def is_on_device(X):
    """Whether X lies in the memory of a CUDA GPU."""
    if hasattr(X, "__cuda_array_interface__"):
        return True
    if hasattr(X, "tocsr"):  # CuPy's sparse matrices say so themselves
        return type(X).__module__.startswith("cupyx.")
    device = getattr(X, "__dlpack_device__", None)
    return device is not None and not isinstance(X, np.ndarray) and int(device()[0]) in _CUDA


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
    # pandas columns of ArrowDtype come out as objects although the schema says they are numbers; nulls become NaN
    if array.dtype == object and not objects:
        return frame.to_native().to_numpy(dtype=np.float64, na_value=np.nan)
    return array


def as_labels(y):
    """y as a 1-d host array of labels.

    Raises
    ------
    ValueError
        Not one-dimensional, or NaN among the labels.
    """
    from sklearn.utils import column_or_1d

    y = to_host(y)
    _refuse_masked(y, "y")
    y = column_or_1d(y, warn=True)
    if len(y) == 0:
        raise ValueError("Found array with 0 sample(s): `y` is empty; expected at least one label of each of two classes.")
    return y


def encode_labels(y):
    """Sorted classes of labels, and each label's code.

    Parameters
    ----------
    y : ndarray (n_samples,)
        Numbers, bools or strings.

    Returns
    -------
    classes : ndarray (n_classes,)
    codes : ndarray (n_samples,), the smallest unsigned integers that hold them

    Raises
    ------
    ValueError
        One class, or floats that are not labels.
    """
    if y.dtype.kind in "iub" or (y.dtype.kind == "f" and np.isin([y.min(), y.max()], np.round([y.min(), y.max()])).all()):
        # numbers: two scans instead of the sort in np.unique, which costs more than a pass over 1M x 100
        low, high = y.min(), y.max()
        is_high = y == high
        if low != high and np.isfinite([low, high]).all() and (is_high | (y == low)).all():
            return np.array([low, high], dtype=y.dtype), is_high.view(np.uint8)

    from sklearn.utils.multiclass import check_classification_targets

    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y))[0])
        raise ValueError(f"Input `y` contains NaN or infinity, first in row {row}. Drop those rows.")
    if y.dtype.kind in "mM" and np.isnat(y).any():
        raise ValueError(f"Input `y` contains NaT, first in row {int(np.flatnonzero(np.isnat(y))[0])}. Drop those rows.")
    if y.dtype.kind == "O":
        missing = [row for row, label in enumerate(y.tolist()) if label is None or str(label) in ("<NA>", "nan", "NaT")]
        if missing:
            raise ValueError(f"Input `y` contains a missing label (None or NaN), first in row {missing[0]}. Drop those rows.")
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"`y` has only one class, {classes[0]!r}; at least two classes are needed to fit a classifier.")
    return classes, codes.astype(np.min_scalar_type(len(classes) - 1))


def codes_of(y, classes):
    """Each label's place in the sorted classes.

    Raises
    ------
    ValueError
        Labels that are not among them.
    """
    codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    strange = classes[codes] != y
    if strange.any():
        raise ValueError(f"`y` has labels that are not in `classes`: {np.unique(np.asarray(y)[strange])[:5].tolist()}; "
                         f"the classes are {classes.tolist()}.")
    return codes.astype(np.min_scalar_type(len(classes) - 1))


def as_weights(sample_weight, n_samples):
    """sample_weight as float64 (n_samples,), or None.

    Raises
    ------
    ValueError
        Wrong shape, non-finite, negative, or all zero.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, numbers.Number):
        sample_weight = np.full(n_samples, sample_weight)
    sample_weight = to_host(sample_weight)
    _refuse_masked(sample_weight, "sample_weight")
    s = np.asarray(sample_weight, dtype=np.float64)
    if s.shape != (n_samples,):
        raise ValueError(f"`sample_weight` has shape {s.shape}; expected one weight a row, ({n_samples},).")
    bad = ~np.isfinite(s) | (s < 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"`sample_weight` must be finite and not negative: Negative values or NaN, {s[row]} in row {row}.")
    if not s.any():
        raise ValueError("Sample weights must contain at least one non-zero number; every entry of `sample_weight` is zero.")
    return s


def class_weights(class_weight, classes, codes, s):
    """sample_weight with each row's class weight multiplied in: a new array, or s itself without class weights."""
    if class_weight is None:
        return s
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(codes, weights=s, minlength=len(classes))
        per_class = totals.sum() / (len(classes) * np.where(totals > 0, totals, 1))
    elif isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ValueError(f"`class_weight` has labels that are not in `y`: {unknown}; the classes are {list(classes)}.")
        per_class = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], dtype=np.float64)
        if not (np.isfinite(per_class).all() and (per_class >= 0).all()):
            raise ValueError(f"`class_weight` is {class_weight}; expected finite numbers that are not negative.")
    else:
        raise ValueError(f"`class_weight` is {class_weight!r}; expected a dict, 'balanced' or None.")
    return per_class[codes] if s is None else s * per_class[codes]


def first_nonfinite(X, tile_rows=4096):
    """Row, column and value ("NaN" or "infinity") of the first entry of X that is not finite, or None."""
    if is_sparse(X):
        bad = ~np.isfinite(X.data)
        if not bad.any():
            return None
        at = int(bad.argmax())
        row = int((X.indptr <= at).sum()) - 1
        return row, int(X.indices[at]), "NaN" if bool(np.isnan(X.data[at])) else "infinity"
    for start in range(0, X.shape[0], tile_rows):
        tile = X[start : start + tile_rows]
        bad = ~np.isfinite(tile)
        if bad.any():
            row, column = divmod(int(bad.argmax()), X.shape[1])
            return start + row, column, "NaN" if bool(np.isnan(tile[row, column])) else "infinity"
    return None
