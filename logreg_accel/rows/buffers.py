"""The memory for reading: a few buffers, and the memory that the allocator keeps."""

import contextlib
import ctypes
import os
import queue
import threading

from ..data.packed import buffer_of


class Buffers:
    """A fixed number of buffers for repeated use; `take` waits if all are in use."""

    def __init__(self, count):
        self._free = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    @property
    def free(self):
        """The number of free buffers."""
        return self._free.qsize()

    def take(self, size):
        """A buffer of at least this many bytes."""
        buffer = self._free.get()
        if buffer is not None and len(buffer) >= size:
            return buffer
        try:
            return buffer_of(size)
        except MemoryError:
            self._free.put(None)
            raise

    def back(self, buffer):
        """Return a buffer from `take`; None is ignored."""
        if buffer is not None:
            self._free.put(buffer)

    def let_go(self):
        """Free the memory of the buffers that are not in use."""
        count = 0
        with contextlib.suppress(queue.Empty):
            while True:
                self._free.get_nowait()
                count += 1
        for _ in range(count):
            self._free.put(None)


class _Sparing:
    """A context in which the C library's allocator gives large arrays back to the system when they are freed.

    After the first of them it would otherwise take arrays of up to 32 MB from heaps, of which each thread has
    one, and keep the free memory at the end of each heap, where `trim` does not reach it. Large arrays are
    few while rows are read block by block, so that new pages for them cost little. Afterwards the thresholds
    are those that the allocator itself arrives at in a process with large arrays.
    """

    _thresholds = {-3: (1 << 22, 1 << 25), -1: (1 << 23, 1 << 26)}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

    def __init__(self):
        self.lock, self.count = threading.Lock(), 0

    def __enter__(self):
        with self.lock:
            self.count += 1
            self._set(0)

    def __exit__(self, *_):
        with self.lock:
            self.count -= 1
            if not self.count:
                self._set(1)

    def _set(self, which):
        library = ctypes.CDLL(None)
        users = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
        if hasattr(library, "gnu_get_libc_version") and not users:
            for option, values in self._thresholds.items():
                library.mallopt(option, values[which])


sparing = _Sparing()


def trim():
    """Return free memory from the allocator to the system, since memory limits would count it as used."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
