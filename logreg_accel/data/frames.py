"""Tables of any library as Arrow tables, the one form that the encoder reads."""

from collections import Counter

import numpy as np


def as_arrow(X):
    """Convert a frame of pandas or polars, an Arrow table or stream, or a 2-d array to a `pyarrow.Table`.

    Columns of an array are called x0, x1, ...

    Raises
    ------
    TypeError
        X is sparse, or not a table.
    ValueError
        pyarrow is not installed, X is not a table, two columns have one name, or a column has values of
        several types.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ValueError("`TableEncoder` needs pyarrow: pip install 'logreg-accel[arrow]'.") from error
    if hasattr(X, "tocsr"):
        raise TypeError("`X` is a sparse matrix, whose columns are numbers already; expected a table.")
    if type(X).__name__ == "LazyFrame":
        X = X.collect()
    table = _converted(X, pa)
    twice = sorted(name for name, count in Counter(table.column_names).items() if count > 1)
    if twice:
        raise ValueError(
            f"`X` has two columns of one name: {', '.join(map(repr, twice[:5]))}. Rename one of them."
        )
    if not table.num_rows or not table.num_columns:
        lacks = "sample(s)" if table.num_columns else "feature(s)"
        raise ValueError(f"`X` has 0 {lacks} (shape={table.shape}) while a minimum of 1 is required.")
    return table


def chained(arrays):
    """Arrow arrays of one type, one after the other."""
    import pyarrow as pa

    return pa.chunked_array(arrays)


def _converted(X, pa):
    if isinstance(X, pa.Table):
        return X
    if isinstance(X, pa.RecordBatch):
        return pa.Table.from_batches([X])
    if isinstance(X, dict):
        lengths = {str(name): len(values) for name, values in X.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"The columns of `X` have different lengths: {lengths}.")
        return _from_columns(pa, [(str(name), values) for name, values in X.items()])
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return _from_columns(pa, [(str(name), X.iloc[:, i]) for i, name in enumerate(X.columns)])
    if hasattr(X, "__arrow_c_stream__") and not hasattr(X, "to_frame"):
        return pa.table(X)
    array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=None if _is_numeric(X) else object)
    if array.ndim != 2 and hasattr(X, "to_frame"):
        raise ValueError(
            "Expected 2D array, got 1D array instead: `X` is a column; X.to_frame() is a table of it."
        )
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead: `X` has shape {array.shape}. "
            "Reshape your data: (n_samples, n_features)."
        )
    if array.dtype.kind == "c":
        raise ValueError("Complex data not supported: `X` is complex.")
    return _from_columns(pa, [(f"x{i}", array[:, i]) for i in range(array.shape[1])])


def _is_numeric(X):
    try:
        return np.asarray(X).dtype.kind in "fiub"
    except ValueError:
        return False


def _from_columns(pa, columns):
    arrays = []
    for name, values in columns:
        try:
            arrays.append(pa.array(values, from_pandas=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"Column {name!r} of `X` has values of several types ({error}); make them all text or all "
                "numbers, such as by X[column].astype(str)."
            ) from error
    return pa.table(arrays, names=[name for name, _ in columns])


def bools_as_numbers(batch, names):
    """The same record batch; columns of truth values that have these names are 1 and 0."""
    import pyarrow as pa

    fields = zip(batch.schema, batch.columns, strict=True)
    numbers = [c.cast("float64") if f.name in names and f.type == pa.bool_() else c for f, c in fields]
    return pa.RecordBatch.from_arrays(numbers, names=batch.schema.names)
