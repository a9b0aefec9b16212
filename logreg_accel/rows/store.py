"""Blocks of rows on local disk, some of them kept in memory too: written once, read again and again.

Reader threads fill a few buffers ahead of who computes, by `preadv`: a file that is cut short under a memory
map would end the process. Every byte that is used is checked against a checksum.
"""

import collections
import contextlib
import errno
import os
import queue
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from ..data import packed as p
from .checked import Damaged, checksums_for, read_pieces, write

_THREADS = 2
_AHEAD = 2  # blocks that are read before they are wanted
INDEX = "index.npz"


class Store:
    """Blocks in a file, in a fixed order.

    Parameters
    ----------
    kind : packed.Kind
    folder : str or None
        What is told of damage; None for a temporary file.
    file : int
        Of the blocks that are not in memory alone.

    Attributes
    ----------
    n_features : int
        Set once all blocks are there.
    parts : list of int
        The part of the source that each block is from.
    layouts : list of (rows, entries)
    sizes : list of int
        Bytes.
    offsets : list of int
        In the file; -1 for a block that is in memory alone.
    sums : list of ndarray
        Checksums.
    resident : dict
        Buffers of blocks that are kept.
    bytes_read : int
        From the file, so far.
    """

    on_device, stored = False, None

    def __init__(self, kind, folder, file):
        self.kind, self.folder, self.file = kind, folder, file
        self.dtype = kind.dtype
        self.n_features, self.parts, self.layouts = 0, [], []
        self.sizes, self.offsets, self.sums = [], [], []
        self.resident, self.allowance, self.bytes_read = {}, 0, 0
        self._pool, self._buffers = ThreadPoolExecutor(_THREADS, "logreg_accel-read"), queue.SimpleQueue()
        for _ in range(_AHEAD + 1):
            self._buffers.put(None)
        self._lock = threading.Lock()

    @property
    def shape(self):
        return sum(rows for rows, _ in self.layouts), self.n_features

    @property
    def nbytes(self):
        """Bytes that one read of all rows moves."""
        return sum(self.sizes)

    @property
    def work(self):
        """See `Matrix.work`."""
        return self.nbytes * (4 if self.kind.sparse else 1)

    def add(self, part, buffer, rows, entries):
        """Append a block: to memory while there is room, and to the file where it has to be found again."""
        i, size = len(self.sizes), len(buffer)
        self.parts.append(part)
        self.layouts.append((rows, entries))
        self.sizes.append(size)
        self.sums.append(checksums_for(self.nbytes)(buffer))
        if self._has_room(size):
            self.resident[i] = buffer
            if self.folder is None:
                self.offsets.append(-1)
                return
        end = os.lseek(self.file, 0, os.SEEK_END)
        self.offsets.append(end)
        try:
            write(self.file, buffer)
        except OSError as error:
            where = self.folder or "the temporary folder, which TMPDIR names,"
            raise OSError(
                error.errno,
                f"cannot write the cache of blocks to {where} ({error.strerror}) after {end / 1e9:.3g} GB; "
                "`cache` names a folder on a disk with more room",
            ) from error

    def allow(self, room):
        """Keep blocks of so many bytes in all, if that is more than was allowed before."""
        held = sum(map(len, self.resident.values()))
        self.allowance = max(self.allowance, room - held)

    def _has_room(self, size):
        """Whether a block of that size may be kept, which then is counted."""
        with self._lock:
            fits = size <= self.allowance
            self.allowance -= size * fits
        return fits

    def close(self):
        """Give back the file, the threads and the memory."""
        self._pool.shutdown()
        if self.file is not None:
            os.close(self.file)
        self.file, self.resident, self._buffers = None, {}, None

    # -- reading ---------------------------------------------------------------------------------------------

    def blocks(self, numbers=None):
        """Every block in order, or some: its Matrix, codes and weights, valid until the next one is taken."""
        numbers = range(len(self.sizes)) if numbers is None else numbers
        size = max((size for i, size in enumerate(self.sizes) if i not in self.resident), default=0)

        def fetch(i):
            whole = [(0, self.sizes[i])]
            if i not in self.resident and self._has_room(self.sizes[i]):
                kept = p.buffer_of(self.sizes[i])
                self._read(i, kept, whole)
                self.resident[i] = kept
                return None
            buffer = self._buffers.get()
            try:
                buffer = _large_enough(buffer, size)
                self._read(i, buffer, whole)
            except BaseException:
                self._buffers.put(buffer)
                raise
            return buffer

        with contextlib.closing(self._ahead(numbers, fetch, self._buffers.put)) as ahead:
            for i, buffer in ahead:
                try:
                    yield self._views(i, self.resident[i] if buffer is None else buffer[: self.sizes[i]])
                finally:
                    if buffer is not None:
                        self._buffers.put(buffer)

    def beside(self, numbers=None):
        """Codes and weights of every block in order, or of some, without X."""
        numbers = range(len(self.sizes)) if numbers is None else numbers

        def fetch(i):
            size = p.front(self.kind, self.layouts[i][0])
            buffer = p.buffer_of(-(-size // p.PIECE) * p.PIECE)[: self.sizes[i]]
            self._read(i, buffer, [(0, size)])
            return buffer[:size]

        with contextlib.closing(self._ahead(numbers, fetch)) as ahead:
            for i, buffer in ahead:
                yield p.beside(self.kind, self.layouts[i][0], self.resident[i] if buffer is None else buffer)

    def some(self, rows):
        """A Matrix of some rows, ascending, their codes, and their weights or None."""
        starts = np.cumsum([0, *(count for count, _ in self.layouts)])
        cuts = np.searchsorted(rows, starts)
        jobs = [
            (i, rows[cuts[i] : cuts[i + 1]] - starts[i])
            for i in range(len(self.sizes))
            if cuts[i] < cuts[i + 1]
        ]

        size = max((self.sizes[i] for i, _ in jobs if i not in self.resident), default=0)

        def fetch(i):
            buffer = _large_enough(self._buffers.get(), size)
            try:
                return gathered(i, of_block[i], buffer)
            finally:
                self._buffers.put(buffer)

        def gathered(i, mine, buffer):
            wanted = [(0, p.front(self.kind, self.layouts[i][0]))]
            layout = (self.kind, self.n_features, self.layouts[i], mine)
            if self.kind.sparse:
                wanted += [tuple(place) for place in p.ranges_of(*layout)]
                self._read(i, buffer, wanted)
                wanted = []
            self._read(i, buffer, [*wanted, *map(tuple, p.ranges_of(*layout, buffer))])
            return self._taken(i, buffer, mine)

        of_block = dict(jobs)
        parts = [
            self._taken(i, self.resident[i], of_block[i]) if taken is None else taken
            for i, taken in self._ahead(of_block, fetch)
        ]
        X, y, s = zip(*parts, strict=True)
        return p.stacked(X), np.concatenate(y), np.concatenate(s) if self.kind.weighted else None

    def bytes_of(self, rows):
        """Bytes that `some` reads, about."""
        width = self.nbytes / max(self.shape[0], 1)
        if width >= p.PIECE:
            return len(rows) * width
        pieces = np.unique((np.asarray(rows) * width).astype(np.int64) // p.PIECE)
        return int(np.diff(p.runs(pieces)).sum()) * p.PIECE if len(pieces) else 0

    def _taken(self, i, buffer, rows):
        X, y, s = self._views(i, buffer)
        return X.take(rows), y[rows], s if s is None else s[rows]

    def _views(self, i, buffer):
        rows, entries = self.layouts[i]
        X = p.unpacked(self.kind, self.n_features, rows, entries, buffer)
        return X, *p.beside(self.kind, rows, buffer)

    def _ahead(self, numbers, fetch, give_back=None):
        """(i, what fetch(i) gives) in order, made some blocks ahead on the reader threads; None for those
        kept.
        """
        waiting, numbers = collections.deque(), iter(numbers)
        try:
            while True:
                for i in numbers:
                    waiting.append((i, None if i in self.resident else self._pool.submit(fetch, i)))
                    if len(waiting) > _AHEAD:
                        break
                if not waiting:
                    return
                i, future = waiting.popleft()
                yield i, None if future is None else future.result()
        finally:
            left = [future for _, future in waiting if future is not None and not future.cancel()]
            wait(left)
            for future in left:
                unused = None if future.exception() is not None else future.result()
                if give_back is not None and unused is not None:
                    give_back(unused)

    def _read(self, i, buffer, ranges):
        """Fill the pieces of a block that some ranges of bytes lie in, and check them."""
        buffer, wanted = buffer[: self.sizes[i]], np.zeros(-(-self.sizes[i] // p.PIECE), dtype=bool)
        for first, stop in ranges:
            if stop > first:
                wanted[first // p.PIECE : -(-stop // p.PIECE)] = True
        known = self.offsets[i], np.flatnonzero(wanted), self.sums[i]
        try:
            got = read_pieces(self.file, buffer, *known, checksums_for(self.nbytes))
        except Damaged as damage:
            raise self._damage(i, damage.args[0]) from None
        with self._lock:
            self.bytes_read += got

    def _damage(self, i, what):
        if self.folder is None:
            return Damaged(
                errno.EIO, f"block {i} of the temporary cache is damaged: {what}. Is the disk all right?"
            )
        forget(self.folder)
        return Damaged(
            errno.EIO,
            f"block {i} of the cache in {self.folder!r} is damaged: {what}. The next fit makes it anew.",
        )


def _large_enough(buffer, size):
    return p.buffer_of(size) if buffer is None or len(buffer) < size else buffer


def forget(folder):
    """Leave a cache to be made anew."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(folder, INDEX))
