"""CuPy on CUDA: the generic bodies on the device, and one custom kernel for the pointwise line between the products."""

import functools

import cupy
import numpy as np

from ..data import Block
from ..kernels import cuda
from .base import Backend

_THREADS = 256  # kThreads in pointwise.cu
_MAX_BLOCKS = 1024


class CupyBackend(Backend):
    """Runs on the current CUDA device; the solver's vectors stay on the host."""

    name = "cupy"
    xp = cupy
    tile_bytes = 1 << 30  # bounds temporaries; a launch costs more than a cache-sized tile takes

    def upload(self, block):
        return Block(*(None if array is None else to_device(array) for array in block))

    def to_host(self, array):
        return cupy.asnumpy(array)

    def _value_residual(self, loss, Z, y, s):
        if loss.name != "logistic" or Z.shape[1] != 1 or Z.dtype.name not in ("float32", "float64"):
            return super()._value_residual(loss, Z, y, s)
        Z = cupy.ascontiguousarray(Z)  # a RawKernel ignores strides
        s = np.intp(0) if s is None else cupy.ascontiguousarray(s)
        blocks = max(1, min(_MAX_BLOCKS, -(-Z.size // _THREADS)))
        residual, losses = cupy.empty_like(Z), cupy.empty(blocks, dtype=np.float64)
        kernel = _kernel("float" if Z.dtype == np.float32 else "double")
        kernel((blocks,), (_THREADS,), (Z, cupy.ascontiguousarray(y), s, np.int64(Z.size), residual, losses))
        return losses.sum(keepdims=True), residual


def probe():
    """Compile, launch and check the kernel on three margins; raises what goes wrong."""
    Z = cupy.asarray([[-1.0], [0.0], [2.0]], dtype=np.float32)
    y = cupy.asarray([1, 0, 1], dtype=np.uint8)
    from ..losses import Logistic

    value, residual = CupyBackend()._value_residual(Logistic(), Z, y, None)
    expected_value, expected = Logistic().value_residual(cupy.asnumpy(Z), cupy.asnumpy(y))
    if not (np.allclose(cupy.asnumpy(residual), expected) and np.allclose(cupy.asnumpy(value), expected_value.sum())):
        raise RuntimeError("the first kernel gave a wrong result")


@functools.cache
def _kernel(type_name):
    name = f"logistic_residual<{type_name}>"
    module = cupy.RawModule(code=cuda.source("pointwise.cu"), name_expressions=(name,))
    return module.get_function(name)


def to_device(array):
    """On the device without a copy where it is there already (CuPy, PyTorch, JAX)."""
    if isinstance(array, cupy.ndarray):
        return array
    if not isinstance(array, np.ndarray):
        return cupy.from_dlpack(array) if hasattr(array, "__dlpack__") else cupy.asarray(array)
    return cupy.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))  # CUDA has one byte order


def free_bytes():
    """Free memory of the current device."""
    return cupy.cuda.runtime.memGetInfo()[0]


def synchronize():
    """Wait for what was launched."""
    cupy.cuda.get_current_stream().synchronize()
