"""Plans and buffers of passes over a matrix, reused at every evaluation.

The time of an evaluation over few rows is the time of its calls. So everything that does not change is
prepared once: the kernels, their launches, the addresses of their arguments. An evaluation then fills a
buffer of page-locked memory, and takes one copy to the device, two launches, one copy back and one wait.

A CUDA graph would turn the first four into one call. But its addresses are fixed, whereas the margins that a
solver keeps are at another address each time; it cannot be recorded on the default stream; and it would save
little.
"""

import contextlib
import threading
import types

import cupy
import cupyx
import numpy as np

_MOST_PLANS = 16
"""The largest number of plans that are kept: batches of different sizes have plans of their own."""
_ALIGNMENT = 16


class Workspace:
    """Plans of the passes over one matrix and its views, freed with the last of them.

    A caller holds `lock` from using a plan until its stream has finished, on any thread and stream.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self._plans = {}
        self._scratch = None

    def plan(self, key, make):
        """The plan of a key, made by `make` when it is first requested; None if there is none."""
        if key not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            made = make()
            self._plans[key] = made
        return self._plans[key]

    def scratch(self, nbytes):
        """Device memory for intermediate numbers, shared by all plans, which run one at a time."""
        if self._scratch is None or self._scratch.size < nbytes:
            self._plans.clear()  # they have views of the smaller buffer
            self._scratch = None
            self._scratch = cupy.empty(nbytes, dtype=np.uint8)
        return self._scratch


class Exchange:
    """Arrays in page-locked memory, `here`, and copies on the device, `there`; all are copied in one call.

    Parameters
    ----------
    **arrays : (size, dtype) of each, by name
    """

    def __init__(self, **arrays):
        places, nbytes = {}, 0
        for name, (size, dtype) in arrays.items():
            places[name] = slice(nbytes, nbytes + size * np.dtype(dtype).itemsize), dtype
            nbytes += -(-size * np.dtype(dtype).itemsize // _ALIGNMENT) * _ALIGNMENT
        self._here, self._there = cupyx.empty_pinned(nbytes, np.uint8), cupy.empty(nbytes, np.uint8)
        self._here[...] = 0
        self._copy = self._here.ctypes.data, self._there.data.ptr, nbytes
        self.here, self.there = (
            types.SimpleNamespace(
                **{name: whole[bytes_].view(dtype) for name, (bytes_, dtype) in places.items()}
            )
            for whole in (self._here, self._there)
        )

    def clear(self):
        """Start filling the arrays on the device with zeros."""
        self._there.data.memset_async(0, self._there.nbytes)

    def send(self, stream):
        """Start copying `here` to the device."""
        here, there, nbytes = self._copy
        kind = cupy.cuda.runtime.memcpyHostToDevice
        cupy.cuda.runtime.memcpyAsync(there, here, nbytes, kind, stream.ptr)

    def fetch(self, stream):
        """Start copying `there` to the host; it is complete when the stream has finished."""
        here, there, nbytes = self._copy
        kind = cupy.cuda.runtime.memcpyDeviceToHost
        cupy.cuda.runtime.memcpyAsync(here, there, nbytes, kind, stream.ptr)


@contextlib.contextmanager
def waited_for():
    """A context with the current stream, which has finished at its end, even after an interruption.

    Otherwise buffers could be reused while copies are in progress.
    """
    stream = cupy.cuda.get_current_stream()
    try:
        yield stream
    finally:
        stream.synchronize()
