"""Transfer to and from the device: the layout of blocks there, whether they fit, how they travel."""

import functools
from typing import Any, NamedTuple

import cupy
import cupyx
import numpy as np

from ...data import Matrix
from ...kernels.cuda import shapes
from ..threads import run_lanes, usable_threads
from . import arrays
from .csr import DeviceCSR
from .workspace import Workspace

_STAGE_BYTES = 32 << 20  # size of each of two pinned buffers: the CPU fills one while the other is copied
_FETCHED_BYTES = 4 << 20  # the same for copies to the host, where touching new memory takes as long as a copy
_LARGE_BYTES = 32 << 20  # size from which on arrays are copied to the host in several pieces
_SPARE_BYTES = 64 << 20  # memory for libraries and the other allocations of a pass
_SMALLER = {8: "float32", 4: "float16"}


class DeviceBlock(NamedTuple):
    """A Block on the device; `heaviest` bounds the sample weights if X is sparse."""

    X: Any
    y: Any
    sample_weight: Any
    splits: Any
    offset: Any
    heaviest: float


class DeviceMatrix(Matrix):
    """A dense X on the device, row-major or column-major.

    Matrix products use `wide`, because CuPy would copy a slice of it for cuBLAS.

    Parameters
    ----------
    wide : cupy.ndarray (m, columns)
        All n columns and, in a row-major X, the zeros that pad every row.
    n : int
    workspace : Workspace or None
        Views of its rows share it.
    """

    def __init__(self, wide, n, workspace=None):
        super().__init__(wide if wide.shape[1] == n else wide[:, :n])
        self.wide, self.columns = wide, wide.shape[1]
        self.workspace = workspace or Workspace()

    @functools.cached_property
    def by_rows(self):
        """Whether X is row-major; otherwise it is column-major."""
        return self.shape[1] == 1 or self.stored.strides[1] == self.stored.itemsize

    @functools.cached_property
    def layout(self):
        """The properties on which a launch depends besides the shape.

        They are the stride of rows and the number of columns of a load; by columns their stride, and None.
        """
        itemsize = self.stored.itemsize
        if not self.by_rows:
            return self.stored.strides[1] // itemsize, None
        stride = self.stored.strides[0] // itemsize if self.shape[0] > 1 else self.columns
        return stride, shapes.widest_vector(itemsize, self.stored.data.ptr, stride, self.columns)

    def between(self, start, stop, step=1):
        return DeviceMatrix(self.wide[start:stop:step], self.shape[1], self.workspace)

    def take(self, rows):
        n = self.shape[1]
        return DeviceMatrix(arrays.by_rows(self.stored, padded(self.dtype, n), rows=rows), n)

    def _columns(self, columns):
        part = self.stored[:, columns]
        return arrays.in_type(part, np.dtype(np.float64))

    def __matmul__(self, W):
        n = self.shape[1]
        if self.columns > n:
            wide = cupy.zeros((self.columns, *W.shape[1:]), dtype=W.dtype)
            wide[:n] = W
            W = wide
        return self.wide @ W

    def transposed_product(self, R):
        return (R.T @ self.wide).T[: self.shape[1]]

    def squared(self):
        return DeviceMatrix(self.wide * self.wide, self.shape[1])

    def weighted_gram(self, c, positive):
        n = self.shape[1]
        return Matrix(self.wide).weighted_gram(c, positive)[:n, :n]

    def weighted_sum(self, c):
        return Matrix(self.wide).weighted_sum(c)[: self.shape[1]]


class Uploader:
    """Brings matrices to the current device.

    Parameters
    ----------
    n_threads : int or None
    n_outputs : function () -> int
        The number of margins of a row, which take device memory in addition to X. It is called only if X is
        not row-major on the device.
    notes : list of str
        Messages for the user are appended to it.
    """

    def __init__(self, n_threads, n_outputs, notes):
        self.n_threads, self.n_outputs, self.notes = n_threads, n_outputs, notes

    def dense(self, matrix, by_columns=False):
        """Return X on the device; in place if it is there and row-major.

        With `by_columns`, a column-major X for which there are kernels of one output is used in place, too.
        """
        m, n = matrix.shape
        X, dtype = matrix.stored, matrix.dtype
        if not matrix.on_device:
            # CUDA supports neither foreign byte orders nor long double.
            dtype = dtype.newbyteorder("=") if dtype.itemsize <= 8 else np.dtype(np.float64)
            columns = padded(dtype, n)
            self._check_room(matrix, columns, dtype.itemsize)
            return DeviceMatrix(self.send(X, columns, dtype), n)
        X = to_device(X)
        check_device(X)
        in_place = arrays.aligned(X)
        by_rows = in_place and (n == 1 or X.strides[1] == X.itemsize)
        if by_rows and X.strides[0] >= n * X.itemsize:
            return DeviceMatrix(X, n)
        by_columns &= in_place and m > 1 and X.strides[0] == X.itemsize
        by_columns = by_columns and X.strides[1] >= m * X.itemsize and self.n_outputs() == 1
        if by_columns and shapes.columns("Margins", X.dtype.name, m, n):
            return DeviceMatrix(X, n)
        columns = padded(X.dtype, n)
        self._check_room(matrix, columns, X.itemsize)
        size = m * columns * X.itemsize / 1e6
        self.notes.append(
            f"X was copied on the GPU ({size:.3g} MB): it is stored neither by rows nor by few columns"
            + ("" if in_place else ", or at addresses that are not multiples of its item size")
        )
        return DeviceMatrix(arrays.by_rows(X, columns), n)

    def compressed(self, matrix):
        """Return a sparse X on the device."""
        m, n = matrix.shape
        if not matrix.on_device:
            need = bytes_needed(matrix.nbytes, m, 0, self.n_outputs()) + 8 * shapes.MOST_OUTPUTS * n
            free = free_bytes()
            if need > free:
                raise MemoryError(
                    f"`X` needs {need / 1e9:.3g} GB of GPU memory and {free / 1e9:.3g} GB are free. "
                    "backend='numba' reads host memory."
                )
        X = DeviceCSR.from_sparse(matrix.stored, lambda part, dtype: self.send(part[:, None], 1, dtype)[:, 0])
        check_device(X.data)
        return X

    def _check_room(self, matrix, columns, itemsize):
        """Raise MemoryError before the first byte is sent if X will not fit."""
        m = matrix.shape[0]
        need, free = bytes_needed(m * columns * itemsize, m, columns, self.n_outputs()), free_bytes()
        if need <= free:
            return
        ways = []
        if matrix.dtype.kind == "f" and itemsize in _SMALLER:
            less = need - m * columns * itemsize / 2
            but = "" if less <= free else ", still too much"
            ways.append(f"X.astype('{_SMALLER[itemsize]}') needs {less / 1e9:.3g} GB{but}")
        here = (
            "X by rows (C order) is used where it is"
            if matrix.on_device
            else "backend='numba' reads host memory"
        )
        ways.append(here)
        raise MemoryError(
            f"`X` needs {need / 1e9:.3g} GB of GPU memory and {free / 1e9:.3g} GB are free. "
            f"{'; '.join(ways)}."
        )

    def send(self, X, columns, dtype):
        """Send host rows to the device through two alternating pinned buffers.

        Transfers from pageable memory would be much slower. Filling a buffer also pads rows, makes them
        contiguous and swaps bytes; threads share this work, since NumPy copies without holding the GIL.
        """
        m, n = X.shape
        stored = cupy.empty((m, columns), dtype=dtype)
        rows = max(1, min(m, _STAGE_BYTES // (columns * dtype.itemsize)))
        stages = [cupyx.empty_pinned((rows, columns), dtype=dtype) for _ in range(1 if rows == m else 2)]
        for stage in stages:
            stage[:, n:] = 0
        travelled = [cupy.cuda.Event(disable_timing=True) for _ in stages]
        # The memory of `stored` may still have readers on the current stream.
        cupy.cuda.get_current_stream().synchronize()
        stream = cupy.cuda.Stream(non_blocking=True)
        threads = self.n_threads or usable_threads()
        try:
            for i, start in enumerate(range(0, m, rows)):
                stage, done = stages[i % len(stages)], travelled[i % len(stages)]
                done.synchronize()
                part = X[start : start + rows]

                def fill(lane, part=part, stage=stage):
                    some = slice(len(part) * lane // threads, len(part) * (lane + 1) // threads)
                    stage[some, :n] = part[some]

                run_lanes(fill, threads, threads)
                stored[start : start + len(part)].set(stage[: len(part)], stream=stream)
                done.record(stream)
        finally:
            # Even after an interruption, memory must not be reused while a transfer is in flight.
            stream.synchronize()
        return stored


def fetch(array, n_threads=None):
    """Bring an array to the host; a large one through two alternating pinned buffers.

    A single call would copy through pageable memory, and one thread would touch all pages of the result.
    """
    here = array.flags.c_contiguous and array.device == cupy.cuda.Device()
    if array.nbytes < _LARGE_BYTES or not here:
        return cupy.asnumpy(array)
    host = np.empty(array.shape, dtype=array.dtype)
    whole, nbytes = host.reshape(-1).view(np.uint8), array.nbytes
    starts = range(0, nbytes, _FETCHED_BYTES)
    stages = [cupyx.empty_pinned(_FETCHED_BYTES, dtype=np.uint8) for _ in range(2)]
    travelled = [cupy.cuda.Event(disable_timing=True) for _ in stages]
    threads = n_threads or usable_threads()
    cupy.cuda.get_current_stream().synchronize()  # it may still be writing the array
    stream = cupy.cuda.Stream(non_blocking=True)

    def begin(i):
        length = min(_FETCHED_BYTES, nbytes - starts[i])
        kind, stage = cupy.cuda.runtime.memcpyDeviceToHost, stages[i % 2].ctypes.data
        cupy.cuda.runtime.memcpyAsync(stage, array.data.ptr + starts[i], length, kind, stream.ptr)
        travelled[i % 2].record(stream)

    try:
        begin(0)
        for i, start in enumerate(starts):
            if i + 1 < len(starts):
                begin(i + 1)
            travelled[i % 2].synchronize()
            part = whole[start : start + _FETCHED_BYTES]

            def empty(lane, part=part, stage=stages[i % 2]):
                some = slice(len(part) * lane // threads, len(part) * (lane + 1) // threads)
                part[some] = stage[: len(part)][some]

            run_lanes(empty, threads, threads)
    finally:
        stream.synchronize()  # also after an interruption: the buffers will be used again
    return host


def check_device(array):
    """Raise ValueError if an array lies on a device other than the current one."""
    if array.device != cupy.cuda.Device():
        raise ValueError(
            f"`X` lies on {array.device} and the current device is {cupy.cuda.Device()}. "
            f"Fit inside `with cupy.cuda.Device({array.device.id}):`."
        )


def padded(dtype, n):
    """Return how many columns to store: rows are padded for the dtypes that the kernels read."""
    return shapes.padded(n, dtype.itemsize) if dtype.name in shapes.STORAGE else n


def to_device(array):
    """Bring an array to the device; one of CuPy, PyTorch, JAX or cuDF that is already there is not copied."""
    if isinstance(array, cupy.ndarray):
        return array
    if isinstance(array, np.ndarray):
        return cupy.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return cupy.from_dlpack(array) if hasattr(array, "__dlpack__") else cupy.asarray(array)


def bytes_needed(nbytes, n_rows, columns=0, n_outputs=1):
    """Estimate the bytes of device memory that a fit needs if X is stored in nbytes.

    Besides X, there are labels, weights, three times the margins, and the sums of slices.
    """
    slices = max(4096, n_rows // 1024) * columns * 8
    return nbytes + n_rows * (1 + 8 + 3 * 8 * n_outputs) + slices + _SPARE_BYTES


def free_bytes():
    """Return the free memory of the current device, including the unused memory in CuPy's pool."""
    return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
