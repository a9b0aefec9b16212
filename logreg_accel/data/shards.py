"""Rows that come in shards: files, Arrow data sets, lazy frames and callables, read chunk by chunk.

A `Part` is a shard with a name for messages; `read` opens it anew on every call and yields Chunks as they
come. What the shards must have in common is checked by `scan.Source`, which joins them.
"""

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from . import files
from .chunks import CHUNK, Chunk, of_arrays, of_batch
from .finding import find_files
from .npz import chunks_of_npz, held_of_npz
from .opening import is_packed, kind_of
from .reader import TABLES, TableReader
from .rounded import beyond, rounded_texts
from .svmlight import lines_of
from .truths import numbers_of

_WHOLE = (
    "since labels, weights and `indptr`, or an `X` that is stored by columns, are held whole",
    "or write several smaller files, with X in the order of rows",
)


class Part(NamedTuple):
    """A shard.

    Attributes
    ----------
    name : str
    read : function () -> iterator of Chunk
    paths : tuple of str
        The files that it is read from; empty if they are not known.
    room : function () -> int
        Bytes that reading takes, in addition to the chunks.
    why : (str, str)
        Why it takes them, and what takes less.
    """

    name: str
    read: Callable
    paths: tuple = ()
    room: Callable = int
    why: tuple = (
        "since pages of all columns are held at a time",
        "take fewer columns (`features`, `drop`), or write the file in smaller row groups or pages",
    )


def parts_of(data, wanted):
    """The parts of whatever `scan` takes, in a fixed order.

    Raises
    ------
    FileNotFoundError
        No file has the name or fits the pattern.
    TypeError, ValueError
        `data` cannot be read in chunks.
    """
    if isinstance(data, list) and data and all(isinstance(part, Part) for part in data):
        return data
    if hasattr(data, "collect_batches"):
        return [Part("the lazy frame", partial(_of_lazy_frame, data, wanted))]
    if hasattr(data, "get_fragments"):
        return [_fragment(data, i, fragment, wanted) for i, fragment in enumerate(data.get_fragments())]
    if callable(data):
        name = f"the chunks of {getattr(data, '__name__', type(data).__name__)}"
        return [Part(name, partial(_called, data, name))]
    one = isinstance(data, str | os.PathLike)
    if one or (isinstance(data, list | tuple) and all(isinstance(path, str | os.PathLike) for path in data)):
        paths = find_files([data] if one else data)
        if not paths:
            raise ValueError("`data` is an empty list; expected file names, patterns or folders.")
        return _of_files(paths, wanted)
    raise TypeError(
        f"`data` is {type(data).__name__}; expected a file name, a pattern, a folder or a list of those, an "
        "Arrow dataset, a polars LazyFrame, or a callable that returns an iterator of (X, y) chunks. "
        "Arrays and frames in memory go to `fit` as they are."
    )


def refuse_without_labels(parts):
    """Raise ValueError for tables, whose labels have to be named."""
    tables = [part.name for part in parts if part.paths and kind_of(part.paths[0]) in (*TABLES, "npy")]
    if tables:
        raise ValueError(f"{tables[0]!r} has no labels; `target` names their column.")


# -- files ---------------------------------------------------------------------------------------------------


def _of_files(paths, wanted):
    if all(kind_of(path) == "npy" for path in paths):
        beside = [_beside(getattr(wanted, name), name, paths) for name in ("target", "weight")]
        return [
            Part(
                path,
                partial(_npy, path, *columns, wanted.features, wanted.drop),
                (path, *filter(_is_npy, columns)),
            )
            for path, *columns in zip(paths, *beside, strict=True)
        ]
    parts = [
        Part(path, partial(_of_file, path, wanted), (path,), partial(_room, path, wanted)) for path in paths
    ]
    return [part._replace(why=_WHOLE) if kind_of(part.name) == "npz" else part for part in parts]


def _room(path, wanted):
    if kind_of(path) == "npz":
        return held_of_npz(path, wanted)
    if kind_of(path) != "parquet":
        return 0
    reader = TableReader(path)
    return reader.room(wanted.of(reader.names, path)[1])


def _of_file(path, wanted):
    kind = kind_of(path)
    if kind in TABLES:
        return _of_table(path, wanted)
    if kind == "svmlight":
        return _svmlight(path, wanted)
    if kind == "npz":
        return chunks_of_npz(path, wanted)
    raise ValueError(f"{path!r} is a .npy file among files of other formats; expected shards of one format.")


def _of_table(path, wanted):
    reader = TableReader(path)
    taken, read = wanted.of(reader.names, path)
    rows = wanted.rows(read)
    empty, known = True, set()
    for batch in numbers_of(reader, taken, read, rows):
        empty = False
        for start in range(0, max(batch.num_rows, 1), rows):
            chunk = of_batch(batch.slice(start, rows), taken, wanted, path)
            far = {} if reader.kind != "text" else beyond(dict(zip(taken, chunk.X.T, strict=True)))
            if new := [name for name in far if name not in known]:
                known.update(new)
                chunk = chunk._replace(rounded=_rounded_text(path, new))
            yield chunk
    if empty:
        yield Chunk(np.empty((0, len(taken))), names=taken)


def _rounded_text(path, names):
    """Count the integers in some columns of a text file that float64 rounds; reads these columns again.

    Arrow parses the columns as float64, in which the original numbers are no longer visible.
    """
    counts = Counter()
    for batch in TableReader(path).typed(dict.fromkeys(names, "text")).batches(names):
        for name in names:
            counts[name] += rounded_texts(batch.column(name))
    return +counts


def _is_npy(column):
    return column is not None and column.endswith(".npy")


def _beside(column, name, paths):
    """For each .npy file, where its labels or weights are: the number of a column, or a file of their own."""
    if column is None or isinstance(column, int) or (isinstance(column, str) and not _is_npy(column)):
        return [None if column is None else str(column)] * len(paths)
    found = find_files([column] if isinstance(column, str | os.PathLike) else column)
    if len(found) != len(paths):
        raise ValueError(
            f"`{name}` stands for {len(found)} files and `data` for {len(paths)}; expected one for each, "
            "in the order of their names."
        )
    return found


def _npy(path, target, weight, features, drop):
    X = files.open_npy(path)
    inside = [None if _is_npy(column) else column for column in (target, weight)]
    taken, *places = files.columns_of_npy(path, X.shape[1], *inside, features, drop)
    beside = [_vector(column, path, len(X)) if _is_npy(column) else None for column in (target, weight)]
    step = max(CHUNK // max(X.itemsize * X.shape[1], 1), 1)
    for start in range(0, max(len(X), 1), step):
        rows = slice(start, min(start + step, len(X)))
        table = files.rows_of_npy(path, X, rows.start, rows.stop)
        y, s = (
            table[:, place] if place is not None else None if vector is None else vector[rows]
            for place, vector in zip(places, beside, strict=True)
        )
        yield of_arrays(files.chosen_columns(table, taken), y, s, where=path)


def _vector(column, path, rows):
    try:
        values = np.load(column, allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise ValueError(f"{column!r} is not a readable .npy file ({error}).") from error
    if values.shape != (rows,):
        raise ValueError(f"{column!r} has shape {values.shape}; expected ({rows},), the rows of {path!r}.")
    return values


def _svmlight(path, wanted):
    """Return the part of an svmlight file, read in ranges of bytes.

    There are at least as many columns as the last entry shows, and at least one.
    """
    if not wanted.nothing:
        raise ValueError(
            f"{path!r} is an svmlight file with the target in front of each line, whose columns have no "
            "names; expected neither `target` nor other columns by name."
        )
    size = os.path.getsize(path)
    step = size if is_packed(path) else CHUNK  # packed files are read whole
    for offset in range(0, max(size, 1), max(step, 1)):
        X, y = lines_of(path, 1, offset, step if step < size else -1)
        yield Chunk(X, y, types=(str(X.dtype),), open_ended=True)


# -- tables and callables ------------------------------------------------------------------------------------


def _of_lazy_frame(frame, wanted):
    where = "the lazy frame"
    taken, read = wanted.of(frame.collect_schema().names(), where)
    rows = wanted.rows(read)
    for piece in frame.select(read).collect_batches(chunk_size=rows, maintain_order=True):
        for batch in piece.to_arrow().to_batches():
            yield of_batch(batch, taken, wanted, where)


def _fragment(dataset, i, fragment, wanted):
    path = getattr(fragment, "path", None)
    local = path is not None and os.path.exists(path)

    def read():
        taken, columns = wanted.of(dataset.schema.names, "the dataset")
        rows = wanted.rows(columns)
        asked = {"schema": dataset.schema, "columns": columns, "batch_size": rows}
        own = _reader_of(dataset, fragment, columns) if local else None
        for batch in fragment.to_batches(**asked) if own is None else own.batches(columns, rows):
            yield of_batch(batch, taken, wanted, path or "the dataset")

    return Part(path or f"fragment {i} of the dataset", read, (path,) if local else ())


def _reader_of(dataset, fragment, columns):
    """Return a TableReader for a fragment that is a whole file with the columns of the dataset, or None.

    Arrow's scanner would hold compressed row groups and read batches ahead, whatever its options are.
    """
    if kind_of(fragment.path) != "parquet":
        return None
    reader = TableReader(fragment.path)
    if not set(columns) <= set(reader.names):
        return None
    types = [reader.schema().field(name).type == dataset.schema.field(name).type for name in columns]
    return reader if all(types) and fragment.num_row_groups == fragment.metadata.num_row_groups else None


def _called(data, name):
    chunks = data()
    if not hasattr(chunks, "__iter__"):
        raise TypeError(
            f"{name}: calling it gave {type(chunks).__name__}; expected an iterator over (X, y) or "
            "(X, y, weight) chunks."
        )
    for i, given in enumerate(chunks):
        if not isinstance(given, tuple | list) or not 1 <= len(given) <= 3:
            raise TypeError(
                f"{name}: chunk {i} is {type(given).__name__}; expected a tuple (X, y) or (X, y, weight), "
                "or (X,) for predictions."
            )
        chunk = of_arrays(*given, where=f"{name}, chunk {i}")
        if chunk.X.shape[0]:  # an empty chunk tells neither columns nor types
            yield chunk
