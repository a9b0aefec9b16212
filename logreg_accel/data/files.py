"""Reading of tables from files: .npy (memory-mapped), .npz, CSV, Parquet, Feather and svmlight."""

import csv
import difflib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .convert import as_array

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_ARROW = {".parquet", ".feather", ".arrow"}
_SVMLIGHT = {".svm", ".svmlight", ".libsvm", ".t", ""}  # the last two are those of the LIBSVM data sets
_PACKED = {".gz", ".bz2"}  # scikit-learn's reader decompresses these
SUFFIXES = (".npy", ".npz", *_SEPARATORS, *sorted(_ARROW), *sorted(_SVMLIGHT - {""}))


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
        The suffix determines the format: .npy holds one 2-d array, which is memory-mapped and whose columns
        are addressed by number; .npz holds `X` and named 1-d arrays; .csv and .tsv have a header; .parquet,
        .feather and .arrow need pyarrow; .svm, .svmlight, .libsvm, .t (also followed by .gz or .bz2) and
        files without a suffix are in svmlight format, in which X is sparse and the target is in the file.
    target, weight : str or None
        Names (numbers for .npy) of columns that are not features.
    features : list of str or None
        Columns to take, in this order; None takes all that are neither target nor weight nor dropped.
    drop : sequence of str
        Columns to leave out.
    n_features : int or None
        Number of columns of an svmlight file, which does not state it: without this number, trailing columns
        that have no entries would be missing.

    Returns
    -------
    Table

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        The suffix is unknown, the file is damaged, a column does not exist, or text is found in place of
        numbers.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    with open(path, "rb"):
        pass  # fail on a missing or unreadable file before anything is imported
    if suffix == ".npy":
        return _read_npy(path, target, weight, drop)
    if suffix == ".npz":
        if drop:
            raise ValueError(
                f"{path!r}: columns can be dropped from tables and .npy files, "
                "not from the `X` of an .npz file."
            )
        return _read_npz(path, target, weight)
    if suffix in _SVMLIGHT or (
        suffix in _PACKED and os.path.splitext(path[: -len(suffix)])[1].lower() in _SVMLIGHT
    ):
        return _read_svmlight(path, target, weight, drop, n_features)
    if suffix in _SEPARATORS:
        columns, get = (_open_csv_arrow if _has_pyarrow() else _open_csv)(path, _SEPARATORS[suffix])
    elif suffix in _ARROW:
        columns, get = _open_arrow(path, suffix)
    else:
        raise ValueError(f"{path!r} has the suffix {suffix!r}; expected one of {', '.join(SUFFIXES)}.")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"{path!r} has two columns of one name: {', '.join(twice[:5])}.")
    for wanted in (target, weight, *drop, *(features or ())):
        _find(wanted, columns, path)
    taken = features or [name for name in columns if name not in {target, weight, *drop}]
    if not taken:
        raise ValueError(f"{path!r} has no column left for the features.")
    X, one = get(taken, target, weight)
    return Table(X, list(taken), one(target), one(weight))


def _find(name, columns, path):
    if name is not None and name not in columns:
        near = difflib.get_close_matches(str(name), columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{path!r} has no column {name!r}.{hint} It has: {', '.join(columns[:20])}"
            + (f" and {len(columns) - 20} more." if len(columns) > 20 else ".")
        )


# -- arrays --------------------------------------------------------------------------------------------------


def _read_npy(path, target, weight, drop):
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise ValueError(f"{path!r} is not a readable .npy file ({error}).") from error
    if X.ndim != 2:
        raise ValueError(f"{path!r} holds an array of shape {X.shape}; expected a table, (rows, columns).")
    count = X.shape[1]

    def number(name):
        if name is None:
            return None
        if not name.lstrip("-").isdigit() or not -count <= int(name) < count:
            raise ValueError(
                f"{path!r} has no column {name!r}; its columns are the numbers 0 to {count - 1} "
                "(or -1 for the last)."
            )
        return int(name) % count

    target, weight, dropped = number(target), number(weight), {number(name) for name in drop}
    taken = [j for j in range(count) if j not in {target, weight, *dropped}]
    if not taken:
        raise ValueError(f"{path!r} has no column left for the features.")
    side_by_side = taken == list(range(taken[0], taken[-1] + 1))
    features = X[:, taken[0] : taken[-1] + 1] if side_by_side else X[:, taken]  # a view where possible
    column = lambda j: None if j is None else np.array(X[:, j])  # noqa: E731
    return Table(features, None, column(target), column(weight))


def _read_npz(path, target, weight):
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged zip file may raise anything
        raise ValueError(f"{path!r} is not a readable .npz file ({error}).") from error
    if "X" not in arrays or arrays["X"].ndim != 2:
        raise ValueError(
            f"{path!r} has no two-dimensional array `X`; it has {', '.join(arrays) or 'nothing'}."
        )
    for name in (target, weight):
        _find(name, list(arrays), path)
    return Table(arrays["X"], None, arrays.get(target), arrays.get(weight))


def _read_svmlight(path, target, weight, drop, n_features):
    for name, given in (("target", target), ("weight", weight), ("drop", drop)):
        if given:
            raise ValueError(
                f"{path!r} is read as an svmlight file, whose lines begin with the target and whose columns "
                f"have no names; `{name}` is {given!r}, expected none."
            )
    from sklearn.datasets import load_svmlight_file

    try:
        X, y = load_svmlight_file(path, n_features=n_features, zero_based=False)
        X = as_array(X)
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(
            f"{path!r} is not a readable svmlight file ({error}). Its lines are 'label index:value ...', "
            "indices from 1 on."
        ) from error
    if (y == y.astype(np.int64)).all():
        y = y.astype(np.int64)
    return Table(X, None, y)


# -- text and columns ----------------------------------------------------------------------------------------
#
# The functions that open such files return the names of the columns and a function get(features, target,
# weight), which returns X and a function one(name) that returns a column.


def _has_pyarrow():
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def _open_csv(path, separator):
    """Open a CSV file with NumPy's reader, which is used if pyarrow is not installed."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        columns = next(csv.reader(file, delimiter=separator), [])
        has_rows = next(file, None) is not None
    if not columns or not has_rows:
        raise ValueError(f"{path!r} is empty; expected a header and rows.")

    def load(names, dtype, ndmin):
        return np.loadtxt(
            path,
            delimiter=separator,
            skiprows=1,
            usecols=[columns.index(name) for name in names],
            dtype=dtype,
            ndmin=ndmin,
            quotechar='"',
            comments=None,
            encoding="utf-8-sig",
        )

    def one(name):
        if name is None:
            return None
        text = load([name], str, 1)
        if (text == "").any():
            raise ValueError(f"{path!r}: column {name!r} has {int((text == '').sum())} missing values.")
        return _plain_labels(text)

    def get(features, target, weight):
        try:
            return load(features, np.float64, 2), one
        except ValueError as error:
            raise ValueError(
                f"{path!r}: {error}. Columns that are not numbers can be left out with --drop."
            ) from error

    return columns, get


def _plain_labels(text):
    """Convert labels read as text to bools or numbers if all of them are such, as pyarrow does."""
    if np.isin(np.char.lower(text), ["true", "false"]).all():
        return np.char.lower(text) == "true"
    for dtype in (np.int64, np.float64):
        try:
            return text.astype(dtype)
        except ValueError:
            continue
    return text


def _open_csv_arrow(path, separator):
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=separator))
    return _from_arrow(table, path)


def _open_arrow(path, suffix):
    try:
        import pyarrow.feather
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(f"{path!r} needs pyarrow to be read: pip install 'logreg-accel[arrow]'.") from error
    table = pyarrow.parquet.read_table(path) if suffix == ".parquet" else pyarrow.feather.read_table(path)
    return _from_arrow(table, path)


def _from_arrow(table, path):
    def one(name):
        if name is None:
            return None
        column = table[name]
        if column.null_count:
            raise ValueError(f"{path!r}: column {name!r} has {column.null_count} missing values.")
        return column.to_numpy()

    def get(features, target, weight):
        return as_array(table.select(features)), one

    return table.column_names, get
