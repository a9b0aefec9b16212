"""The format of a file, from its first bytes: compression, kind of content, and the layout of text tables."""

import codecs
import contextlib
import csv
import io
import os
import re
import sys
import zipfile
from typing import NamedTuple

HEAD = 1 << 20  # bytes that are examined
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"PK\3\4": "zip",
    b"\x28\xb5\x2f\xfd": "zst",
}
_HOLDS = {b"PAR1": "parquet", b"ARROW1": "feather", b"FEA1": "feather"}
_ARRAYS = {".npy": "npy", ".npz": "npz"}
_TABLES = {".csv": "text", ".tsv": "text", ".parquet": "parquet", ".feather": "feather", ".arrow": "feather"}
_SVMLIGHT = {".svm", ".svmlight", ".libsvm", ".t"}  # the last is that of the LIBSVM data sets
_SVMLIGHT_LINE = re.compile(rb"[-+.\deE,]+(\s+qid:\d+)?(\s+\d+:[^\s:]+)+\s*(#.*)?")
_ARFF = re.compile(r"(?:[ \t]*(?:%[^\n]*)?\r?\n)*[ \t]*@relation\b", re.IGNORECASE)
_JSON = re.compile(r"\s*\[?\s*\{\s*\"[^\"]*\"\s*:")
_SEPARATORS = (",", "\t", ";", "|", " ")


class Unfit(ValueError):
    """A value in a text table that does not fit the type of its column.

    Attributes
    ----------
    name, value : str
        The column, and the value as text.
    line : str or None
        Its number, if it is known.
    """

    def __init__(self, message, name, value, line=None):
        super().__init__(message)
        self.name, self.value, self.line = name, value, line


class Layout(NamedTuple):
    """The format of the lines of a text table."""

    separator: str
    names: list
    raw_names: list
    decimal_point: str
    quoted: bool


def open_unpacked(path):
    """Open a file as a binary stream of its decompressed contents.

    Raises
    ------
    OSError
        It cannot be opened.
    ValueError
        It is a zip file without a table, or needs a library that is not installed.
    """
    with open(path, "rb") as file:
        kind = _packing_of(file)
    if kind is None:
        return open(path, "rb")
    if kind == "zip":
        return _only_member(path)
    if kind == "zst":
        return _unpacked_by_arrow(path)
    import bz2
    import gzip
    import lzma

    return {"gzip": gzip, "bz2": bz2, "lzma": lzma}[kind].open(path)  # a file object would stay open


def is_packed(path):
    """Whether a file is compressed, by its first bytes."""
    with open(path, "rb") as file:
        return _packing_of(file) is not None


def _packing_of(file):
    return next((kind for mark, kind in _PACKED.items() if file.peek(8).startswith(mark)), None)


def _only_member(path):
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path!r} is a damaged zip file ({error}).") from error
    names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX/" not in name]
    if "[Content_Types].xml" in names:
        raise ValueError(f"{path!r} is a spreadsheet; expected a table as text: save it as CSV there.")
    if len(names) != 1:
        listed = ", ".join(names[:5]) or "none"
        raise ValueError(
            f"{path!r} holds {len(names)} files ({listed}); expected one: unzip it, then name one."
        )
    if archive.getinfo(names[0]).flag_bits & 1:
        raise ValueError(f"{path!r} is encrypted; unpack it first.")
    return archive.open(names[0])


def _unpacked_by_arrow(path):
    try:
        import pyarrow
    except ImportError as error:
        raise ValueError(
            f"{path!r} is packed by zstd, which needs pyarrow: pip install 'logreg-accel[arrow]'."
        ) from error
    return pyarrow.CompressedInputStream(os.fspath(path), "zstd")


def kind_of(path):
    """The kind of a file: "npy", "npz", "svmlight", "parquet", "feather" or "text"."""
    if os.path.exists(path) and not os.path.isfile(path):
        if os.path.isdir(path):
            raise ValueError(f"{path!r} is a folder; expected a file.")
        raise ValueError(
            f"{path!r} is a pipe or a device, which is read only once; expected a file: write its output "
            "to one first."
        )
    suffix = suffix_of(path)
    if suffix in _ARRAYS:
        return _ARRAYS[suffix]
    head = head_of(path, 1 << 12)
    found = next((kind for mark, kind in _HOLDS.items() if head.startswith(mark)), None)
    if found or suffix in _TABLES:
        return found or _TABLES[suffix]
    lines = [line for line in head.splitlines() if line.strip() and not line.startswith(b"#")]
    is_svmlight = lines and _SVMLIGHT_LINE.fullmatch(lines[0])
    return "svmlight" if is_svmlight or suffix in _SVMLIGHT else "text"


def suffix_of(path):
    """The suffix in lower case, without that of a compression."""
    stem, suffix = os.path.splitext(os.fspath(path).lower())
    return os.path.splitext(stem)[1] if suffix in (".gz", ".bz2", ".xz", ".zip", ".zst") else suffix


def head_of(path, size=HEAD):
    """The first bytes of the decompressed contents of a file."""
    try:
        with open_unpacked(path) as file:
            return file.read(size)
    except (EOFError, zipfile.BadZipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(f"{path!r} is damaged: {error}.") from error


# -- text ----------------------------------------------------------------------------------------------------


def layout_of(path, separator=None, header=True, encoding="utf-8"):
    """Detect the format of the lines of a text table.

    The separator, if not given, is the one that cuts the first lines into most fields, equally many in each.
    A table without a header has the numbers of its columns as names.

    Raises
    ------
    ValueError
        The file is empty, or in the format ARFF or JSON.
    """
    head = head_of(path)
    decode = codecs.getincrementaldecoder("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    text = decode().decode(head)
    if _ARFF.match(text):
        raise ValueError(
            f"{path!r} is an ARFF file; expected a table. The lines after its line @data are a table without "
            "a header; the lines with @attribute name its columns."
        )
    if _JSON.match(text):
        raise ValueError(
            f"{path!r} holds JSON; expected a table as text, Parquet or Feather. pandas.read_json(PATH, "
            "lines=True).to_parquet(NEW) converts a file with one object per line."
        )
    if separator is None:
        separator = "\t" if suffix_of(path) == ".tsv" else _sniffed(text)
    rows = _rows(text, separator)
    if not rows or not any(rows[0]):
        raise ValueError(f"{path!r} is empty; expected a header and rows.")
    names = [name.strip() or f"unnamed {i}" for i, name in enumerate(rows[0])]
    if not header:
        names = [str(i) for i in range(len(names))]
    whole = [cell.strip() for row in rows[1:] for cell in row]
    comma = separator == ";" and any(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in whole)
    comma = comma and not any(re.fullmatch(r"[-+]?\d+\.\d+", cell) for cell in whole)
    return Layout(separator, names, rows[0], "," if comma else ".", '"' in text)


def some_of(names, most=20, width=40):
    """Names of columns for a message, shortened, since a first line that is no header may have any text."""
    some = [name if len(name) <= width else f"{name[:width]}..." for name in map(str, names[:most])]
    return ", ".join(some) + (f" and {len(names) - most} more" if len(names) > most else "")


def _rows(text, separator, most=20):
    """The first rows of a text, without the last one, which may be incomplete, unless it is the only one."""
    rows = []
    with contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) > most:
                break
    return rows[:-1] if len(rows) > 2 else rows


def _sniffed(text):
    best, most = ",", (False, 1)
    for separator in _SEPARATORS:
        counts = [len(row) for row in _rows(text, separator)]
        score = (len(set(counts)) == 1, min(counts, default=1))
        if score[1] > 1 and score > most:
            best, most = separator, score
    return best


@contextlib.contextmanager
def text_of(path, encoding="utf-8"):
    """A context for reading a text file, in which errors name the file and the line that is not text."""
    start = head_of(path, 1 << 16)
    plain = encoding.lower() in ("utf-8", "utf8")
    wide = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"}
    wide |= {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}  # UTF-32's begins like it
    for mark, name in wide.items():
        if plain and start.startswith(mark):
            raise ValueError(
                f"{path!r} is text in {name}; expected UTF-8: iconv -f {name} -t UTF-8 OLD > NEW converts "
                f"it, and --encoding {name} reads it."
            )
    if plain and b"\0" in start:
        refuse_no_text(path)
    try:
        yield
    except Unfit:
        raise  # it is text
    except (ValueError, TypeError) as error:
        if plain:
            refuse_no_text(path)
        if isinstance(error, TypeError) or path in str(error):
            raise
        raise ValueError(f"{path!r}: {error}") from error


def refuse_no_text(path):
    """Raise ValueError for the first line that is not UTF-8; called only after something went wrong."""
    with open_unpacked(path) as file:
        for number, line in enumerate(io.BufferedReader(file) if not hasattr(file, "peek") else file, 1):
            if b"\0" in line:
                raise ValueError(
                    f"{path!r} has a NUL byte in line {number}, as damaged files and text in UTF-16 have; "
                    "expected text in UTF-8."
                )
            try:
                line.decode()
            except UnicodeDecodeError as fault:
                raise ValueError(
                    f"{path!r} has the byte 0x{line[fault.start]:02x} in line {number}, which is no UTF-8. "
                    "If it is text in Latin-1, iconv -f LATIN1 -t UTF-8 OLD > NEW converts it, and "
                    "--encoding LATIN1 reads it."
                ) from None


def give_back():
    """Return memory that Arrow keeps of released batches to the system."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
