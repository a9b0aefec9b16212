"""A Chunk: some rows of a source, made from Arrow batches or arrays."""

from typing import Any, NamedTuple

import numpy as np

from .convert import as_array, names_of, to_host, to_table
from .files import find_column
from .rounded import rounded

CHUNK = 1 << 23
"""Approximate size of a chunk in bytes."""

BATCH = 1 << 21
"""Fewest bytes of a chunk of a table, of which its readers have several copies; the most are half a CHUNK."""

_OF_MEMORY = 256
"""Divisor of the memory that gives the bytes of a chunk of a table; a chunk takes calls for each column."""

_NUMBERS = ("int", "uint", "float", "double", "halffloat", "bool", "decimal")


class Chunk(NamedTuple):
    """Some rows of a part.

    Attributes
    ----------
    X : ndarray (rows, columns) or sparse matrix
    y, weight : array (rows,) or None
    names : list of str or None
        Of the columns.
    types : tuple of str
        Types of each column, or one for all; empty if unknown.
    open_ended : bool
        Whether a sparse X may have more columns than occur here.
    rounded : Counter or None
        For each column, how many integers float64 cannot represent.
    """

    X: Any
    y: Any = None
    weight: Any = None
    names: list | None = None
    types: tuple = ()
    open_ended: bool = False
    rounded: Any = None


class Wanted(NamedTuple):
    """Which columns are read, as names, or numbers as text where columns have none; and how.

    Attributes
    ----------
    target, weight, features, drop : as in `scan`
    batch : int
        Bytes of a chunk of a table.
    """

    target: Any = None
    weight: Any = None
    features: list | None = None
    drop: tuple = ()
    batch: int = BATCH

    @property
    def nothing(self):
        """Whether no column is named."""
        return self[:4] == Wanted()[:4]

    def within(self, memory):
        """The same columns, in chunks as large as a budget of memory allows."""
        return self._replace(batch=min(max(BATCH, memory // _OF_MEMORY), CHUNK // 2))

    def rows(self, columns):
        """The number of rows of a chunk of a table from which these columns are read."""
        return max(self.batch // (8 * len(columns)), 1)

    def of(self, columns, where):
        """The columns of features among those that there are, and all that are read.

        Raises
        ------
        ValueError
            A column is missing, or none is left.
        """
        for name in (self.target, self.weight, *self.drop, *(self.features or ())):
            find_column(name, columns, where)
        beside = [name for name in (self.target, self.weight) if name is not None]
        left_out = {*beside, *self.drop}
        taken = list(self.features) if self.features else [name for name in columns if name not in left_out]
        if not taken:
            raise ValueError(f"{where!r} has no column left for the features.")
        return taken, [*taken, *(name for name in dict.fromkeys(beside) if name not in taken)]


def of_batch(batch, taken, wanted, where):
    """The Chunk of an Arrow batch."""
    columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
    types = tuple(str(columns[name].type) for name in taken)
    strange = [(n, t) for n, t in zip(taken, types, strict=True) if not t.startswith(_NUMBERS)]
    if strange:
        listed = ", ".join(f"{name!r} ({kind})" for name, kind in strange[:5])
        raise TypeError(
            f"{where!r} has columns that are not numbers: {listed}{', ...' if len(strange) > 5 else ''}. "
            "scan(..., encoder=TableEncoder()) encodes them; `features` or `drop` leave them out."
        )
    arrays = [_numbers(columns[name]) for name in taken]
    X = np.empty((batch.num_rows, len(taken)), dtype=np.result_type(*(array.dtype for array in arrays)))
    for j, array in enumerate(arrays):
        X[:, j] = array
    missing = [name for name in batch.schema.names if columns[name].null_count]
    if missing:
        rows = np.asarray(columns[missing[0]].is_null())
        raise Missing(missing, int(rows.argmax()))
    one = [None if name is None else _vector_of(columns[name]) for name in (wanted.target, wanted.weight)]
    whole = rounded(dict(zip(taken, arrays, strict=True)))
    return Chunk(X, *one, names=taken, types=types, rounded=whole)


class Missing(ValueError):
    """Nulls: the columns that have some, and the row of the chunk where the first column has one."""


def _numbers(column):
    if str(column.type).startswith("decimal"):
        column = column.cast("float64")
    return column.to_numpy(zero_copy_only=False)


def _vector_of(column):
    kind = str(column.type)
    if "string" in kind or kind.startswith("dictionary"):  # a text is made once, not once a row
        codes = column if kind.startswith("dictionary") else column.dictionary_encode()
        return codes.dictionary.to_numpy(zero_copy_only=False)[codes.indices.to_numpy()]
    if kind.startswith("decimal"):
        column = column.cast("int64" if column.type.scale == 0 and column.type.precision <= 18 else "float64")
    return column.to_numpy(zero_copy_only=False)


def of_arrays(X, y=None, weight=None, *, where):
    X = to_table(X)
    whole, names = rounded(X), names_of(X)
    y, weight = (None if v is None else np.asarray(to_host(v)) for v in (y, weight))
    if _is_empty(X):
        return Chunk(X if hasattr(X, "tocsr") else np.asarray(X), y, weight, names)
    try:
        X = as_array(X)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from error
    return Chunk(X, y, weight, names, (X.dtype.name,), rounded=whole)  # in any byte order


def _is_empty(X):
    return not len(X) if isinstance(X, list | tuple) else tuple(getattr(X, "shape", ())[:1]) == (0,)
