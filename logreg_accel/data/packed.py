"""A block of rows as bytes: the layout of its arrays in one buffer, and checksums that reveal damage."""

import hashlib
import itertools
from typing import NamedTuple

import numpy as np

from .compressed import CompressedRows
from .matrix import Matrix

PIECE = 1 << 12
"""Bytes per checksum, so that a few rows can be read and checked without the others."""

BLOCK = 1 << 23
"""Approximate size of a block in bytes; sums are added block by block, so that their bits depend on it."""

_GAP = 1  # longest gap between two runs, in pieces, over which they are read as one
_ALIGNED = 64
WORD = np.dtype("<u8")
FACTORS = np.random.PCG64(20_240_229).random_raw(PIECE // WORD.itemsize) | np.uint64(1)


class Kind(NamedTuple):
    """The common properties of all blocks of a source.

    Attributes
    ----------
    dtype : numpy.dtype
        Of X in storage.
    sparse : bool
    weighted : bool
    """

    dtype: np.dtype
    sparse: bool
    weighted: bool

    @property
    def piled(self):
        """See `Matrix.piled`."""
        return (CompressedRows if self.sparse else Matrix).piled

    def sections(self, n_features, rows, entries):
        """The places of arrays: name -> (offset, dtype, length), and the bytes of all."""
        arrays = [("y", np.dtype(np.uint16), rows)]
        if self.weighted:
            arrays.append(("s", np.dtype(np.float64), rows))
        if self.sparse:
            arrays += [("indptr", np.dtype(np.int32), rows + 1), ("indices", np.dtype(np.int32), entries)]
            arrays.append(("data", self.dtype, entries))
        else:
            arrays.append(("data", self.dtype, rows * n_features))
        places, offset = {}, 0
        for name, dtype, length in arrays:
            places[name] = (offset, dtype, length)
            offset += -(-dtype.itemsize * length // _ALIGNED) * _ALIGNED
        return places, offset


def rows_of_block(kind, n_features):
    """Rows of a dense block; they depend on the width and the dtype alone."""
    return max(BLOCK // max(kind.dtype.itemsize * n_features, 1), 1)


def ends_of(X):
    """The offset in bytes of each row of a sparse block, and of its end: (rows + 1,)."""
    return X.indptr.astype(np.int64) * (X.dtype.itemsize + 4) + 16 * np.arange(len(X.indptr))


def buffer_of(size):
    """A new aligned buffer of bytes."""
    raw = np.empty(size + _ALIGNED, dtype=np.uint8)
    start = -raw.ctypes.data % _ALIGNED
    return raw[start : start + size]


def section(buffer, place):
    """One array in a buffer."""
    offset, dtype, length = place
    return buffer[offset : offset + dtype.itemsize * length].view(dtype)


def packed(kind, n_features, parts):
    """Pack a list of (X, codes, weights) into one buffer; return it and its numbers of rows and entries."""
    rows = sum(X.shape[0] for X, _, _ in parts)
    entries = sum(X.nnz for X, _, _ in parts) if kind.sparse else 0
    places, size = kind.sections(n_features, rows, entries)
    buffer = buffer_of(size)
    _clear_gaps(buffer, places)
    filled, stored = 0, 0
    for X, y, s in parts:
        here = slice(filled, filled + X.shape[0])
        section(buffer, places["y"])[here] = y
        if kind.weighted:
            section(buffer, places["s"])[here] = s
        if kind.sparse:
            there = slice(stored, stored + X.nnz)
            section(buffer, places["indptr"])[filled : here.stop + 1] = X.indptr + stored
            section(buffer, places["indices"])[there] = X.indices
            section(buffer, places["data"])[there] = X.data
            stored = there.stop
        else:
            section(buffer, places["data"]).reshape(rows, n_features)[here] = X
        filled = here.stop
    return buffer, rows, entries


def _clear_gaps(buffer, places):
    """Fill the bytes between arrays, which checksums include, with zeros."""
    offsets = [offset for offset, *_ in places.values()][1:] + [len(buffer)]
    for (offset, dtype, length), following in zip(places.values(), offsets, strict=True):
        buffer[offset + dtype.itemsize * length : following] = 0


def unpacked(kind, n_features, rows, entries, buffer):
    """The Matrix in a buffer, as a view."""
    places, _ = kind.sections(n_features, rows, entries)
    data = section(buffer, places["data"])
    if not kind.sparse:
        return Matrix(data.reshape(rows, n_features))
    import scipy.sparse

    X = scipy.sparse.csr_array((rows, n_features), dtype=kind.dtype)
    X.data, X.indices, X.indptr = data, section(buffer, places["indices"]), section(buffer, places["indptr"])
    X.has_sorted_indices = X.has_canonical_format = True
    return CompressedRows(X)


def beside(kind, rows, buffer):
    """Return the codes, and the weights or None, that are at the front of a buffer."""
    places, _ = kind.sections(0, rows, 0)
    return section(buffer, places["y"]), section(buffer, places["s"]) if kind.weighted else None


def front(kind, rows):
    """The number of bytes at the front of a buffer, with labels and weights."""
    places, size = kind._replace(sparse=False).sections(0, rows, 0)
    return min(size, places["data"][0])


def ranges_of(kind, n_features, layout, rows, buffer=None):
    """First and last byte of some rows in their buffer: (k, 2), or several such arrays stacked.

    For sparse rows, the front and `indptr` have to be in the buffer; without it, their own range is returned.
    """
    places, _ = kind.sections(n_features, *layout)
    if not kind.sparse:
        width = kind.dtype.itemsize * n_features
        first = places["data"][0] + rows * width
        return np.stack([first, first + width], axis=1)
    if buffer is None:
        offset, dtype, length = places["indptr"]
        return np.array([[offset, offset + dtype.itemsize * length]])
    indptr, found = section(buffer, places["indptr"]).astype(np.int64), []
    for name in ("indices", "data"):
        offset, dtype, _ = places[name]
        found.append(offset + dtype.itemsize * np.stack([indptr[rows], indptr[rows + 1]], axis=1))
    return np.concatenate(found)


def pieces_of(ranges, count):
    """The ascending numbers of the pieces that contain bytes of some ranges; `ranges` as in `ranges_of`."""
    first, stop = ranges[ranges[:, 1] > ranges[:, 0]].T
    begun = np.bincount(first // PIECE, minlength=count + 1)
    ended = np.bincount(-(-stop // PIECE), minlength=count + 1)
    return np.flatnonzero(np.cumsum(begun - ended)[:count] > 0)


def runs(pieces):
    """First and end of the runs of some ascending pieces: (k, 2); joined over short gaps, since a call costs
    as much as a piece or two.
    """
    ends = np.flatnonzero(np.diff(pieces) > _GAP + 1)
    return np.stack([pieces[np.append(0, ends + 1)], pieces[np.append(ends, len(pieces) - 1)] + 1], axis=1)


def stacked(parts):
    """One Matrix of several."""
    if len(parts) == 1:
        return parts[0]
    if not hasattr(parts[0].stored, "indptr"):
        return Matrix(np.concatenate([part.stored for part in parts]))
    import scipy.sparse

    X = scipy.sparse.csr_array(scipy.sparse.vstack([part.stored for part in parts], format="csr"))
    X.has_sorted_indices = X.has_canonical_format = True
    return CompressedRows(X)


def collected(parts, count):
    """Rows that arrive in parts (Matrix, codes, weights or None), joined into one such part.

    Dense parts are copied as they arrive: keeping them until the last one would double the memory.
    """
    X, y, s = next(parts)
    if hasattr(X.stored, "indptr"):
        some, ys, weights = zip((X, y, s), *parts, strict=True)
        return stacked(some), np.concatenate(ys), None if s is None else np.concatenate(weights)
    shapes = (count, X.shape[1]), (count, *y.shape[1:]), (count,)
    out = [
        None if a is None else np.empty(shape, a.dtype) for a, shape in zip((X, y, s), shapes, strict=True)
    ]
    first = 0
    for part in itertools.chain([(X, y, s)], parts):
        stop = first + part[0].shape[0]
        for whole, some in zip(out, (part[0].stored, *part[1:]), strict=True):
            if whole is not None:
                whole[first:stop] = some
        first = stop
    return Matrix(out[0]), *out[1:]


def interleaved(parts, places):
    """One Matrix from several, each with the places of its rows."""
    if hasattr(parts[0].stored, "indptr"):
        return stacked(parts).take(np.argsort(np.concatenate(places)))
    out = np.empty((sum(map(len, places)), parts[0].shape[1]), parts[0].dtype)
    for part, rows in zip(parts, places, strict=True):
        out[rows] = part.stored
    return Matrix(out)


def fingerprint(*arrays):
    """A hash of arrays on the host: of their numbers, types and shapes, whatever their strides."""
    known = hashlib.sha256()
    for array in arrays:
        known.update(repr((array.dtype.name, array.shape)).encode())
        if array.dtype == object:
            known.update(repr(array.tolist()).encode())
            continue
        step = max(BLOCK // max(array[:1].nbytes, 1), 1)
        for start in range(0, len(array), step):
            known.update(_summary(np.ascontiguousarray(array[start : start + step])))
    return known.hexdigest()


def _summary(part):
    """Checksums of a contiguous array."""
    buffer = buffer_of(-(-part.nbytes // WORD.itemsize) * WORD.itemsize)
    buffer[part.nbytes :] = 0
    buffer[: part.nbytes] = part.reshape(-1).view(np.uint8)
    return checksums(buffer).tobytes()


# -- checksums -----------------------------------------------------------------------------------------------


def checksums(buffer, pieces=None):
    """A checksum of every piece, or of some, ascending: Σ folded words times odd factors, modulo 2^64.

    A word is folded as w ^ (w >> 31). It detects any change of a single word, and any random change with a
    probability of about 1 − 2⁻⁶⁴. The usual checksums take longer to compute than a disk takes to read.

    Without the fold, the highest bit of a word would count as 2^63 whatever its factor, so that a change of
    sign in an even number of words, such as X → −X, would be invisible. A fold by 32 bits would lay the signs
    of two float32 upon each other.
    """
    words = buffer.view(WORD)
    count = len(words) // len(FACTORS)
    rest, whole = words[count * len(FACTORS) :], words[: count * len(FACTORS)].reshape(-1, len(FACTORS))
    with_rest = len(rest) > 0
    if pieces is not None and len(pieces):
        with_rest = pieces[-1] == count
        pieces = pieces[: len(pieces) - with_rest]
        first, stop = (pieces[0], pieces[-1] + 1) if len(pieces) else (0, 0)
        whole = whole[first:stop] if stop - first == len(pieces) else whole[pieces]
    sums = np.einsum("ij,j->i", _folded(whole), FACTORS)
    return np.append(sums, (_folded(rest) * FACTORS[: len(rest)]).sum(dtype=np.uint64)) if with_rest else sums


def _folded(words):
    return words ^ (words >> np.uint64(31))
