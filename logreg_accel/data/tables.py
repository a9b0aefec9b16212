"""Tables with named columns in files: CSV, Parquet and Feather, read and written.

What opens such a file returns the names of the columns and a function get(features, target, weight), which
returns X and a function one(name) that returns a column.
"""

import codecs
import contextlib
import csv
import io
import re

import numpy as np

from .convert import as_array

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARROW = (".parquet", ".feather", ".arrow")
SUFFIXES = (*SEPARATORS, *ARROW)
_FORMULA = re.compile(r"[=+\-@\t\r\n].", re.DOTALL)  # what a spreadsheet runs; a sign alone it shows


def open_table(path, suffix):
    """Open a table; raises ValueError for what its suffix does not tell of."""
    if suffix in SEPARATORS:
        return (_open_csv_arrow if _has_pyarrow() else _open_csv)(path, SEPARATORS[suffix])
    feather, parquet = _arrow_formats(path, "read")
    table = parquet.read_table(path) if suffix == ".parquet" else feather.read_table(path)
    return _from_arrow(table, path)


def table_writer(path, suffix):
    """A function that writes named columns, a dict of arrays, to a binary file in the format of a suffix.

    In text, labels that a spreadsheet would take for a formula are written as `harmless` makes them.

    Raises
    ------
    ValueError
        The format needs a library that is not installed.
    """
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


def harmless(value):
    """A value as it goes into a CSV file: text that begins like a formula has an apostrophe before it.

    Numbers stay what they are, also as text.
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    with contextlib.suppress(ValueError):
        float(value)
        return value
    return f"'{value}"


def _write_csv(file, columns, separator):
    values, returns = [], any("\r" in name for name in columns)
    for column in columns.values():
        values.append(plain(column))
        if column.dtype.kind in "OU":
            returns = returns or any("\r" in label for label in set(values[-1]))
            values[-1] = map(harmless, values[-1])
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL  # which leaves a carriage return bare
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n", quoting=quoting)
    writer.writerow(columns)
    writer.writerows(zip(*values, strict=True))
    stream.flush()
    stream.detach()


def plain(labels):
    """Python values of labels or numbers; text for those of time, which Python may not have."""
    return [str(label) for label in labels] if labels.dtype.kind in "mM" else labels.tolist()


# -- text ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _text_of(path):
    """A context for reading a file of text, in which errors name it, and where it is no text."""
    with open(path, "rb") as file:
        start = file.read(1 << 16)
    wide = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"}
    wide |= {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}  # a mark of UTF-32 begins like one
    for mark, name in wide.items():
        if start.startswith(mark):
            raise ValueError(
                f"{path!r} is text in {name}; expected UTF-8: iconv -f {name} -t UTF-8 OLD > NEW makes it so."
            )
    if b"\0" in start:
        _refuse_no_text(path)
    try:
        yield
    except (ValueError, TypeError) as error:
        _refuse_no_text(path)
        if isinstance(error, TypeError) or path in str(error):
            raise
        raise ValueError(f"{path!r}: {error}") from error


def _refuse_no_text(path):
    """Raise ValueError for the first line that is none; it is looked for where something went wrong."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if b"\0" in line:
                raise ValueError(
                    f"{path!r} has a NUL byte in line {number}, as damaged files have and text in UTF-16; "
                    "expected text in UTF-8."
                )
            try:
                line.decode()
            except UnicodeDecodeError as fault:
                raise ValueError(
                    f"{path!r} has the byte 0x{line[fault.start]:02x} in line {number}, which is no UTF-8. "
                    "If it is text in Latin-1, iconv -f LATIN1 -t UTF-8 OLD > NEW makes it so."
                ) from None


def _open_csv(path, separator):
    """Open a CSV file with NumPy's reader, which is used if pyarrow is not installed."""
    with _text_of(path), open(path, newline="", encoding="utf-8-sig") as file:
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
        with _text_of(path):
            text = load([name], str, 1)
        if (text == "").any():
            raise ValueError(f"{path!r}: column {name!r} has {int((text == '').sum())} missing values.")
        return _plain_labels(text)

    def get(features, target, weight):
        with _text_of(path):
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


def _open_csv_arrow(path, separator):
    import pyarrow.csv

    with _text_of(path):
        table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=separator))
        columns, get = _from_arrow(table, path)

    def get_text(features, target, weight):
        with _text_of(path):
            X, one = get(features, target, weight)

        def one_text(name):
            if name is not None and pyarrow.types.is_binary(table[name].type):
                with _text_of(path):
                    raise ValueError(f"column {name!r} is no text")
            return one(name)

        return X, one_text

    return columns, get_text


# -- columns -------------------------------------------------------------------------------------------------


def _has_pyarrow():
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


def _from_arrow(table, path):
    def one(name):
        if name is None:
            return None
        column = table[name]
        if column.null_count:
            raise ValueError(f"{path!r}: column {name!r} has {column.null_count} missing values.")
        return _without_decimals(column).to_numpy()

    def get(features, target, weight):
        return as_array(table.select(features)), one

    return table.column_names, get


def _without_decimals(column):
    """Numbers as databases write them, as whole numbers where they are."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column
    whole = column.type.scale == 0 and column.type.precision <= 18
    return column.cast(pa.int64() if whole else pa.float64())
