"""The first read of a source: decoded, checked, cut into blocks, and kept in a cache where there is one."""

import contextlib
import os
import shutil
import tempfile

import numpy as np

from ..data import packed as p
from ..data.labels import factors_of
from ..data.learning import LabelBook, Totals
from . import cache
from .store import Store
from .streamed import Streamed


@contextlib.contextmanager
def opened(source, class_weight=None):
    """A context with the blocks of a source, found in its cache or decoded; a Streamed.

    Raises
    ------
    ValueError, TypeError, OSError
        As `Source.pieces`; or the cache cannot be written.
    """
    found = None if source.cache is None else cache.found(source)
    streamed = found or _decoded(source)
    try:
        yield streamed._replace(factors=_factors(streamed, class_weight))
    finally:
        streamed.store.close()


def _factors(streamed, class_weight):
    rows, sums, *_ = streamed.totals
    if class_weight is not None:
        factors = factors_of(class_weight, streamed.classes, sums)
    else:
        factors = None
    weights = sums if factors is None else sums * factors
    absent = streamed.classes[weights == 0].tolist()
    if absent:
        raise ValueError(
            f"`y` has classes without a sample of positive weight: {absent}. Check the weights, or leave "
            "their rows out."
        )
    return factors


# -- the first read ------------------------------------------------------------------------------------------


def _decoded(source):
    stamp = None if source.cache is None else source.fingerprint()
    folder = None if stamp is None else cache.folder_of(source.cache, stamp)
    with contextlib.ExitStack() as undo:
        if folder is None:
            place = source.cache or tempfile.gettempdir()
            if source.cache is not None:
                os.makedirs(place, exist_ok=True)
            working, file = None, _anonymous(place)
        else:
            working, file = cache.new_folder(source.cache)
            undo.callback(shutil.rmtree, working, ignore_errors=True)
        source.learn()
        book, totals, store, names = LabelBook(source.classes), Totals(), None, None
        undo.callback(lambda: store.close() if store else os.close(file))
        cutter = None
        for piece in source.pieces():
            if store is None:
                kind = _kind(piece.chunk)
                store, names = Store(kind, working, file), piece.chunk.names
                store.allowance = int(cache.RESIDENT * source.memory)
                cutter = _Cutter(store)
            X, s = piece.chunk.X, _weights(piece)
            codes = book.codes_of(np.asarray(piece.chunk.y), piece)
            totals.add(codes, s)
            cutter.add(piece.part, X, codes, s)
            if source.progress is not None:
                source.progress(piece)
        cutter.flush()
        store.n_features = cutter.width
        classes, places = book.classes()
        streamed = Streamed(store, names, classes, places, totals.of_classes(places), source.memory)
        if folder is not None:
            if source.fingerprint() != stamp:
                raise ValueError("the files of the source have changed while they were read. Fit again.")
            cache.publish(streamed, working, folder, stamp, source.learned())
        undo.pop_all()
    return streamed


def _kind(chunk):
    dtype = np.dtype(chunk.X.dtype).newbyteorder("=")
    return p.Kind(dtype, hasattr(chunk.X, "tocsr"), chunk.weight is not None)


def _weights(piece):
    s = piece.chunk.weight
    if s is None:
        return None
    try:
        s = np.asarray(s).astype(np.float64)
        bad = ~np.isfinite(s) | (s < 0)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{piece.where!r}: weights must be real numbers ({error}).") from error
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{piece.where!r} has the weight {s[row]} in row {piece.start + row}; expected finite ones of "
            "at least 0."
        )
    return s


class _Cutter:
    """Cuts the rows of each part into blocks, by the size of a row alone: never by the memory."""

    def __init__(self, store):
        self.store, self.part, self.parts, self.filled, self.width = store, None, [], 0, 0

    def add(self, part, X, codes, s):
        if part != self.part:
            self.flush()
            self.part = part
        self.width = max(self.width, X.shape[1])
        start = 0
        while start < X.shape[0]:
            stop = start + self._fits(X, start)
            rows = slice(start, stop)
            if stop > start:
                self.parts.append((X[rows], codes[rows], None if s is None else s[rows]))
                self.filled += self._size(X, start, stop)
            if stop < X.shape[0] or self.filled >= self._full(X):
                self.flush()
            start = stop

    def _full(self, X):
        return p.BLOCK if self.store.kind.sparse else p.rows_of_block(self.store.kind, X.shape[1])

    def _size(self, X, start, stop):
        """Rows of a dense block, bytes of a sparse one."""
        if not self.store.kind.sparse:
            return stop - start
        ends = p.ends_of(X)
        return int(ends[stop] - ends[start])

    def _fits(self, X, start):
        """How many rows from `start` on fit into the block; at least one into an empty block."""
        room = self._full(X) - self.filled
        if not self.store.kind.sparse:
            return min(room, X.shape[0] - start)
        ends = p.ends_of(X)
        count = int(np.searchsorted(ends, ends[start] + room, side="right")) - 1 - start
        return min(max(count, 0 if self.parts else 1), X.shape[0] - start)

    def flush(self):
        if self.parts:
            width = self.width if self.store.kind.sparse else self.parts[0][0].shape[1]
            self.store.add(*p.packed(self.store.kind, width, self.parts))
        self.parts, self.filled = [], 0


def _anonymous(folder):
    """A file without a name, which is gone whatever ends the process."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())
