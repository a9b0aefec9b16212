"""The memory for reading: a few buffers, and the memory that the allocator keeps."""

import contextlib
import ctypes
import queue

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


def trim():
    """Return free memory from the allocator to the system, since memory limits would count it as used."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
