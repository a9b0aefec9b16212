"""CuPy on CUDA: our kernels read each row of X once; what they do not cover, the generic bodies do with cuBLAS.

The solver's vectors stay on the host. An evaluation sends the weights down, launches two kernels and brings one packed
buffer back: one transfer, one synchronisation. How a pass maps to threads is `kernels/cuda/shapes.py`'s affair.
"""

from typing import Any, NamedTuple

import cupy
import cupyx
import cupyx.scipy.linalg
import numpy as np

from ..data import Block, compute_dtype
from ..data.convert import is_on_device
from ..data.sparse import is_sparse, stored_bytes
from ..kernels.cuda import shapes
from .base import Backend, LossGradient
from .cupy_kernels import REAL, kernel
from .cupy_sparse import DeviceCSR, sparse_pass
from .threads import run_lanes, usable_threads

_MAX_BLOCKS = 1024
_STAGE_BYTES = 32 << 20  # of each of two pinned buffers: filled by the processor while the other one travels
_LEAST_TILE_BYTES = 1 << 20
_SPARE_BYTES = 64 << 20  # for libraries and what else a pass allocates
_SMALLER = {8: "float32", 4: "float16"}


class DeviceBlock(NamedTuple):
    """A Block on the device. `columns` may be read of every row of X: all n, and the zeros that pad a row; no weight
    of a sparse X is above `heaviest`."""

    X: Any
    y: Any
    sample_weight: Any
    columns: int
    heaviest: float


class CupyBackend(Backend):
    """Runs on the current CUDA device.

    Attributes
    ----------
    notes : list of str
        What an upload had to do that a user may want to know: copies, transfers.
    """

    name = "cupy"
    xp = cupy
    reads_for_diagonal = 1  # no kernel adds up both: a pass of its own
    tile_bytes = 1 << 30  # bounds the generic bodies' temporaries; a launch costs more than a cache-sized tile takes

    def __init__(self, n_threads=None):
        super().__init__(n_threads)
        self.notes = []

    # -- where arrays live ------------------------------------------------------------------------------------------

    def upload(self, block):
        """X by rows, padded with zeros to 16 bytes a row where it has to be copied anyway.

        Raises
        ------
        MemoryError
            X does not fit the device's free memory; says what would.
        ValueError
            X lies on another device than the current one.
        """
        highest = 0 if block.y is None or not len(block.y) else int(block.y.max())
        n_outputs = highest + 1 if highest > 1 else 1
        X, columns = (self._to_device_csr if is_sparse(block.X) else self._to_rows)(block.X, n_outputs)
        y, s = (None if array is None else cupy.ascontiguousarray(to_device(array)) for array in (block.y, block.sample_weight))
        return DeviceBlock(X, y, s, columns, float(s.max()) if is_sparse(X) and s is not None else 1.0)

    def to_host(self, array):
        return cupy.asnumpy(array)

    def take(self, block, rows, weights):
        rows, n = cupy.asarray(rows), block.X.shape[1]
        heaviest = float(weights.max(initial=0))
        weights = cupy.asarray(weights, dtype=compute_dtype(block.X.dtype))
        if is_sparse(block.X):
            return DeviceBlock(block.X[rows], block.y[rows], weights, n, heaviest)
        columns = _padded(block.X.dtype, n)
        stored = cupy.zeros((len(rows), columns), dtype=block.X.dtype)
        stored[:, :n] = block.X[rows]
        return DeviceBlock(stored[:, :n], block.y[rows], weights, columns, heaviest)

    def rows(self, block, rows):
        """Labels and weights of every k-th row are gathered: kernels take their strides for 1."""
        part = super().rows(block, rows)
        y, s = (None if array is None else cupy.ascontiguousarray(array) for array in (part.y, part.sample_weight))
        return part._replace(y=y, sample_weight=s)

    def _to_rows(self, X, n_outputs):
        """X on the device by rows, and how many columns of a row may be read."""
        m, n = X.shape
        if not is_on_device(X):
            dtype = X.dtype.newbyteorder("=") if X.itemsize <= 8 else np.dtype(np.float64)  # as CUDA knows them
            columns = _padded(dtype, n)
            self._check_room(X, m, columns, dtype.itemsize, n_outputs)
            stored = self._send(X, columns, dtype)
            return stored[:, :n], columns
        X = to_device(X)
        if X.device != cupy.cuda.Device():
            raise ValueError(f"`X` lies on {X.device} and the current device is {cupy.cuda.Device()}. "
                             f"Fit inside `with cupy.cuda.Device({X.device.id}):`.")
        by_rows = (n == 1 or X.strides[1] == X.itemsize) and X.strides[0] % X.itemsize == 0
        if by_rows and X.strides[0] >= n * X.itemsize:
            return X, n
        columns = _padded(X.dtype, n)
        self._check_room(X, m, columns, X.itemsize, n_outputs)
        self.notes.append(f"X was copied on the GPU ({m * columns * X.itemsize / 1e6:.3g} MB): it is not stored by rows")
        stored = cupy.zeros((m, columns), dtype=X.dtype)
        stored[:, :n] = X
        return stored[:, :n], columns

    def _to_device_csr(self, X, n_outputs):
        if not is_on_device(X):
            need = bytes_needed(stored_bytes(X, X.dtype), X.shape[0], 0, n_outputs) + 8 * shapes.MOST_OUTPUTS * X.shape[1]
            free = free_bytes()
            if need > free:
                raise MemoryError(f"`X` needs {need / 1e9:.3g} GB of GPU memory and {free / 1e9:.3g} GB are free. "
                                  "backend='numba' reads host memory.")
        return DeviceCSR.of(X, lambda part, dtype: self._send(part[:, None], 1, dtype)[:, 0]), X.shape[1]

    def _check_room(self, X, m, columns, itemsize, n_outputs):
        """Before the first byte is sent."""
        need, free = bytes_needed(m * columns * itemsize, m, columns, n_outputs), free_bytes()
        if need <= free:
            return
        ways = []
        if X.dtype.kind == "f" and itemsize in _SMALLER:
            less = need - m * columns * itemsize / 2
            ways.append(f"X.astype('{_SMALLER[itemsize]}') needs {less / 1e9:.3g} GB{'' if less <= free else ', still too much'}")
        ways.append("X by rows (C order) is used where it is" if is_on_device(X) else "backend='numba' reads host memory")
        raise MemoryError(f"`X` needs {need / 1e9:.3g} GB of GPU memory and {free / 1e9:.3g} GB are free. {'; '.join(ways)}.")

    def _send(self, X, columns, dtype):
        """Host rows to the device through two pinned buffers in turn: pageable memory would travel at a fraction of the speed.

        Filling a buffer also pads, reorders and swaps bytes; threads share it, NumPy copies without the interpreter's lock.
        """
        m, n = X.shape
        stored = cupy.empty((m, columns), dtype=dtype)
        rows = max(1, min(m, _STAGE_BYTES // (columns * dtype.itemsize)))
        stages = [cupyx.empty_pinned((rows, columns), dtype=dtype) for _ in range(1 if rows == m else 2)]
        for stage in stages:
            stage[:, n:] = 0
        travelled = [cupy.cuda.Event(disable_timing=True) for _ in stages]
        synchronize()  # the memory of `stored` may have had readers on this stream
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
            stream.synchronize()  # also when interrupted: memory that still travels must not be given to others
        return stored

    # -- passes -----------------------------------------------------------------------------------------------------

    def loss_gradient(self, block, W, loss, keep_margins=False, diagonal=False):
        sums = _fused("LossGradient", block, loss, W, keep_margins=keep_margins)
        if sums is None:
            sums = self._in_tiles(super().loss_gradient, block, W, loss, keep_margins)
        return sums._replace(diagonal=self.diagonal(block, W, loss)) if diagonal else sums

    def hessian_vector(self, block, W, V, loss, Z=None):
        sums = _fused("HessianVector", block, loss, W, V)
        return self._in_tiles(super().hessian_vector, block, W, V, loss, Z) if sums is None else sums.gradient

    def diagonal(self, block, W, loss):
        sums = _fused("Diagonal", block, loss, W)
        return self._in_tiles(super().diagonal, block, W, loss) if sums is None else sums.gradient

    def margins(self, block, W):
        sums = _fused("Margins", block, None, W, keep_margins=True)
        return self._in_tiles(super().margins, block, W) if sums is None else sums.margins

    def hessian(self, block, W, loss):
        return self._in_tiles(super().hessian, block, W, loss)

    def mean_hessian(self, block, W, loss):
        return self._in_tiles(super().mean_hessian, block, W, loss)

    def column_squares(self, block):
        return self._in_tiles(super().column_squares, block)

    def row_squares(self, block, scale):
        return self._in_tiles(super().row_squares, block, scale)

    def gram(self, X):
        """Of a sparse X some rows at a time, as dense vectors."""
        if not is_sparse(X):
            return super().gram(X)
        X, G = X.astype(np.float64), np.empty((X.shape[0], X.shape[0]))
        for start in range(0, X.shape[0], shapes.MOST_OUTPUTS):
            some = X.between(start, min(start + shapes.MOST_OUTPUTS, X.shape[0]))
            G[:, start : start + shapes.MOST_OUTPUTS] = self.to_host(X @ some.toarray().T)
        return G

    def line(self, block, Z0, Z1, t, loss):
        if loss.name != "logistic" or Z0.shape[1] != 1:
            return super().line(block, Z0, Z1, t, loss)
        blocks = _block_count(Z0.size)
        sums = cupy.empty((blocks, 2), dtype=np.float64)
        run = kernel("pointwise.cu", f"logistic_line<{REAL[Z0.dtype.name]}>")
        vectors = (cupy.ascontiguousarray(Z) for Z in (Z0, Z1))  # a RawKernel ignores strides
        run((blocks,), (shapes.THREADS,),
               (*vectors, block.y, block.sample_weight, Z0.dtype.type(t), np.int64(Z0.size), sums))
        return cupy.asnumpy(sums).sum(axis=0)

    def _value_residual(self, loss, Z, y, s):
        if loss.name != "logistic" or Z.shape[1] != 1:
            return super()._value_residual(loss, Z, y, s)
        Z = cupy.ascontiguousarray(Z)
        blocks = _block_count(Z.size)
        residual, losses = cupy.empty_like(Z), cupy.empty(blocks, dtype=np.float64)
        run = kernel("pointwise.cu", f"logistic_residual<{REAL[Z.dtype.name]}>")
        s = None if s is None else cupy.ascontiguousarray(s)
        run((blocks,), (shapes.THREADS,), (Z, cupy.ascontiguousarray(y), s, np.int64(Z.size), residual, losses))
        return losses.sum(keepdims=True), residual

    def _in_tiles(self, body, block, *arguments):
        """A generic body, with smaller tiles where its temporaries do not fit."""
        while True:
            try:
                return body(block, *arguments)
            except cupy.cuda.memory.OutOfMemoryError as error:
                if self.tile_bytes <= _LEAST_TILE_BYTES:
                    raise MemoryError(f"A pass does not fit the GPU's memory even in tiles of 1 MB: {error}. "
                                      "Free GPU memory or use backend='numba'.") from None
            cupy.get_default_memory_pool().free_all_blocks()  # out here: the exception held the temporaries
            self.tile_bytes //= 4

    # -- linear algebra ---------------------------------------------------------------------------------------------

    def _cholesky(self, A):
        with cupyx.errstate(linalg="raise"):
            L = cupy.linalg.cholesky(A)

        def solve(v):
            half = cupyx.scipy.linalg.solve_triangular(L, cupy.asarray(v), lower=True)
            return cupy.asnumpy(cupyx.scipy.linalg.solve_triangular(L, half, lower=True, trans="T"))

        return solve


def _fused(name, block, loss, W, V=None, keep_margins=False):
    return (sparse_pass if is_sparse(block.X) else _dense)(name, block, loss, W, V, keep_margins)


def _dense(name, block, loss, W, V=None, keep_margins=False):
    """A pass by kernels/cuda/dense.cu, as a LossGradient of what it sums; None where it has no kernel."""
    if len(block.X) == 0 or not (loss is None or loss.name == "logistic"):
        return None
    X, (rows, k) = block.X, W.shape
    m, n, columns = X.shape[0], rows - 1, block.columns
    real = compute_dtype(X.dtype)
    stride = X.strides[0] // X.itemsize if m > 1 else columns
    vector = shapes.widest_vector(X.itemsize, X.data.ptr, stride, columns)
    launch = shapes.dense(name, X.dtype.name, m, columns, k, vector)
    if launch is None:
        return None

    dots = [W] if V is None else [W, V]
    weights = np.zeros(k * len(dots) * (columns + 1), dtype=real)
    rows_of_weights = weights[: k * len(dots) * columns].reshape(-1, columns)
    for i, matrix in enumerate(dots):
        rows_of_weights[i * k : (i + 1) * k, :n] = matrix[:-1].T
        weights[weights.size - (len(dots) - i) * k :][:k] = matrix[-1]

    margins = cupy.empty((k, m), dtype=real) if keep_margins else None
    sums, totals = None, None
    if name != "Margins":
        sums = cupy.empty((launch.grid, k * columns), dtype=real)
        totals = cupy.empty((launch.grid, 2 * k), dtype=np.float64)
    kernel("dense.cu", launch.kernel)((launch.grid,), (launch.block,), (
        X, np.int64(stride), np.int64(m), np.int32(columns), cupy.asarray(weights), block.y,
        block.sample_weight, np.int32(launch.slice_rows), margins, sums, totals))
    if name == "Margins":
        return LossGradient(None, None, margins.T)

    packed = cupy.empty(k * columns + 2 * k, dtype=np.float64)
    summing, grid, threads = shapes.sum_slices(REAL[real.name], launch.grid, packed.size)
    kernel("dense.cu", summing)((grid,), (threads,), (
        sums, totals, np.int64(launch.grid), np.int32(k * columns), np.int32(2 * k), packed))
    packed = cupy.asnumpy(packed)
    G = np.empty((n + 1, k))
    G[:-1] = packed[: k * columns].reshape(k, columns)[:, :n].T
    G[-1] = packed[-k:]
    return LossGradient(packed[-2 * k : -k], G, None if margins is None else margins.T)


def _block_count(size):
    return max(1, min(_MAX_BLOCKS, -(-size // shapes.THREADS)))


def _padded(dtype, n):
    """Columns to store; only our kernels know what to do with padding."""
    return shapes.padded(n, dtype.itemsize) if dtype.name in shapes.STORAGE else n


def probe():
    """Compile, launch and check a kernel on three rows; raises what goes wrong."""
    from ..losses import Logistic

    X, y = np.array([[-1.0], [0.0], [2.0]], dtype=np.float32), np.array([1, 0, 1], dtype=np.uint8)
    W = np.array([[1.0], [0.5]])
    backend = CupyBackend()
    got = backend.loss_gradient(backend.upload(Block(X, y)), W, Logistic())
    expected = Backend().loss_gradient(Block(X, y), W, Logistic())
    if not (np.allclose(got.value, expected.value) and np.allclose(got.gradient, expected.gradient)):
        raise RuntimeError("the first kernel gave a wrong result")


def to_device(array):
    """On the device without a copy where it is there already (CuPy, PyTorch, JAX, cuDF)."""
    if isinstance(array, cupy.ndarray):
        return array
    if isinstance(array, np.ndarray):
        return cupy.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return cupy.from_dlpack(array) if hasattr(array, "__dlpack__") else cupy.asarray(array)


def bytes_needed(nbytes, n_rows, columns=0, n_outputs=1):
    """Of device memory, for X stored in nbytes: with labels, weights and three times the margins, and the sums of slices."""
    return nbytes + n_rows * (1 + 8 + 3 * 8 * n_outputs) + max(4096, n_rows // 1024) * columns * 8 + _SPARE_BYTES


def free_bytes():
    """Free memory of the current device, with what CuPy's pool holds unused."""
    return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()


def synchronize():
    """Wait for what was launched."""
    cupy.cuda.get_current_stream().synchronize()
