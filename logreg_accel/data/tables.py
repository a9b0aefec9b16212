"""Tables with named columns in files: CSV, Parquet and Feather, read and written.

The functions that open a file return the names of the columns and a function get(features, target, weight),
which returns X and a function one(name) that returns a column.
"""

import contextlib
import csv
import io
import re

import numpy as np

from .convert import as_array
from .opening import Unfit, layout_of, open_unpacked, text_of
from .reader import TableReader

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARROW = (".parquet", ".feather", ".arrow")
SUFFIXES = (*SEPARATORS, *ARROW)
_COMMAND = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FORMULA = re.compile(r"[=+\-@\t\r\n].", re.DOTALL)  # run by spreadsheets as a formula, unlike a lone sign


def open_table(path, kind):
    """Open a table of a kind from `opening.kind_of`; text is also read without pyarrow."""
    if kind == "text" and not has_pyarrow():
        return _open_csv(path)
    reader = TableReader(path)
    return reader.names, _getter(reader)


def table_writer(path, suffix):
    """A function (file, parts) that writes rows to a binary file in the format of a suffix, part by part.

    A part is a dict of named columns, arrays of NumPy or Arrow, with the same names in all parts. An .npy
    file gets the probabilities alone. In text, labels that a spreadsheet would take for a formula are written
    as `harmless` returns them.

    Raises
    ------
    ValueError
        The format needs a library that is not installed.
    """
    if suffix == ".npy":
        return _write_probabilities
    if suffix not in ARROW:
        return lambda file, parts: _write_csv(file, parts, SEPARATORS.get(suffix, ","))
    _arrow_formats(path, "written")
    return _write_parquet if suffix == ".parquet" else _write_feather


def _write_parquet(file, parts):
    import pyarrow.parquet

    _write_arrow(parts, lambda schema: pyarrow.parquet.ParquetWriter(file, schema))


def _write_feather(file, parts):
    import pyarrow as pa

    packed = pa.ipc.IpcWriteOptions(compression="lz4" if pa.Codec.is_available("lz4") else None)
    _write_arrow(parts, lambda schema: pa.ipc.new_file(file, schema, options=packed))


def _write_arrow(parts, open_writer):
    import pyarrow as pa

    with contextlib.ExitStack() as stack:
        writer = None
        for columns in parts:
            table = pa.table({name: _known_to_arrow(column) for name, column in columns.items()})
            writer = writer or stack.enter_context(open_writer(table.schema))
            writer.write_table(table)


def _known_to_arrow(column):
    wide = isinstance(column, np.ndarray) and column.dtype == np.longdouble
    return column.astype(np.float64) if wide else column


def _write_probabilities(file, parts):
    """The columns after the first one, which has the predictions: a vector if it is one, else 2-d."""
    numbers = np.concatenate([np.column_stack(list(columns.values())[1:]) for columns in parts])
    np.save(file, numbers[:, 0] if numbers.shape[1] == 1 else numbers)


def harmless(value):
    """Return a value as it is written to a CSV file: text that begins like a formula gets an apostrophe.

    Numbers are unchanged, also as text. Control characters of terminals are escaped.
    """
    if not isinstance(value, str):
        return value
    value = without_commands(value)
    if not _FORMULA.match(value):
        return value
    with contextlib.suppress(ValueError):
        float(value)
        return value
    return f"'{value}"


def without_commands(text, command=_COMMAND):
    """Return a text with the control characters of terminals escaped, such as \\x1b."""
    return command.sub(lambda found: ascii(found[0])[1:-1], text)


def _write_csv(file, parts, separator):
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        for number, columns in enumerate(parts):
            _write_lines(stream, columns, separator, header=number == 0)
        stream.flush()
    finally:
        stream.detach()  # which would close the file


def _write_lines(stream, columns, separator, header):
    values, returns = [], any("\r" in name for name in columns)
    for column in columns.values():
        values.append(plain(column))
        if not isinstance(column, np.ndarray) or column.dtype.kind in "OU":
            returns = returns or any("\r" in str(label) for label in set(values[-1]))
            values[-1] = map(harmless, values[-1])
    # QUOTE_MINIMAL would not quote a carriage return.
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n", quoting=quoting)
    if header:
        writer.writerow(map(harmless, columns))
    writer.writerows(zip(*values, strict=True))


def plain(labels):
    """Python values of labels or numbers; text for dates and times, which Python may not represent."""
    if not isinstance(labels, np.ndarray):
        return labels.to_pylist()
    return [str(label) for label in labels] if labels.dtype.kind in "mM" else labels.tolist()


# -- text ----------------------------------------------------------------------------------------------------


def _open_csv(path):
    """Open a CSV file with NumPy's reader, which is used if pyarrow is not installed."""
    with text_of(path):
        layout = layout_of(path)
        with open_unpacked(path) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            next(csv.reader(lines, delimiter=layout.separator))
            if next(lines, None) is None:
                raise ValueError(f"{path!r} is empty; expected a header and rows.")
    columns = layout.names

    def load(names, dtype, ndmin):
        return np.loadtxt(
            path,
            delimiter=layout.separator,
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
        with text_of(path):
            text = load([name], str, 1)
        if (text == "").any():
            raise ValueError(f"{path!r}: column {name!r} has {int((text == '').sum())} missing values.")
        return _plain_labels(text)

    def get(features, target, weight):
        with text_of(path):
            try:
                return load(features, np.float64, 2), one
            except ValueError as error:
                raise ValueError(
                    f"{str(error).rstrip('.')}. Columns that are not numbers need pyarrow: pip install "
                    "'logreg-accel[arrow]'. Without it, leave them out with --drop."
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


# -- columns -------------------------------------------------------------------------------------------------


def has_pyarrow():
    """Whether pyarrow is installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def _arrow_formats(path, done):
    try:
        import pyarrow.feather
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            f"{path!r} needs pyarrow to be {done}: pip install 'logreg-accel[arrow]'."
        ) from error
    return pyarrow.feather, pyarrow.parquet


def _getter(reader):
    path = reader.path

    def get(features, target, weight):
        table = reader.read()
        if not table.num_rows:
            raise ValueError(f"{path!r} has a header and no rows.")

        def one(name):
            if name is None:
                return None
            column = table[name]
            if column.null_count:
                raise ValueError(f"{path!r}: column {name!r} has {column.null_count} missing values.")
            return _without_decimals(column).to_numpy()

        with text_of(path) if reader.kind == "text" else contextlib.nullcontext():
            try:
                return as_array(table.select(features)), one
            except TypeError as error:
                raise TypeError(f"{error}{_first_text(reader, table, features)}") from error

    return get


def _first_text(reader, table, features):
    """A sentence about the first value of a text table that is not a number, for an error."""
    texts = [name for name in features if str(table.schema.field(name).type) == "string"]
    if reader.kind != "text" or not texts:
        return ""
    try:
        for _ in reader.typed(dict.fromkeys(texts, "number")).located(texts, 1):
            pass
    except Unfit as unfit:
        where = f"{unfit.value!r}, in line {unfit.line}"
        return f" In {reader.path!r}, the first value of {unfit.name!r} that is not a number is {where}."
    finally:
        reader.typed({})
    return ""


def _without_decimals(column):
    """Convert decimal numbers, as databases write them, to integers if all of them are integers."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column
    whole = column.type.scale == 0 and column.type.precision <= 18
    return column.cast(pa.int64() if whole else pa.float64())
