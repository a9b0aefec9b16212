"""Reading of tables from files: .npy (memory-mapped), .npz, CSV, Parquet, Feather and svmlight."""

import difflib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import tables
from .convert import as_array
from .opening import kind_of, some_of
from .svmlight import lines_of


class Table(NamedTuple):
    """X (rows, features), the names of its columns or None, and the requested target and weight columns."""

    X: Any
    names: list | None
    target: Any = None
    weight: Any = None


def read_file(
    path: str | os.PathLike,
    *,
    target: str | None = None,
    weight: str | None = None,
    features: list | None = None,
    drop: Sequence = (),
    n_features: int | None = None,
) -> Table:
    """Read a matrix of features and, if requested, a target and a weight column.

    Parameters
    ----------
    path : path-like
        An .npy file has one 2-d array, which is memory-mapped and whose columns are addressed by number; an
        .npz file has `X` and named 1-d arrays. Other formats are recognised by their first bytes: Parquet and
        Feather, which need pyarrow; svmlight, in which X is sparse and the target is in the file; and text
        with a header, whose separator is detected. Text may be compressed by gzip, bz2, xz, zip or zstd.
    target, weight : str or None
        Names (numbers for .npy) of columns that are not features.
    features : list of str or None
        Columns to use, in this order, by name (by number for .npy); None uses all that are neither target nor
        weight nor dropped.
    drop : sequence of str
        Columns to leave out.
    n_features : int or None
        The required number of features. An svmlight file does not state it: without this number, trailing
        columns without entries would be missing.

    Returns
    -------
    Table

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        The file is damaged, a column does not exist, there are more or fewer than `n_features` columns, or
        there is text in place of numbers.
    """
    path = os.fspath(path)
    kind = kind_of(path)
    if kind == "npy":
        table = _read_npy(path, target, weight, features, drop)
    elif kind == "npz":
        table = _read_npz(path, target, weight, features, drop)
    elif kind == "svmlight":
        table = _read_svmlight(path, target, weight, features, drop, n_features)
    else:
        table = _read_table(path, kind, target, weight, features, drop, n_features)
    _check_count(path, table.X.shape[1], n_features)
    return table


def read_files(paths, **reading):
    """Read several files with the same columns as one Table, their rows one file after the other.

    Parameters are those of `read_file`.

    Raises
    ------
    OSError, ValueError
        As in `read_file`; also if the files have different columns.
    """
    import scipy.sparse

    first, *rest = paths
    found = [read_file(first, **reading)]
    if found[0].names and not reading.get("features"):
        reading["features"] = found[0].names
    found += [read_file(path, **reading) for path in rest]
    if not rest:
        return found[0]
    matrices, widths = [table.X for table in found], [table.X.shape[1] for table in found]
    sparse = [scipy.sparse.issparse(X) for X in matrices]
    if all(sparse):  # trailing columns without entries are not in the file
        for X in matrices:
            X.resize(X.shape[0], max(widths))
        X = scipy.sparse.vstack(matrices, format="csr")
    elif any(sparse) or len(set(widths)) > 1:
        other = next(i for i, width in enumerate(widths) if width != widths[0] or sparse[i] != sparse[0])
        raise ValueError(
            f"{paths[other]!r} has {widths[other]} columns of features, {first!r} has {widths[0]}; expected "
            "files of one kind with the same columns."
        )
    else:
        X = np.concatenate(matrices)
    one = lambda parts: None if parts[0] is None else np.concatenate(parts)  # noqa: E731
    return Table(X, found[0].names, one([t.target for t in found]), one([t.weight for t in found]))


def _check_count(path, count, n_features):
    if n_features is not None and count != n_features:
        raise ValueError(f"{path!r} has {count} columns of features; expected {n_features}.")


def _read_table(path, kind, target, weight, features, drop, n_features):
    columns, get = tables.open_table(path, kind)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"{path!r} has two columns of one name: {', '.join(twice[:5])}.")
    for wanted in (target, weight, *drop, *(features or ())):
        find_column(wanted, columns, path)
    refuse_labels(features or (), target, weight)
    taken = features or [name for name in columns if name not in {target, weight, *drop}]
    if not taken:
        raise ValueError(f"{path!r} has no column left for the features.")
    _check_count(path, len(taken), n_features)
    X, one = get(taken, target, weight)
    return Table(X, list(taken), one(target), one(weight))


def find_column(name, columns, path):
    """Raise ValueError with a suggestion if there is no such column."""
    if name is not None and name not in columns:
        near = difflib.get_close_matches(str(name), columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{path!r} has no column {name!r}.{hint} It has: {some_of(columns)}.")


def refuse_labels(features, *labels):
    """Raise ValueError if a column of labels or weights is among the features, where it would tell them."""
    both = [name for name in labels if name is not None and name in features]
    if both:
        raise ValueError(f"`features` has the column {both[0]!r} of `target` or `weight`; leave it out.")


# -- arrays --------------------------------------------------------------------------------------------------


def open_npy(path):
    """The table in a .npy file, memory-mapped."""
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise ValueError(f"{path!r} is not a readable .npy file ({error}).") from error
    if X.ndim != 2:
        raise ValueError(f"{path!r} holds an array of shape {X.shape}; expected a table, (rows, columns).")
    return X


def rows_of_npy(path, X, start, stop):
    """Some rows of a memory-mapped table, read without the map: a truncated file then cannot crash the
    process."""
    if not X.flags.c_contiguous:
        return np.array(X[start:stop])
    count, row = (stop - start) * X.shape[1], X.shape[1] * X.itemsize
    values = np.fromfile(path, X.dtype, count, offset=X.offset + start * row)
    if len(values) < count:
        raise ValueError(f"{path!r} was cut short while it was read: it ends in row {start + len(values)}.")
    return values.reshape(stop - start, X.shape[1])


def columns_of_npy(path, count, target, weight, features, drop):
    """The numbers of the columns of features, of the target and of the weight."""

    def number(name):
        if name is None:
            return None
        if not str(name).lstrip("-").isdigit() or not -count <= int(name) < count:
            raise ValueError(
                f"{path!r} has no column {name!r}; its columns have no names but the numbers 0 to "
                f"{count - 1} (or -1 for the last)."
            )
        return int(name) % count

    target, weight, dropped = number(target), number(weight), {number(name) for name in drop}
    taken = [j for j in range(count) if j not in {target, weight, *dropped}]
    if features:
        taken = [number(name) for name in features]
        refuse_labels(taken, target, weight)
    if not taken:
        raise ValueError(f"{path!r} has no column left for the features.")
    return taken, target, weight


def chosen_columns(X, taken):
    """Some columns of X, as a view if they are adjacent."""
    adjacent = taken == list(range(taken[0], taken[-1] + 1))
    return X[:, taken[0] : taken[-1] + 1] if adjacent else X[:, taken]


def _read_npy(path, target, weight, features, drop):
    X = open_npy(path)
    taken, target, weight = columns_of_npy(path, X.shape[1], target, weight, features, drop)
    chosen = chosen_columns(X, taken)
    column = lambda j: None if j is None else np.array(X[:, j])  # noqa: E731
    return Table(chosen, None, column(target), column(weight))


def _refuse_names(path, what, **given):
    """Raise ValueError if columns are named although the features of the file have no names."""
    for name, columns in given.items():
        if columns:
            listed = ", ".join(map(repr, columns[:5]))
            raise ValueError(
                f"{path!r} is {what}, whose columns have no names; `{name}` is {listed}, expected none. "
                f"Tables with names are {', '.join(tables.SUFFIXES)}."
            )


def _read_npz(path, target, weight, features, drop):
    _refuse_names(path, "an .npz file with features in `X`", features=features, drop=drop)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            arrays = {name: archive[name] for name in {"X", target, weight} & set(names)}
    except Exception as error:  # a damaged zip file may raise anything
        raise ValueError(f"{path!r} is not a readable .npz file ({error}).") from error
    if "X" not in arrays or arrays["X"].ndim != 2:
        raise ValueError(
            f"{path!r} has no two-dimensional array `X`; it has {', '.join(names) or 'nothing'}."
        )
    for name in (target, weight):
        find_column(name, names, path)
    return Table(arrays["X"], None, arrays.get(target), arrays.get(weight))


def _read_svmlight(path, target, weight, features, drop, n_features):
    what = "read as an svmlight file with the target in front of each line"
    named = {"target": target and [target], "weight": weight and [weight]}
    _refuse_names(path, what, **named, features=features, drop=drop)
    X, y = lines_of(path, n_features or 0)
    return Table(as_array(X), None, y)
