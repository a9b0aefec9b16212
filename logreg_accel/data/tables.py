"""Tables with named columns in files: CSV, Parquet and Feather, read and written.

What opens such a file returns the names of the columns and a function get(features, target, weight), which
returns X and a function one(name) that returns a column.
"""

import contextlib
import csv
import io
import re

import numpy as np

from .convert import as_array
from .opening import layout_of, open_unpacked, text_of
from .reader import TableReader

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARROW = (".parquet", ".feather", ".arrow")
SUFFIXES = (*SEPARATORS, *ARROW)
_COMMAND = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FORMULA = re.compile(r"[=+\-@\t\r\n].", re.DOTALL)  # what a spreadsheet runs; a sign alone it shows


def open_table(path, kind):
    """Open a table of a kind that `opening.kind_of` tells; text is read without pyarrow, too."""
    if kind == "text" and not has_pyarrow():
        return _open_csv(path)
    reader = TableReader(path)
    return reader.names, _getter(reader)


def table_writer(path, suffix):
    """A function that writes named columns, a dict of arrays, to a binary file in the format of a suffix.

    .npy takes the probabilities alone. In text, labels that a spreadsheet would take for a formula are
    written as `harmless` makes them.

    Raises
    ------
    ValueError
        The format needs a library that is not installed.
    """
    if suffix == ".npy":
        return _write_probabilities
    if suffix not in ARROW:
        return lambda file, columns: _write_csv(file, columns, SEPARATORS.get(suffix, ","))
    feather, parquet = _arrow_formats(path, "written")

    def write(file, columns):
        import pyarrow as pa

        known = {n: c.astype(np.float64) if c.dtype == np.longdouble else c for n, c in columns.items()}
        whole = pa.BufferOutputStream()
        (parquet.write_table if suffix == ".parquet" else feather.write_feather)(pa.table(known), whole)
        file.write(whole.getvalue())

    return write


def _write_probabilities(file, columns):
    """The columns after the first one, which has the predictions: a vector if it is one, else 2-d."""
    numbers = np.column_stack(list(columns.values())[1:])
    np.save(file, numbers[:, 0] if numbers.shape[1] == 1 else numbers)


def harmless(value):
    """A value as it goes into a CSV file: text that begins like a formula has an apostrophe before it.

    Numbers stay what they are, also as text. Characters that command a terminal are spelt out.
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
    """A text in which characters that command a terminal are spelt out, such as \\x1b."""
    return command.sub(lambda found: ascii(found[0])[1:-1], text)


def _write_csv(file, columns, separator):
    values, returns = [], any("\r" in name for name in columns)
    for column in columns.values():
        values.append(plain(column))
        if column.dtype.kind in "OU":
            returns = returns or any("\r" in str(label) for label in set(values[-1]))
            values[-1] = map(harmless, values[-1])
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL  # which leaves a carriage return bare
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n", quoting=quoting)
    writer.writerow(map(harmless, columns))
    writer.writerows(zip(*values, strict=True))
    stream.flush()
    stream.detach()


def plain(labels):
    """Python values of labels or numbers; text for those of time, which Python may not have."""
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
                    f"{error}. Columns that are not numbers can be left out with --drop."
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
            return as_array(table.select(features)), one

    return get


def _without_decimals(column):
    """Numbers as databases write them, as whole numbers where they are."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column
    whole = column.type.scale == 0 and column.type.precision <= 18
    return column.cast(pa.int64() if whole else pa.float64())
