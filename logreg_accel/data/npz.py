"""Shards in .npz files, which are read in ranges of rows, whether they are compressed or not."""

import contextlib
import itertools
import math
import zipfile

import numpy as np

from .chunks import CHUNK, of_arrays
from .files import find_column

_SPARSE = {"data", "indices", "indptr", "shape"}
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_AT_ONCE = 1 << 18  # bytes, of which the archive makes copies
_OF_A_ROW = 16  # bytes that a sparse row takes beside its entries


def chunks_of_npz(path, wanted):
    """Yield the Chunks of `X`, or of the arrays that scipy.sparse.save_npz writes, with labels and weights.

    The labels are `y` unless `target` names another vector.

    Raises
    ------
    ValueError
        The file is damaged, or has no X, vectors of other lengths than X, Python objects, or a sparse matrix
        that is not in compressed rows.
    """
    if wanted.features or wanted.drop:
        raise ValueError(f"{path!r} is an .npz file, whose columns have no names to select or to drop.")
    with contextlib.ExitStack() as stack:
        with _readable(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = _names(archive)
            X = _Sparse(archive) if names >= _SPARSE else _Dense(archive) if "X" in names else None
            y, s = (_Array(archive, name).all() if name in names else None for name in _beside(wanted))
        if X is None or len(X.shape) != 2:
            listed = ", ".join(sorted(names)) or "nothing"
            raise ValueError(
                f"{path!r} has neither a two-dimensional `X` nor a sparse matrix; it has {listed}."
            )
        for name in (wanted.target, wanted.weight):
            find_column(name, sorted(names), path)
        for name, vector in zip(_beside(wanted), (y, s), strict=True):
            if vector is not None and vector.shape[:1] != X.shape[:1]:
                raise ValueError(
                    f"{path!r} has {X.shape[0]} rows of X and a `{name}` of shape {vector.shape}; "
                    "expected one for each row."
                )
        for start, stop in itertools.pairwise(X.bounds()):
            with _readable(path):
                rows = X.next(start, stop)
            yield of_arrays(rows, *(None if v is None else v[start:stop] for v in (y, s)), where=path)


def held_of_npz(path, wanted):
    """The bytes that `chunks_of_npz` holds for all rows."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = _names(archive)
        held = names & {"indptr", *_beside(wanted)}
        if not names >= _SPARSE and "X" in names and _Array(archive, "X").by_columns:
            held |= {"X"}
        return sum(archive.getinfo(f"{name}.npy").file_size for name in held)


@contextlib.contextmanager
def _readable(path):
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged zip file may raise anything
        raise ValueError(f"{path!r} is not a readable .npz file ({error}).") from error


def _names(archive):
    return {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}


def _beside(wanted):
    """The names of labels and weights; None for no weights."""
    return wanted.target or "y", wanted.weight


class _Array:
    """An array in an archive, which checks its checksum when the last byte is read."""

    def __init__(self, archive, name):
        self.file = archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(self.file)
        self.shape, by_columns, self.dtype = _HEADERS[version](self.file)
        self.by_columns = by_columns and len(self.shape) > 1
        there = archive.getinfo(f"{name}.npy").file_size - self.file.tell()
        if self.dtype.hasobject:
            raise ValueError(f"`{name}` has Python objects; expected numbers or texts")
        if math.prod(self.shape) * self.dtype.itemsize != there:
            raise ValueError(f"`{name}` has not as many values as its header says")

    def next(self, rows):
        """The next rows."""
        return self._filled(np.empty((rows, *self.shape[1:]), self.dtype))

    def all(self):
        """The whole array, of which nothing has been read."""
        return self._filled(np.empty(self.shape, self.dtype, order="F" if self.by_columns else "C"))

    def _filled(self, values):
        view, filled = memoryview(values.reshape(-1, order="A").view(np.uint8)), 0
        while filled < values.nbytes:
            read = self.file.readinto(view[filled : filled + _AT_ONCE])
            if not read:
                raise ValueError(f"{self.file.name!r} ends early")
            filled += read
        return values


class _Dense:
    """The rows of `X`; if they are stored by columns, it is held whole."""

    def __init__(self, archive):
        self.array = _Array(archive, "X")
        self.shape = self.array.shape
        self.whole = self.array.all() if self.array.by_columns else None

    def bounds(self):
        m, n = self.shape
        step = max(CHUNK // max(self.array.dtype.itemsize * n, 1), 1)
        return [*range(0, m, step), m] if m else [0, 0]

    def next(self, start, stop):
        return self.array.next(stop - start) if self.whole is None else self.whole[start:stop]


class _Sparse:
    """Compressed rows, of which `indptr` is held whole."""

    def __init__(self, archive):
        self.shape = tuple(_Array(archive, "shape").all().tolist())
        self.indptr = _Array(archive, "indptr").all()
        self.data, self.indices = _Array(archive, "data"), _Array(archive, "indices")
        kind = _Array(archive, "format").file.read().decode() if "format" in _names(archive) else "csr"
        if kind != "csr":
            raise ValueError(f"its sparse matrix is in {kind} format; expected that of X.tocsr()")
        ends = self.indptr
        sound = ends.shape == (self.shape[0] + 1,) and ends[0] == 0 and not (ends[1:] < ends[:-1]).any()
        if not sound or not ends[-1] <= self.data.shape[0] == self.indices.shape[0]:
            raise ValueError("`indptr` does not fit `data`, `indices` and `shape`")

    def bounds(self):
        entry = self.data.dtype.itemsize + self.indices.dtype.itemsize
        m, bounds = self.shape[0], [0]
        while bounds[-1] < m or len(bounds) == 1:
            most = int(self.indptr[bounds[-1]]) + CHUNK // entry
            stop = int(np.searchsorted(self.indptr, most, side="right")) - 1
            bounds.append(min(max(stop, bounds[-1] + 1), bounds[-1] + CHUNK // _OF_A_ROW, m))
        return bounds

    def next(self, start, stop):
        from scipy.sparse import csr_array

        ends = self.indptr[start : stop + 1] - self.indptr[start]
        entries = int(ends[-1])
        parts = self.data.next(entries), self.indices.next(entries), ends
        return csr_array(parts, shape=(stop - start, self.shape[1]))
