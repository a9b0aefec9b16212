"""The memory for reading: a few buffers, and the memory that the allocator keeps."""

import contextlib
import ctypes
import queue

from ..data.packed import buffer_of


class Buffers:
    """So many buffers that are filled again and again; who takes one when all are taken waits for it."""

    def __init__(self, count):
        self._free = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    @property
    def free(self):
        """How many are not taken."""
        return self._free.qsize()

    def take(self, size):
        """A buffer of at least so many bytes."""
        buffer = self._free.get()
        if buffer is not None and len(buffer) >= size:
            return buffer
        try:
            return buffer_of(size)
        except MemoryError:
            self._free.put(None)
            raise

    def back(self, buffer):
        """Take back what `take` gave; None is nothing to take back."""
        if buffer is not None:
            self._free.put(buffer)

    def let_go(self):
        """Free the memory of those that are not taken."""
        count = 0
        with contextlib.suppress(queue.Empty):
            while True:
                self._free.get_nowait()
                count += 1
        for _ in range(count):
            self._free.put(None)


def trim():
    """Return to the system what the allocator keeps of memory that is free: a budget counts it as taken."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
