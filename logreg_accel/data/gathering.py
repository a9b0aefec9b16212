"""A table in several files, read whole or batch by batch, and the places of its rows in them."""

import collections
import copy
import difflib
import re

import numpy as np

from .finding import find_files
from .opening import Unfit, some_of
from .reader import TableReader


class Tables:
    """Files of one table, in the order of their rows.

    Parameters
    ----------
    patterns : sequence of path-like
        Paths, patterns and folders, as `find_files` takes them.
    **layout
        Parameters of `TableReader`.

    Raises
    ------
    OSError, ValueError
        As in `TableReader`; also if the files have different columns.
    """

    may_be_empty = False

    def __init__(self, patterns, **layout):
        self.layout = layout
        self.readers = [TableReader(path, **layout) for path in find_files(patterns)]
        self.name, self.names = self.readers[0].path, self.readers[0].names
        for reader in self.readers[1:]:
            other = sorted(set(self.names) ^ set(reader.names))
            if other:
                listed = ", ".join(map(repr, other[:5]))
                raise ValueError(
                    f"{reader.path!r} and {self.name!r} are not one table: only one of them has {listed}."
                )

    def only(self, number):
        """One of the files, which may have no rows."""
        one = copy.copy(self)
        one.readers, one.may_be_empty = [self.readers[number]], True
        return one

    def find(self, name):
        """The name of a column; without a header also a number from the end, such as "-1".

        Raises
        ------
        ValueError
            There is no such column; the message suggests the nearest one, and says if the header looks like a
            row.
        """
        if name in self.names:
            return name
        if self.names == [str(i) for i in range(len(self.names))] and name.lstrip("-").isdigit():
            if -len(self.names) <= int(name) < 0:
                return self.names[int(name)]
        near = difflib.get_close_matches(name, self.names, n=1)
        near = near or [other for other in self.names if other.lower() == name.lower()]
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if looks_like_data(self.names):
            hint += " Its first line may be a row: with --no-header, columns are numbered from 0 on."
        raise ValueError(f"{self.name!r} has no column {name!r}.{hint} It has: {some_of(self.names)}.")

    def read(self, types, columns=None):
        """The whole table as a `pyarrow.Table`; `types` are those of `TableReader.typed`.

        A column that is text in one file is text in all.

        Raises
        ------
        ValueError
            A file is damaged or has no rows, or a column has different types in different files.
        """
        columns = self.names if columns is None else columns
        tables = [reader.typed(types).read(columns) for reader in self.readers]
        kinds = zip(*(map(str, table.schema.types) for table in tables), strict=True)
        mixed = [len(set(kind)) > 1 and "string" in kind for kind in kinds]
        text = {name: "text" for name, is_mixed in zip(columns, mixed, strict=True) if is_mixed}
        if text:
            tables = [
                reader.typed({**types, **text}).read(columns) if reader.kind == "text" else table
                for reader, table in zip(self.readers, tables, strict=True)
            ]
        self._rows = [table.num_rows for table in tables]
        if not sum(self._rows):
            raise ValueError(f"{self.name!r} has a header and no rows.")
        return self._joined(tables)

    def batches(self, types, columns=None, most=1 << 16, locate=True):
        """Yield pairs (number of the file, record batch of at most `most` rows), in the order of the rows.

        A column has one type in all batches: that in the first file, for text that of its first block. The
        error about a value of another type names its line, for which the file is read again, unless `locate`
        is False.

        Raises
        ------
        Unfit
            A value in a text does not fit `types`, or the types of the first block.
        ValueError
            As in `read`.
        """
        columns = self.names if columns is None else columns
        self._rows = [0] * len(self.readers)
        self._types, schema = dict(types), self._schema(columns)
        for number, reader in enumerate(self.readers):
            for batch in self._careful(reader.typed(self._types), columns, most, locate):
                if schema is None:
                    schema = batch.schema
                    self._types |= {f.name: f.type for f in schema if f.name not in types}
                batch = self._cast(batch, schema, reader)
                self._rows[number] += batch.num_rows
                for start in range(0, batch.num_rows, most):
                    yield number, batch.slice(start, most)
        if not sum(self._rows) and not self.may_be_empty:
            raise ValueError(f"{self.name!r} has a header and no rows.")

    def as_written(self, names):
        """Return a function count -> columns of the next `count` rows, by name; of text files, as text."""
        import pyarrow as pa

        batches, left = self.batches(dict.fromkeys(names, "text"), list(names)), []

        def following(count):
            while names and sum(batch.num_rows for batch in left) < count:
                left.append(next(batches)[1])
            table = pa.Table.from_batches(left) if left else pa.table({})
            left[:] = table.slice(count).to_batches()
            return {name: table.column(name).slice(0, count).combine_chunks() for name in names}

        return following

    @staticmethod
    def _careful(reader, columns, most, locate):
        """Yield the batches of a file; an error names its line, which Arrow knows only on one thread."""
        try:
            yield from reader.batches(columns, most)
        except Unfit:
            if locate:
                collections.deque(reader.batches(columns, most, use_threads=False), 0)
            raise

    def _schema(self, columns):
        """The common types of binary files; None for text."""
        if self.readers[0].kind == "text":
            return None
        import pyarrow as pa

        schemas = [reader.schema() for reader in self.readers if reader.kind != "text"]
        try:
            schema = pa.unify_schemas(schemas, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(self._differ(error)) from error
        return pa.schema([schema.field(name) for name in columns])

    def _cast(self, batch, schema, reader):
        if batch.schema.equals(schema):
            return batch
        import pyarrow as pa

        try:
            return pa.RecordBatch.from_arrays(
                [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)],
                names=schema.names,
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise ValueError(f"{reader.path!r}: {self._differ(error)}") from error

    def wider(self, unfit):
        """The types for a second attempt after a value did not fit those of the first block."""
        import pyarrow as pa

        known, own = self._types.get(unfit.name, pa.null()), self.readers[0].type_of(unfit.value)
        numbers = {pa.int64(), pa.float64()}
        if pa.types.is_null(known) or pa.types.is_null(own):
            found = own if pa.types.is_null(known) else known
        else:
            found = pa.float64() if {known, own} <= numbers else pa.string()
        return {**self._types, unfit.name: found if found != known else pa.string()}

    def _differ(self, error):
        return f"{self.name!r} and other files have columns of different types ({error})."

    def _joined(self, tables):
        if len(tables) == 1:
            return tables[0]
        import pyarrow as pa

        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(self._differ(error)) from error

    def place(self, row):
        """The place of a row of the whole table, such as "line 7 of 'part-2.csv'"."""
        ends = np.cumsum(self._rows)
        number = int(np.searchsorted(ends, row, side="right"))
        reader, row = self.readers[number], row - int(ends[number]) + self._rows[number]
        if reader.kind != "text":
            return f"row {row} of {reader.path!r} (counted from 0)"
        return f"line {row + 1 + reader.header} of {reader.path!r}"


def with_places(message, place):
    """A message of the encoder, with rows replaced by file and line."""
    pattern = r"row (\d+) \(counted from 0 without the header\)"
    return re.sub(pattern, lambda found: place(int(found[1])), message)


def looks_like_data(names):
    """Whether the header contains numbers, like a row."""
    return any(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", name) for name in names)
