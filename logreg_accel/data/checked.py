"""Checks of the chunks of a source: whether they are like the first ones, and whether their rows can be
used."""

import os
from typing import NamedTuple

from .agreeing import check_rows, check_shapes, like_first, matrix_of
from .chunks import Chunk, Missing

_VANISHED = "the file has vanished since `scan`"


class Piece(NamedTuple):
    """A checked Chunk, and where it comes from: the number of its part, its name, and the first row there."""

    part: int
    where: str
    start: int
    chunk: Chunk


def stamp(path):
    """Facts about a file that change when it changes."""
    return last_change(path)[:2]


def last_change(path):
    """As `stamp`, and when the file's metadata last changed, which no program can set back."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def stamps_of(part):
    """The stamps of the files of a part. Raises FileNotFoundError if one has vanished."""
    try:
        return [stamp(path) for path in part.paths]
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, _VANISHED, part.name) from error


def check_unchanged(part, stamps):
    """Raise ValueError if the files of a part have changed since their stamps were taken."""
    if stamps_of(part) != stamps:
        raise ValueError(f"{part.name!r} has changed while it was read. Fit again when it is complete.")


class Pattern:
    """The first rows with known types, which all other rows have to match.

    Attributes
    ----------
    first : (str, Chunk) or None
        Their place, and at most one row of them.
    """

    def __init__(self, first=None):
        self.first = first

    def fitted(self, chunk, where):
        """Return the chunk with its columns in the order of the first one's; raise ValueError for others."""
        chunk = chunk if self.first is None else like_first(chunk, where, self.first)
        if self.first is None or not self.first[1].types:  # without rows, types are unknown
            y, s = (None if v is None else v[:1] for v in (chunk.y, chunk.weight))
            self.first = where, chunk._replace(X=chunk.X[:1], y=y, weight=s)
        return chunk


def pieces_of(number, part, pattern, labelled=True, stamps=None):
    """Yield the pieces of one part, except those without rows. Errors are those of `Source.pieces`.

    `stamps` are those of its files when the first part was opened; None takes them now.
    """
    stamps, start = stamps_of(part) if stamps is None else stamps, 0
    check_unchanged(part, stamps)  # first, or else the change would be reported as an error in the rows
    for chunk in _read(part):
        if not labelled:
            chunk = chunk._replace(y=None, weight=None)
        check_shapes(chunk, part.name, start)
        if chunk.X.shape[0]:
            chunk = chunk._replace(X=matrix_of(chunk.X).stored)
        chunk = pattern.fitted(chunk, f"{part.name}, from row {start} on" if start else part.name)
        check_rows(chunk, part.name, start, labelled)
        if chunk.X.shape[0]:
            yield Piece(number, part.name, start, chunk)
        start += chunk.X.shape[0]
    check_unchanged(part, stamps)


def _read(part):
    """The chunks of a part; errors about a null name its row in the part."""
    start = 0
    try:
        for chunk in part.read():
            yield chunk
            start += chunk.X.shape[0]
    except Missing as missing:
        (column, *others), row = missing.args
        also = f"; nearby, so have columns {', '.join(map(repr, others[:20]))}" if others else ""
        raise ValueError(
            f"{part.name!r} has a missing value in column {column!r}, row {start + row}{also}. Drop those "
            "rows or fill them in, or give an `encoder`."
        ) from None
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, _VANISHED, part.name) from error
