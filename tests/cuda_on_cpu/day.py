"""The stand-in for CuPy with what the GPU benchmark needs beside the backend: random numbers, timers, sparse.

`python bench/gpu --rehearse` runs on it, and so a whole day on a GPU can be rehearsed where there is none.
"""

import concurrent.futures
import contextlib
import sys
import time
import types

import numpy as np
import scipy.sparse

from . import fake_cupy
from .device_array import DeviceArray, on_device, plain


class Event:
    """An event that the host's clock times: kernels of the stand-in run when they are launched."""

    def __init__(self, block=False, disable_timing=False):
        pass

    def record(self, stream=None):
        self.at = time.perf_counter()

    def synchronize(self):
        pass


class CompressedRows:
    """As cupyx.scipy.sparse.csr_matrix, over SciPy's: products with dense arrays, rows, types."""

    __array_ufunc__ = None

    def __init__(self, parts, shape=None):
        assert all(isinstance(part, DeviceArray) for part in parts), "cuSPARSE takes arrays on the device"
        self.host = scipy.sparse.csr_matrix(tuple(map(plain, parts)), shape=shape)

    @classmethod
    def of(cls, host):
        one = cls.__new__(cls)
        one.host = host
        return one

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    T = property(lambda self: self.of(self.host.T))
    data = property(lambda self: on_device(self.host.data))
    indices = property(lambda self: on_device(self.host.indices))
    indptr = property(lambda self: on_device(self.host.indptr))

    def __matmul__(self, other):
        return on_device(self.host @ plain(other))

    def __getitem__(self, rows):
        return self.of(self.host[rows])

    def astype(self, dtype):
        return self.of(self.host.astype(dtype))


@contextlib.contextmanager
def in_place_of_cupy(kernels):
    """As fake_cupy's, for the benchmark's modules."""
    rng = np.random.default_rng(0)
    with fake_cupy.in_place_of_cupy(kernels):
        cupy, cupyx = sys.modules["cupy"], sys.modules["cupyx"]
        cupy.random = types.SimpleNamespace(
            seed=lambda seed: None,
            standard_normal=lambda size, dtype: fake_cupy.asarray(rng.standard_normal(size, dtype=dtype)),
        )
        cupy.cuda.Event = Event
        cupy.cuda.get_elapsed_time = lambda start, end: 1e3 * (end.at - start.at) + 1e-6
        cupy.cuda.runtime.getDeviceProperties = lambda device: {"multiProcessorCount": 1}
        sparse = types.ModuleType("cupyx.scipy.sparse")
        sparse.csr_matrix = CompressedRows
        cupyx.scipy = sys.modules["cupyx.scipy"] = types.ModuleType("cupyx.scipy")
        cupyx.scipy.sparse = sys.modules["cupyx.scipy.sparse"] = sparse
        try:
            yield
        finally:
            del sys.modules["cupyx.scipy.sparse"], sys.modules["cupyx.scipy"]


@contextlib.contextmanager
def for_a_section():
    """The benchmark's own compilers, which fill CuPy's cache by processes, foresee kernels here."""
    from logreg_accel.kernels import cuda

    kernels = fake_cupy.Kernels()

    @contextlib.contextmanager
    def compilers(names):
        kernels.foresee(cuda.source("dense.cu"), names)
        done = concurrent.futures.Future()
        done.set_result(None)
        yield dict.fromkeys(names, done)

    with in_place_of_cupy(kernels):
        import gpu_compilers

        gpu_compilers.compilers = compilers
        yield
