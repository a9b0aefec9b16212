"""Tables in files as Arrow tables or batches: text in any layout, compressed or not, Parquet and Feather.

One reader serves the command line, which reads a whole table, and streams, which read batch by batch. Arrow
is the parser; this module detects the format of a file and makes errors understandable.
"""

import contextlib
import io
import os
import re
from collections import Counter

from . import binary
from .opening import Unfit, give_back, kind_of, layout_of, open_unpacked, text_of

MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "#N/A", "<NA>")
TABLES = ("text", "parquet", "feather")
_INDEX = re.compile(r"__index_level_\d+__")  # row numbers that pandas writes beside the columns of a frame
_BLOCK, _OF_A_COLUMN = 1 << 19, 128  # bytes of text parsed at once: at least, and per column
_CONVERSION = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to (\S+): invalid value '(.*)'",
    re.DOTALL,
)
_FIELDS = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


class TableReader:
    """A table in one file.

    Parameters
    ----------
    path : path-like
        Text (CSV and similar), also compressed by gzip, bz2, xz, zip or zstd; Parquet; Feather. The format is
        recognised by the first bytes.
    separator : str or None
        One character between the fields of a line; None detects it.
    header : bool
        Whether the first line of a text has the names of the columns, which are otherwise "0", "1", ...
    missing : sequence of str
        Texts that stand for a missing value, besides `MISSING`.
    encoding : str
        The encoding of a text.

    Attributes
    ----------
    path : str
    names : list of str
    kind : "text", "parquet" or "feather"

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It has another format, is damaged or empty, has two columns of one name, or pyarrow is not installed.
    """

    def __init__(self, path, *, separator=None, header=True, missing=(), encoding="utf-8"):
        self.path, self.kind, self.encoding, self._types = os.fspath(path), kind_of(path), encoding, {}
        _need_pyarrow(self.path)
        if self.kind == "text":
            with text_of(self.path, encoding):
                self.layout = layout_of(self.path, separator, header, encoding)
            self.header, self.missing = header, missing
            self.names = self.layout.names
        elif self.kind in TABLES:
            self.names = [name for name in self.schema().names if not _INDEX.fullmatch(name)]
        else:
            raise ValueError(f"{self.path!r} is an {self.kind} file; expected a table with named columns.")
        twice = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twice:
            listed = ", ".join(map(repr, twice[:5]))
            raise ValueError(f"{self.path!r} has two columns of one name: {listed}. Rename one of them.")

    def typed(self, types):
        """Read text columns with these types, by name, instead of detecting them: "number", "text", "bool",
        or Arrow types.
        """
        self._types = types
        return self

    def read(self, columns=None):
        """The whole table, or some of its columns in this order, as a `pyarrow.Table`; parsed on all cores.

        Raises
        ------
        ValueError
            The file is damaged, or a value does not fit its type; the message names line and column.
        """
        columns = list(self.names if columns is None else columns)
        if self.kind == "text":
            return self._read_text(columns)
        return self._careful(lambda: binary.table_of(self.path, self.kind, columns)).select(columns)

    def batches(self, columns=None, rows=1 << 16, **reading):
        """Yield record batches in the order of the rows, for tables that do not fit into memory.

        The types of text columns are those given by `typed`, else those of the first block: a later value of
        another type is an error that names it. Batches of Parquet have at most `rows` rows.
        """
        columns = list(self.names if columns is None else columns)
        if self.kind != "text":
            read = iter(self._careful(lambda: binary.batches_of(self.path, self.kind, columns, rows)))
            while (batch := self._careful(lambda: next(read, None))) is not None:
                yield batch.select(columns)
                del batch
                give_back()
        else:
            with text_of(self.path, self.encoding), self._open() as file:
                import pyarrow.csv

                # Arrow holds many blocks at a time, and each must have room for a row.
                size = max(_BLOCK, _OF_A_COLUMN * len(self.names))
                read, count = pyarrow.csv.open_csv, 0
                try:
                    for batch in read(file, *self._options(columns, block_size=size, **reading)):
                        yield self._named(batch, columns)
                        count += batch.num_rows
                except ValueError as error:
                    after = f" That is after row {count}." if count else ""
                    message = self._told(str(error)) + after
                    if found := _CONVERSION.search(str(error)):
                        column, row, _, value = found.groups()
                        raise Unfit(message, self.names[int(column)], value, row) from error
                    raise ValueError(message) from error

    def located(self, columns, rows):
        """As `batches`, but errors about a value name its line, which only a read without threads knows."""
        try:
            yield from self.batches(columns, rows)
        except Unfit:
            for _ in self.batches(columns, rows, use_threads=False):
                pass
            raise

    def type_of(self, value):
        """The Arrow type of a column of text that has one value."""
        from pyarrow import csv

        options = self._options()[2]
        options.column_types = {}
        quoted = value.replace('"', '""')
        text = io.BytesIO(f'"x"\n"{quoted}"\n'.encode())
        parse = csv.ParseOptions(newlines_in_values=True)
        return csv.read_csv(text, parse_options=parse, convert_options=options).schema.types[0]

    # -- text --------------------------------------------------------------------------------------------

    def _open(self):
        import pyarrow

        file = open_unpacked(self.path)
        if file.__class__.__name__ == "BufferedReader" and os.path.isfile(self.path):
            file.close()
            return pyarrow.OSFile(self.path)
        return file

    def _read_text(self, columns):
        with text_of(self.path, self.encoding):
            with contextlib.suppress(ValueError, EOFError):
                return self._parsed(columns, self.layout.quoted)
            # The slower way handles line ends inside quotes, which the head of the file did not show, and
            # finds out the line of an error.
            try:
                return self._parsed(columns, True, use_threads=False)
            except EOFError as error:
                raise ValueError(f"{self.path!r} is damaged: {error}.") from error
            except ValueError as error:
                raise ValueError(self._told(str(error))) from error

    def _parsed(self, columns, quoted, **reading):
        import pyarrow.csv

        with self._open() as file:
            return self._named(
                pyarrow.csv.read_csv(file, *self._options(columns, quoted=quoted, **reading)), columns
            )

    @staticmethod
    def _named(table, columns):
        no_text = [name for name, kind in zip(columns, table.schema.types, strict=True) if kind == "binary"]
        if no_text:
            raise ValueError(f"column {no_text[0]!r} is not text")
        return table.rename_columns(columns)

    def _options(self, columns=(), quoted=True, **reading):
        from pyarrow import csv

        missing = {*MISSING, *self.missing, *(" " * n for n in range(1, 9))}
        names = self._raw_names()
        raw_of = {name: raw for raw, name in names}
        known = _arrow_types()
        types = {
            raw: known.get(self._types[name], self._types[name]) for raw, name in names if name in self._types
        }
        return (
            csv.ReadOptions(encoding=self.encoding, autogenerate_column_names=not self.header, **reading),
            csv.ParseOptions(delimiter=self.layout.separator, newlines_in_values=quoted),
            csv.ConvertOptions(
                null_values=[*missing, *(f" {text}" for text in missing if text)],
                strings_can_be_null=True,
                include_columns=[raw_of[name] for name in columns],
                column_types=types,
                decimal_point=self.layout.decimal_point,
            ),
        )

    def _raw_names(self):
        """Pairs (the name as Arrow reads it, the name here)."""
        if not self.header:
            return [(f"f{name}", name) for name in self.names]
        return list(zip(self.layout.raw_names, self.names, strict=True))

    def _told(self, message):
        """Arrow's error, with the name of the column and the line."""
        if found := _CONVERSION.search(message):
            column, row, kind, value = found.groups()
            line = f" in line {row}" if row else ""
            expected = {"double": "a number", "bool": "true or false"}.get(kind, kind)
            return (
                f"{self.path!r} has {value!r} in column {self.names[int(column)]!r}{line}; "
                f"expected {expected}. If it stands for a missing value, use --na {value!r}."
            )
        if found := _FIELDS.search(message):
            row, expected, got = found.groups()
            line = f"line {row}" if row else "a line"
            return (
                f"{self.path!r}: {line} has {got} fields; expected {expected}, separated by "
                f"{self.layout.separator!r} (--sep names another separator)."
            )
        if "Empty CSV file" in message:
            return f"{self.path!r} is empty, or has a line without any field; expected a header and rows."
        return f"{self.path!r}: {message}"

    # -- Parquet and Feather -----------------------------------------------------------------------------

    def schema(self):
        """Return the names and types of the columns of a binary file."""
        return self._careful(lambda: binary.schema_of(self.path, self.kind))

    def room(self, columns):
        """Return the bytes that reading batches of some columns takes, in addition to the batches."""
        return self._careful(lambda: binary.room_of(self.path, columns)) if self.kind == "parquet" else 0

    def _careful(self, read):
        """The result of `read`; errors of Arrow name the file."""
        try:
            return read()
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            kind = {"parquet": "Parquet", "feather": "Feather"}[self.kind]
            raise ValueError(f"{self.path!r} is not a readable {kind} file ({error}).") from error


def _need_pyarrow(path):
    try:
        import pyarrow.csv
        import pyarrow.feather
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ValueError(f"{path!r} needs pyarrow to be read: pip install 'logreg-accel[arrow]'.") from error


def _arrow_types():
    import pyarrow as pa

    return {"number": pa.float64(), "text": pa.string(), "bool": pa.bool_()}
