"""Row vectors that do not fit into memory: written to a temporary file, and read back block by block."""

import itertools
import os
import tempfile
import weakref

import numpy as np

from ..data.packed import buffer_of, checksums
from .checked import Damaged, read_at, write


class Spill:
    """Keeps parts of row vectors: in memory while they fit, then in a file without a name.

    Parameters
    ----------
    folder : str or None
        The folder for the file, if writable; None means the temporary folder.
    room : int
        Bytes of memory.
    """

    def __init__(self, folder, room):
        self.folder, self.room = folder, room
        self.file, self.free = None, {}

    def keep(self, part):
        """A handle on a part, for `Parts`: the array itself, or where it was written."""
        if type(part) is not np.ndarray:  # on a device
            return part
        if part.nbytes <= self.room:
            self.room -= part.nbytes
            weakref.finalize(part, self._has_room, part.nbytes)
            return part
        if self.file is None:
            with _file_in(self.folder) as file:
                self.file = os.dup(file.fileno())
                weakref.finalize(self, os.close, self.file)
        return _Written(self, part)

    def _has_room(self, size):
        self.room += size


def _file_in(folder):
    """A file without a name in a folder or, if that is not writable, in the temporary folder."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:  # a complete cache made by others may be read-only
        if folder is None:
            raise
        return tempfile.TemporaryFile()


class _Written:
    """A part in the file, whose place is free again when it is no longer referenced."""

    def __init__(self, spill, part):
        self.turned = part.ndim == 2 and not part.flags.c_contiguous
        part = np.ascontiguousarray(part.T if self.turned else part)
        self.file, self.dtype, self.shape = spill.file, part.dtype, part.shape
        self.size = -(-part.nbytes // 64) * 64
        buffer = buffer_of(self.size)
        buffer[part.nbytes :] = 0
        buffer[: part.nbytes] = part.reshape(-1).view(np.uint8)
        places = spill.free.setdefault(self.size, [])
        self.offset = places.pop() if places else os.lseek(spill.file, 0, os.SEEK_END)
        os.lseek(spill.file, self.offset, os.SEEK_SET)
        write(spill.file, buffer)
        self.sums = checksums(buffer)
        weakref.finalize(self, places.append, self.offset)

    def read(self):
        """The array, in the order in memory that it had."""
        buffer = buffer_of(self.size)
        if read_at(self.file, buffer, self.offset) < self.size or (checksums(buffer) != self.sums).any():
            raise Damaged("margins that were written to a temporary file are damaged. Is the disk all right?")
        part = buffer[: int(np.prod(self.shape)) * self.dtype.itemsize].view(self.dtype).reshape(self.shape)
        return part.T if self.turned else part


class Parts:
    """A sequence of handles that yields arrays."""

    def __init__(self, handles):
        self.handles = handles

    def __len__(self):
        return len(self.handles)

    def __getitem__(self, i):
        handle = self.handles[i]
        return handle.read() if isinstance(handle, _Written) else handle


def joined(parts, shape, room, folder):
    """Join parts that arrive one after the other into one array.

    It is in memory or, if it is larger than `room` bytes, in a file without a name, of which only the pages
    that are accessed are in memory.
    """
    first = next(parts)
    parts, size = itertools.chain([first], parts), first.dtype.itemsize * int(np.prod(shape))
    if size <= room:
        out, filled = np.empty(shape, dtype=first.dtype), 0
        for part in parts:
            out[filled : filled + len(part)] = part
            filled += len(part)
        return out
    with _file_in(folder) as file:
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
        file.flush()
        return np.memmap(file, first.dtype, "c", shape=shape)
