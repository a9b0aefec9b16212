"""`scan`: rows that need not fit into memory, read from a source chunk by chunk, and checked on the way."""

import os
import re
from typing import Any, NamedTuple

import numpy as np

from .chunks import Chunk, Missing, Wanted
from .matrix import CompressedRows, Matrix
from .shards import parts_of
from .sparse import as_csr

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_LEAST_MEMORY = 96_000_000


class Piece(NamedTuple):
    """A checked Chunk, and where it comes from: the number of its part, its name, and the first row there."""

    part: int
    where: str
    start: int
    chunk: Chunk


class Source:
    """Rows that are read anew whenever they are asked for; `scan` makes one.

    Attributes
    ----------
    memory : int
        Bytes.
    cache : str or None
    progress : callable (Piece) or None
        Is told of every piece of the first read.
    """

    def __init__(self, data, wanted, memory, cache, classes):
        self.data, self.wanted = data, wanted
        self.memory, self.cache, self.classes = memory, cache, classes
        self.parts, self.progress = parts_of(data, wanted), None

    def __repr__(self):
        return f"<source of {len(self.parts)} parts, the first of which is {self.parts[0].name!r}>"

    def fingerprint(self):
        """What tells these inputs from others without reading them; None where nothing does."""
        if not all(part.paths for part in self.parts):
            return None
        stamps = [[os.path.abspath(path), *_stamp(path)] for part in self.parts for path in part.paths]
        w = self.wanted
        features = None if w.features is None else list(map(str, w.features))
        asked = [str(w.target), str(w.weight), features, list(w.drop)]
        return {
            "files": stamps,
            "columns": asked,
            "classes": None if self.classes is None else str(self.classes),
        }

    def pieces(self, labelled=True):
        """Pieces in order, every one checked against the first.

        Raises
        ------
        FileNotFoundError
            A file has vanished.
        ValueError, TypeError
            Shards do not fit each other, or have nulls or numbers that are not finite, named by file, row and
            column; a file has changed while it was read; there are no rows.
        """
        first, rows = None, 0
        for number, part in enumerate(parts_of(self.data, self.wanted)):
            before, start = [_stamp(path) for path in part.paths], 0
            for chunk in _read(part):
                if not labelled:
                    chunk = chunk._replace(y=None, weight=None)
                if chunk.X.shape[0]:
                    chunk = chunk._replace(X=matrix_of(chunk.X).stored)
                chunk = chunk if first is None else _like_first(chunk, part.name, first)
                if first is None or not first[1].types:  # of no rows, which tell no types
                    first = part.name, chunk
                _check_rows(chunk, part.name, start, labelled)
                if chunk.X.shape[0]:
                    yield Piece(number, part.name, start, chunk)
                start += chunk.X.shape[0]
            if [_stamp(path) for path in part.paths] != before:
                raise ValueError(
                    f"{part.name!r} has changed while it was read. Fit again when it is complete."
                )
            rows += start
        if not rows:
            raise ValueError(
                f"the source has no rows: {self.parts[0].name!r} and {len(self.parts) - 1} more parts."
            )


def scan(
    data: Any,
    *,
    target: Any = None,
    weight: Any = None,
    features: list | None = None,
    drop: tuple | list = (),
    memory: str | int = "4GB",
    cache: str | os.PathLike | None = None,
    classes: Any = None,
) -> Source:
    """Rows that need not fit into memory, accepted by `fit` and by the predictions wherever X is.

    The first read decodes, checks, learns the labels and writes what does not fit into `memory` to a cache of
    blocks on disk; later reads come from there. The same source gives the same bits with any memory, and
    agrees with `fit` on the same rows in memory to about 1e-7.

    Parameters
    ----------
    data : path, pattern, folder or list of those; Arrow dataset; polars LazyFrame; or callable
        Files are CSV (also packed), Parquet, Feather, svmlight, .npy and .npz, taken in the order of their
        names. A callable returns, as often as it is called, an iterator of (X, y) or (X, y, weight) chunks,
        dense or sparse.
    target, weight : str, or for .npy files the number of a column or a pattern of files beside them
        Where labels and weights are; not for callables and svmlight files, which bring theirs.
    features : list of str or None
        The columns to take; None takes all others.
    drop : list of str
        Columns to leave out.
    memory : str or int
        What a fit may take, beside what the process has taken before: "4GB", "800MB", or bytes.
    cache : path or None
        A folder on a local disk where the blocks stay, so that the next fit on the same inputs needs not
        decode them; None takes a temporary file, which is gone afterwards (`TMPDIR` says where).
    classes : sequence or None
        All labels. None learns them; then a label that first comes up in a later file, after one that had two
        or more, is an error that names file and row.

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        No such files, or arguments that cannot be used.

    Examples
    --------
    >>> import numpy as np, logreg_accel
    >>> def chunks():
    ...     for seed in range(3):
    ...         X = np.random.default_rng(seed).standard_normal((100, 2))
    ...         yield X, X[:, 0] + X[:, 1] ** 2 > 0.5
    >>> model = logreg_accel.LogisticRegression().fit(logreg_accel.scan(chunks, memory="200MB"))
    >>> model.coef_.shape
    (1, 2)
    """
    if features is not None and (isinstance(features, str) or not len(features)):
        raise ValueError(f"`features` is {features!r}; expected a list of columns, or None for all others.")
    size = _bytes_of(memory)
    if size < _LEAST_MEMORY:
        raise ValueError(f"`memory` is {memory!r}; expected at least {_LEAST_MEMORY // 1_000_000} MB.")
    if classes is not None:
        classes = np.unique(np.asarray(classes))
        if len(classes) < 2:
            raise ValueError(f"`classes` is {classes.tolist()}; expected two labels or more.")
    cache = None if cache is None else os.fspath(cache)
    return Source(data, Wanted(target, weight, features, tuple(drop)), size, cache, classes)


def _bytes_of(memory):
    if isinstance(memory, int) and not isinstance(memory, bool):
        return memory
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([KMGT]?)(i?)B?\s*", str(memory), re.IGNORECASE)
    if not found:
        raise ValueError(
            f"`memory` is {memory!r}; expected a size such as '4GB', '800MB' or a number of bytes."
        )
    number, unit, binary = found.groups()
    unit = unit.upper()
    return int(float(number) * (1024 ** "_KMGT".index(unit or "_") if binary else _UNITS[unit]))


def _stamp(path):
    """What changes with a file."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _read(part):
    """The chunks of a part; a null is told with its row in the part."""
    start = 0
    try:
        for chunk in part.read():
            yield chunk
            start += chunk.X.shape[0]
    except Missing as missing:
        column, row = missing.args
        raise ValueError(
            f"{part.name!r} has a missing value in column {column!r}, row {start + row}. Drop those rows "
            "or fill them in."
        ) from None
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "the file has vanished since `scan`", part.name) from error


# -- what chunks must have in common -------------------------------------------------------------------------


def _like_first(chunk, where, first):
    """The chunk with its columns in the order of the first one's; ValueError where they are others."""
    origin, like = first
    if (chunk.names is None) != (like.names is None):
        raise ValueError(
            f"{where!r} has columns {'with' if chunk.names else 'without'} names, unlike {origin!r}."
        )
    if chunk.names and chunk.names != like.names:
        missing = [name for name in like.names if name not in chunk.names]
        extra = [name for name in chunk.names if name not in like.names]
        if missing or extra:
            told = [
                f"{what} {', '.join(map(repr, of[:5]))}"
                for what, of in (("lacks", missing), ("adds", extra))
                if of
            ]
            raise ValueError(
                f"{where!r} has other columns than {origin!r}: it {' and '.join(told)}. `features` names "
                "those to take."
            )
        order = [chunk.names.index(name) for name in like.names]
        types = tuple(chunk.types[j] for j in order) if len(chunk.types) > 1 else chunk.types
        chunk = chunk._replace(X=chunk.X[:, order], names=like.names, types=types)
    if not like.open_ended and chunk.X.shape[1:] != like.X.shape[1:]:
        raise ValueError(
            f"{where!r} has {chunk.X.shape[1]} columns, where {origin!r} has {like.X.shape[1]}; expected "
            "as many."
        )
    if chunk.types and like.types and chunk.types != like.types:
        j = next(j for j, (a, b) in enumerate(zip(chunk.types, like.types, strict=False)) if a != b)
        name = f"in column {chunk.names[j]!r}" if chunk.names and len(chunk.types) > 1 else "as numbers"
        raise ValueError(
            f"{where!r} has {chunk.types[j]} {name}, where {origin!r} has {like.types[j]}; expected one "
            "type in all shards."
        )
    if hasattr(chunk.X, "tocsr") != hasattr(like.X, "tocsr"):
        raise ValueError(
            f"{where!r} is {'sparse' if hasattr(chunk.X, 'tocsr') else 'dense'}, unlike {origin!r}."
        )
    for name in ("y", "weight"):
        if (
            (getattr(chunk, name) is None) != (getattr(like, name) is None)
            and chunk.X.shape[0]
            and like.X.shape[0]
        ):
            raise ValueError(
                f"{where!r} has {'no' if getattr(chunk, name) is None else 'a'} {_CALLED[name]}, unlike "
                f"{origin!r}."
            )
    return chunk


_CALLED = {"y": "target", "weight": "weight"}


def _check_rows(chunk, where, start, labelled):
    """Raise ValueError for rows that cannot be used."""
    m = chunk.X.shape[0]
    if chunk.X.ndim != 2:
        raise ValueError(f"{where!r} has X of shape {chunk.X.shape}; expected two dimensions.")
    if not m or not chunk.X.shape[1]:
        return
    for name in ("y", "weight"):
        one = getattr(chunk, name)
        if one is not None and one.shape != (m,):
            raise ValueError(
                f"{where!r}, from row {start} on: {m} rows of X and a {_CALLED[name]} of shape "
                f"{one.shape}; expected one a row."
            )
    if labelled and chunk.y is None:
        raise ValueError(
            f"{where!r} has no labels; `target` names their column, and chunks are pairs (X, y)."
        )
    found = matrix_of(chunk.X).first_nonfinite()
    if found is not None:
        row, column, kind = found
        column = repr(chunk.names[column]) if chunk.names else column
        raise ValueError(
            f"{where!r} contains {kind} at row {start + row}, column {column}. NaN and inf cannot be "
            "fitted; drop those rows or impute them."
        )


def matrix_of(X):
    """The Matrix of a chunk."""
    return CompressedRows(as_csr(X)) if hasattr(X, "tocsr") and X.shape[1] else Matrix(np.asarray(X))
