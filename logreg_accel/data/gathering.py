"""A table in several files, read whole, and where its rows stand in them."""

import difflib

import numpy as np

from .reader import TableReader, find_files, looks_like_data


class Tables:
    """Files of one table, in the order of their rows.

    Parameters
    ----------
    patterns : sequence of path-like
        Paths, patterns and folders, as `find_files` takes them.
    layout : dict
        Parameters of `TableReader`.

    Raises
    ------
    OSError, ValueError
        As `TableReader`; the files have different columns.
    """

    def __init__(self, patterns, **layout):
        self.readers = [TableReader(path, **layout) for path in find_files(patterns)]
        self.name, self.names = self.readers[0].path, self.readers[0].names
        for reader in self.readers[1:]:
            other = sorted(set(self.names) ^ set(reader.names))
            if other:
                listed = ", ".join(map(repr, other[:5]))
                raise ValueError(
                    f"{reader.path!r} and {self.name!r} are not one table: only one of them has {listed}."
                )

    def find(self, name):
        """The name of a column, which without a header may be a number from the end, such as "-1".

        Raises
        ------
        ValueError
            There is none; the message has the nearest one, and says if the header looks like a row.
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
            hint = " Its first line looks like a row; --no-header gives the columns the numbers from 0 on."
        more = f" and {len(self.names) - 20} more" if len(self.names) > 20 else ""
        raise ValueError(
            f"{self.name!r} has no column {name!r}.{hint} It has: {', '.join(self.names[:20])}{more}."
        )

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

    def _joined(self, tables):
        if len(tables) == 1:
            return tables[0]
        import pyarrow as pa

        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(
                f"{self.name!r} and other files have columns of different types ({error})."
            ) from error

    def place(self, row):
        """Where a row of the whole table stands, such as "line 7 of 'part-2.csv'"."""
        ends = np.cumsum(self._rows)
        number = int(np.searchsorted(ends, row, side="right"))
        reader, row = self.readers[number], row - int(ends[number]) + self._rows[number]
        if reader.kind != "text":
            return f"row {row} of {reader.path!r} (counted from 0)"
        return f"line {row + 1 + reader.header} of {reader.path!r}"
