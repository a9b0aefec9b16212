"""The first read of a source: its rows are decoded, checked and cut into blocks, which a cache keeps if there
is one."""

import contextlib
import os
import shutil
import tempfile
from collections import Counter

import numpy as np

from ..data import packed as p
from ..data.learning import LabelBook, Totals
from ..data.opening import give_back
from ..data.scan import SoFar, nothing
from ..data.weights import factors_of
from . import cache
from .buffers import sparing, trim
from .store import Store
from .streamed import Streamed


@contextlib.contextmanager
def opened(source, class_weight=None, check=nothing):
    """A context with the blocks of a source, found in its cache or decoded: a Streamed.

    Parameters
    ----------
    source : Source
    class_weight : dict, "balanced" or None
    check : function (SoFar)
        Called a few times while rows are read. Whatever it raises ends the read.

    Raises
    ------
    ValueError, TypeError, OSError
        As in `Source.pieces`; also if the cache cannot be written.
    """
    with sparing:
        found = None if source.cache is None else cache.found(source)
        streamed = found or _decoded(source, check)
        try:
            yield factored(streamed, class_weight)
        finally:
            streamed.store.close()


def factored(streamed, class_weight):
    """The same rows with class weights applied. Raises ValueError for a class without weight."""
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
    return streamed._replace(factors=factors)


# -- the first read ------------------------------------------------------------------------------------------


def _decoded(source, check):
    stamp = None if source.cache is None else source.fingerprint()
    folder = None if stamp is None else cache.folder_of(source.cache, stamp)
    with _without_new_folder(source.cache), contextlib.ExitStack() as undo:
        if folder is None:
            working, file = None, anonymous(source.cache)
        else:
            working, file = cache.new_folder(source.cache)
            undo.callback(shutil.rmtree, working, ignore_errors=True)
        source.learn(check)
        decoder = Decoder(LabelBook(source.classes), Totals())
        undo.callback(lambda: decoder.store.close() if decoder.store else os.close(file))
        due = 1
        for piece in source.pieces():
            if decoder.store is None:
                decoder.store = Store(kind_of(piece.chunk), working, file)
                decoder.store.allow(cache.room_at_first(source.memory))
            decoder.add(piece)
            if source.progress is not None:
                source.progress(piece)
            if len(decoder.store.sizes) >= due:
                check(decoder.so_far())
                due = 2 * len(decoder.store.sizes)  # counting the rows of all blocks after each would add up
        decoder.finish()
        store, book = decoder.store, decoder.book
        store.n_features = decoder.width
        classes, places = book.classes()
        totals = decoder.totals.of_classes(places)
        known = store, decoder.names, classes, places, totals, source.memory
        streamed = Streamed(*known, rounded=dict(decoder.rounded))
        if folder is not None:
            pairs = zip(stamp["files"], source.fingerprint()["files"], strict=True)
            if changed := [known[0] for known, now in pairs if known[:-1] != now[:-1]]:
                raise ValueError(f"{changed[0]!r} has changed while the source was read. Fit again.")
            cache.publish(streamed, working, folder, stamp, source.learned())
        undo.pop_all()
    give_back()  # the memory that Arrow has kept since the first read would stay allocated during the fit
    trim()
    return streamed


class Decoder:
    """Makes blocks of pieces, and learns labels and weights in passing.

    Attributes
    ----------
    store : Store or None
        The destination of the blocks; to be set before the first piece.
    rounded : Counter
        For each column, how many integers float64 cannot represent.
    """

    def __init__(self, book, totals, store=None):
        self.book, self.totals, self.store = book, totals, store
        self.names, self.cutter, self.rounded = None, None, Counter()

    @property
    def width(self):
        """Columns of the widest piece."""
        return 0 if self.cutter is None else self.cutter.width

    def so_far(self):
        """What the blocks so far show."""
        return SoFar(self.store.shape[0], self.width, self.store.nbytes, self.book.expected())

    def add(self, piece):
        """Decode a piece. Raises ValueError for labels (`LabelBook.codes_of`) or weights it cannot use."""
        if self.cutter is None:
            self.cutter, self.names = _Cutter(self.store), piece.chunk.names
        X, s = piece.chunk.X, _weights(piece)
        codes = self.book.codes_of(np.asarray(piece.chunk.y), piece)
        self.totals.add(codes, s)
        self.rounded.update(piece.chunk.rounded or {})
        self.cutter.add(piece.part, X, codes, s)

    def finish(self):
        """Write the last block, which is not full."""
        if self.cutter is not None:
            self.cutter.flush()


def kind_of(chunk):
    """The Kind of the blocks of chunks like this one."""
    dtype = np.dtype(chunk.X.dtype).newbyteorder("=")
    return p.Kind(dtype, hasattr(chunk.X, "tocsr"), chunk.weight is not None)


def _weights(piece):
    s = piece.chunk.weight
    if s is None:
        return None
    try:
        if np.iscomplexobj(s):
            raise TypeError("they are complex")
        s = np.asarray(s).astype(np.float64)
        bad = ~np.isfinite(s) | (s < 0)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{piece.where!r}: weights must be real numbers ({error}).") from error
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{piece.where!r} has the weight {s[row]} in row {piece.start + row}; expected finite weights of "
            "at least 0."
        )
    return s


class _Cutter:
    """Cuts the rows of each part into blocks, which depend on the size of a row but not on the memory."""

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
        if self.parts:  # what waits for more rows: a callable may write its next chunk over this one
            X, codes, s = self.parts[-1]
            self.parts[-1] = X.copy(), codes, s

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
            self.store.add(self.part, *p.packed(self.store.kind, width, self.parts))
        self.parts, self.filled = [], 0


@contextlib.contextmanager
def _without_new_folder(cache):
    """A context that leaves no folder of the user where there was none if the memory is refused in it."""
    new = cache is not None and not os.path.exists(cache)
    try:
        yield
    except MemoryError:
        if new:
            with contextlib.suppress(OSError):
                os.rmdir(cache)
        raise


def anonymous(folder):
    """A file without a name, which disappears however the process ends."""
    if folder is not None:
        cache.make(folder)
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())
