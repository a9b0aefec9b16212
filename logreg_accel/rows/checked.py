"""Files whose bytes are all checked when they are read back."""

import contextlib
import os

import numpy as np

from ..backends import NUMBA_FROM_BYTES, unusable
from ..data import packed as p

INDEX = "index.npz"

_PIECES = 256  # pieces that are read before they are checked, few enough to be in the CPU's cache then


class Damaged(OSError):
    """The file does not have the contents that were written."""


def _compiled(nbytes):
    """Whether this many bytes are enough for compiled loops."""
    return nbytes >= NUMBA_FROM_BYTES and not unusable("numba")


def checksums_for(nbytes):
    """The function that computes checksums: compiled loops if this many bytes are read, else
    `packed.checksums`.

    Checksums by NumPy take nearly as long as a read from the system's page cache.
    """
    if not _compiled(nbytes):
        return p.checksums
    from ..backends.numba import kernels

    def checksums(buffer, pieces=None):
        if pieces is None:
            pieces = np.arange(-(-len(buffer) // p.PIECE))
        return kernels.checksums(buffer.view(p.WORD), p.FACTORS, pieces)

    return checksums


def write(file, buffer):
    """Append to a file."""
    rest = memoryview(buffer)
    while len(rest):
        rest = rest[os.write(file, rest) :]


def read_at(file, buffer, offset):
    """Fill a buffer from a position in a file, and return the number of bytes read."""
    got = 0
    while got < len(buffer):
        count = os.preadv(file, [memoryview(buffer)[got:]], offset + got)
        if count == 0:
            break
        got += count
    return got


def read_whole(file, buffer, offset, sums, nbytes):
    """Fill a buffer from a file, of which `nbytes` are read in all; errors are those of `read_pieces`."""
    if _compiled(nbytes):
        from ..backends.numba import kernels

        if kernels.read_checked(file, offset, buffer.view(p.WORD), p.FACTORS, sums):
            return len(buffer)
    # Also after a failed compiled read, to find out what is wrong.
    return read_pieces(file, buffer, offset, np.arange(len(sums)), sums, checksums_for(nbytes))


def read_pieces(file, buffer, offset, wanted, sums, checksums):
    """Fill some pieces of a buffer from a file, and return the number of bytes read.

    Parameters
    ----------
    file : int
    buffer : ndarray of uint8
    offset : int
        Of the first piece in the file.
    wanted : ndarray of int
        Pieces, ascending.
    sums : ndarray of uint64
        The expected checksums of all pieces.
    checksums : function (buffer, pieces) -> ndarray of uint64

    Raises
    ------
    Damaged
        Its only argument says what is wrong.
    """
    done = 0
    for first in range(0, len(wanted), _PIECES):
        pieces = wanted[first : first + _PIECES]
        for begin, end in p.runs(pieces).tolist():
            part = buffer[begin * p.PIECE : end * p.PIECE]
            count = read_at(file, part, offset + begin * p.PIECE)
            if count < len(part):
                raise Damaged(f"it ends {len(part) - count} bytes too early")
            done += count
        if (checksums(buffer, pieces) != sums[pieces]).any():
            raise Damaged("its checksum does not match")
    return done


def forget(folder):
    """Mark a cache as damaged, so that it is made again."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(folder, INDEX))
