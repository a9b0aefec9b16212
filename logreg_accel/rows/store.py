"""Blocks of rows on local disk, some of them also in memory: written once, read many times.

Reader threads fill a few buffers ahead of the computation, by `preadv`: with a memory map, a file that is
truncated during a fit would crash the process. Every byte that is used is checked against a checksum.
"""

import collections
import contextlib
import contextvars
import errno
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from ..data import packed as p
from .buffers import Buffers
from .checked import Damaged, checksums_for, forget, read_pieces, read_whole, write

AT_ONCE = 3
"""Number of blocks that are read or processed at a time; each has a buffer."""


class Store:
    """Blocks in a file, in a fixed order.

    Parameters
    ----------
    kind : packed.Kind
    folder : str or None
        The folder to name in errors about damage; None for a temporary file.
    file : int
        The file of the blocks, except those that are only in memory.

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
        From the file.
    """

    on_device, stored = False, None

    def __init__(self, kind, folder, file):
        self.kind, self.folder, self.file = kind, folder, file
        self.dtype = kind.dtype
        self.n_features, self.parts, self.layouts = 0, [], []
        self.sizes, self.offsets, self.sums = [], [], []
        self.resident, self.allowance, self.bytes_read = {}, 0, 0
        self._pool, self._buffers = ThreadPoolExecutor(AT_ONCE, "logreg_accel-read"), Buffers(AT_ONCE)
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
        """Append a block: to memory while there is room; to the file if it does not fit, or for a cache."""
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
        self.offsets.append(self._written(buffer))

    def _written(self, buffer):
        """Write a block to the end of the file, and return its offset there."""
        end = os.lseek(self.file, 0, os.SEEK_END)
        try:
            write(self.file, buffer)
        except OSError as error:
            where = self.folder or "the temporary folder, which TMPDIR names,"
            raise OSError(
                error.errno,
                f"cannot write the cache of blocks to {where} ({error.strerror}) after {end / 1e9:.3g} GB; "
                "set `cache` to a folder on a disk with more room",
            ) from error
        return end

    def allow(self, room):
        """Raise the limit of bytes of blocks in memory to this, if it is higher."""
        held = sum(map(len, self.resident.values()))
        self.allowance = max(self.allowance, room - held)

    def limit(self, room):
        """Keep at most `room` bytes of blocks in memory, and write those that have to leave to the file."""
        self.allowance = room
        for i in sorted(self.resident):
            if not self._has_room(self.sizes[i]):
                buffer = self.resident.pop(i)
                if self.offsets[i] < 0:
                    self.offsets[i] = self._written(buffer)

    def _has_room(self, size):
        """Whether a block of that size may stay in memory; if so, it is counted."""
        with self._lock:
            fits = size <= self.allowance
            self.allowance -= size * fits
        return fits

    def close(self):
        """Release the file, the threads and the memory."""
        self._pool.shutdown()
        if self.file is not None:
            os.close(self.file)
        self.file, self.resident, self._buffers = None, {}, None

    # -- reading ---------------------------------------------------------------------------------------------

    def blocks(self, numbers=None):
        """Every block in order, or some: its Matrix, codes and weights, valid until the next one is taken."""
        numbers, size = self._wanted(numbers)
        with contextlib.closing(
            self._ahead(numbers, lambda i: self._filled(i, size), self._buffers.back)
        ) as ahead:
            for i, buffer in zip(numbers, ahead, strict=True):
                try:
                    yield self._views(i, self.resident.get(i, buffer))
                finally:
                    self._buffers.back(buffer)

    def each(self, work, numbers=None):
        """The results of work(place, Matrix, codes, weights) for every block in order, or for some.

        The thread that reads a block also works on it, while it is still in a cache, and no thread waits for
        another.
        """
        numbers, size = self._wanted(numbers)

        def made(place):
            i = numbers[place]
            buffer = self._filled(i, size)
            try:
                return work(place, *self._views(i, self.resident.get(i, buffer)))
            finally:
                self._buffers.back(buffer)

        return self._ahead(range(len(numbers)), made)

    def beside(self, numbers=None):
        """Codes and weights of every block in order, or of some, without X."""
        numbers, _ = self._wanted(numbers)

        def fetch(i):
            rows = self.layouts[i][0]
            if i in self.resident:
                return p.beside(self.kind, rows, self.resident[i])
            size = p.front(self.kind, rows)
            buffer = p.buffer_of(-(-size // p.PIECE) * p.PIECE)[: self.sizes[i]]
            self._read(i, buffer, np.array([(0, size)]))
            return p.beside(self.kind, rows, buffer[:size])

        return self._ahead(numbers, fetch)

    def some(self, rows):
        """A Matrix of some rows, ascending, their codes, and their weights or None."""
        starts = np.cumsum([0, *(count for count, _ in self.layouts)])
        cuts = np.searchsorted(rows, starts)
        some = np.flatnonzero(np.diff(cuts)).tolist()
        of_block = {i: rows[cuts[i] : cuts[i + 1]] - starts[i] for i in some}
        _, size = self._wanted(of_block)

        def fetch(i):
            if i in self.resident:
                return self._taken(i, self.resident[i], of_block[i])
            buffer = self._buffers.take(size)
            try:
                self._read_rows(i, buffer, of_block[i])
                return self._taken(i, buffer, of_block[i])
            finally:
                self._buffers.back(buffer)

        with contextlib.closing(self._ahead(of_block, fetch)) as parts:
            found = p.collected(parts, len(rows))
        self.let_go()  # callers need memory to work on the rows
        return found

    def let_go(self):
        """Free the memory of buffers that are not in use."""
        self._buffers.let_go()

    def bytes_of(self, rows):
        """The approximate number of bytes that `some` reads."""
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

    def _wanted(self, numbers):
        """The numbers of blocks, by default of all, and the size of the largest that has to be read."""
        numbers = range(len(self.sizes)) if numbers is None else list(numbers)
        return numbers, max((self.sizes[i] for i in numbers if i not in self.resident), default=0)

    def _filled(self, i, size):
        """Read a block into a buffer of at least that size; None if the block is, or now stays, in memory."""
        if i in self.resident:
            return None
        if self._has_room(self.sizes[i]):
            kept = p.buffer_of(self.sizes[i])
            self._read(i, kept)
            self.resident[i] = kept
            return None
        buffer = self._buffers.take(size)
        try:
            self._read(i, buffer)
        except BaseException:
            self._buffers.back(buffer)
            raise
        return buffer

    def _ahead(self, jobs, made, give_back=lambda unused: None):
        """The results of made(job) for each job in order, computed some jobs ahead on threads."""
        waiting, jobs = collections.deque(), iter(jobs)
        try:
            while True:
                for job in itertools.islice(jobs, AT_ONCE - len(waiting)):
                    # A copy of the context has the deadline and NumPy's settings for overflows.
                    waiting.append(self._pool.submit(contextvars.copy_context().run, made, job))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            left = [future for future in waiting if not future.cancel()]
            wait(left)
            for future in left:
                if future.exception() is None:
                    give_back(future.result())

    def _read(self, i, buffer, ranges=None):
        """Fill a block, or those of its pieces that contain some ranges of bytes, and check them."""
        buffer = buffer[: self.sizes[i]]
        place = self.file, buffer, self.offsets[i]
        try:
            if ranges is None:
                got = read_whole(*place, self.sums[i], self.nbytes)
            else:
                pieces = p.pieces_of(ranges, len(self.sums[i]))
                got = read_pieces(*place, pieces, self.sums[i], checksums_for(self.nbytes))
        except Damaged as damage:
            raise self._damage(i, damage.args[0]) from None
        with self._lock:
            self.bytes_read += got

    def _read_rows(self, i, buffer, rows):
        """Fill the parts of a block that some ascending rows need."""
        wanted = np.array([(0, p.front(self.kind, self.layouts[i][0]))])
        layout = (self.kind, self.n_features, self.layouts[i], rows)
        if self.kind.sparse:
            self._read(i, buffer, np.concatenate([wanted, p.ranges_of(*layout)]))
            wanted = wanted[:0]
        self._read(i, buffer, np.concatenate([wanted, p.ranges_of(*layout, buffer)]))

    def _damage(self, i, what):
        where, hint = "the temporary cache", "Is the disk all right?"
        if self.folder is not None:
            forget(self.folder)
            where, hint = f"the cache in {self.folder!r}", "The next fit makes it again."
        return Damaged(errno.EIO, f"block {i} of {where} is damaged: {what}. {hint}")
