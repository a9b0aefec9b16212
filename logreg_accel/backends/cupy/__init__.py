"""The cupy backend: CUDA kernels that read each row of X once, with cuBLAS for what they do not cover.

The solver's vectors stay on the host. An evaluation sends the weights to the device, launches two kernels,
brings one packed buffer back and waits once, all in buffers that stay with X (`workspace.py`).
`kernels/cuda/shapes.py` decides how a pass is mapped to threads.
"""

import dataclasses

import cupy
import numpy as np

from ...data import Block, Matrix, compute_dtype
from .. import drawing, linalg
from .. import passes as p
from ..base import Backend
from . import arrays, bodies, foreseen, looks, made, predictions, sweeps, systems
from .kernels import KERNELS, POINTWISE
from .upload import DeviceBlock, DeviceMatrix, Uploader, bytes_needed, fetch, free_bytes, padded, to_device

__all__ = ["CupyBackend", "bytes_needed", "free_bytes", "probe", "synchronize"]

_LEAST_TILE_BYTES = 1 << 20
_HESSIANS = (p.Hessian, p.MeanHessian, p.OwnHessians)
_FACTORED_ON_HOST = 768  # size of a matrix up to which calls and copies take longer than the arithmetic


class CupyBackend(Backend):
    """Runs on the current CUDA device.

    Attributes
    ----------
    notes : list of str
        Copies and transfers made by uploads that a user may want to know about.
    """

    name = "cupy"
    xp = cupy
    kernels = KERNELS
    pointwise_kernels = POINTWISE
    # Bounds the generic bodies' temporaries. Tiles are not cache-sized, as they are on the CPU, because a
    # launch would cost more than the work on such a tile.
    tile_bytes = 1 << 30
    on_device = True

    def __init__(self, n_threads=None):
        super().__init__(n_threads)
        self.notes = []

    # -- where arrays live -----------------------------------------------------------------------------------

    def expect(self, X, n_classes):
        """See `Backend.expect`: threads compile kernels that are not on disk yet, while X is uploaded."""
        row_entries = X.entries // max(X.shape[0], 1) if X.compressed else None
        foreseen.compile_for(X.dtype, X.shape, n_classes if n_classes > 2 else 1, row_entries)

    def upload(self, block):
        """Bring a block to the device, with X where it lies or else in row-major order.

        If X has to be copied anyway, its rows are padded with zeros to a multiple of 16 bytes.

        Raises
        ------
        MemoryError
            X does not fit into the free memory of the device; the message suggests what would fit.
        ValueError
            X lies on a device other than the current one.
        """
        uploader = Uploader(self.n_threads, lambda: _outputs(block.y), self.notes)
        X = block.X
        X = uploader.compressed(X) if X.compressed else uploader.dense(X, by_columns=block.splits is None)
        block = block._replace(sample_weight=self.in_arithmetic(block.sample_weight, block.X))
        rest = (None if array is None else arrays.contiguous(to_device(array)) for array in block[1:])
        y, s, splits, offset = rest
        heaviest = float(arrays.column_reach(s[:, None])[0]) if X.compressed and s is not None else 1.0
        return DeviceBlock(X, y, s, splits, offset, heaviest)

    def in_arithmetic(self, weights, X):
        if isinstance(weights, cupy.ndarray):
            return arrays.in_type(weights, compute_dtype(X.dtype))
        return super().in_arithmetic(weights, X)

    def written_out(self, X):
        if X.centre is None or X.compressed or not X.base.by_rows:
            return super().written_out(X)
        return DeviceMatrix(made.rows_anew(X, padded(X.dtype, X.shape[1])), X.shape[1])

    def of_model(self, block, model):
        told = looks.of_model(block, model, compute_dtype(block.X.dtype))
        if told is None:
            return super().of_model(block, model)
        heaviest = block.heaviest * max(model.class_weight or (1,))
        return block._replace(y=told[0], sample_weight=told[1], splits=None, heaviest=heaviest)

    def free_bytes(self, X):
        return free_bytes() - (0 if X is None or X.on_device else X.nbytes)

    def to_host(self, array):
        return fetch(array, self.n_threads) if isinstance(array, cupy.ndarray) else cupy.asnumpy(array)

    def take(self, block, rows, weights):
        rows = cupy.asarray(rows, dtype=np.int64)
        heaviest = float(weights.max(initial=0))
        weights = cupy.asarray(weights, dtype=compute_dtype(block.X.dtype))
        rest = (None if array is None else arrays.taken(array, rows) for array in (block.y, *block[3:5]))
        y, splits, offset = rest
        return DeviceBlock(block.X.take(rows), y, weights, splits, offset, heaviest)

    def rows(self, block, rows):
        """Select rows; labels and weights are made contiguous, because kernels assume a stride of 1."""
        part = super().rows(block, rows)
        y, s = (None if array is None else arrays.contiguous(array) for array in (part.y, part.sample_weight))
        return part._replace(y=y, sample_weight=s)

    # -- passes ----------------------------------------------------------------------------------------------

    def layout(self, X):
        if X.compressed:
            return "sparse", None
        by_rows = getattr(X, "by_rows", True)  # a matrix that is not uploaded yet has no such attribute
        return ("dense" if by_rows else "columns"), None

    def reads(self, kind, loss=None, diagonal=False):
        """No kernel computes the gradient and the diagonal together: the diagonal is a separate pass."""
        return kind.reads + bool(diagonal and (kind, type(loss), "dense") in self.kernels)

    def generic(self, pass_, block):
        """Run a body of made.py or bodies.py or, if they have none, the generic one.

        If the temporaries do not fit into memory, tiles are made smaller. Small Hessians are copied to the
        host at once, so that all further work with them takes a single wait.
        """
        models = getattr(pass_, "models", None)
        if models is not None and len(models) == 1 and hasattr(pass_, "loss"):
            return self.run(dataclasses.replace(pass_, models=None), self.of_model(block, models[0]))
        while True:
            try:
                result = made.run(self, pass_, block)
                result = bodies.run(self, pass_, block) if result is None else result
                result = super().generic(pass_, block) if result is None else result
                small = type(pass_) in _HESSIANS and result.shape[-1] <= _FACTORED_ON_HOST
                return cupy.asnumpy(result) if small else result
            except cupy.cuda.memory.OutOfMemoryError as error:
                if self.tile_bytes <= _LEAST_TILE_BYTES:
                    raise MemoryError(
                        f"A pass does not fit the GPU's memory even in tiles of 1 MB: {error}. "
                        "Free GPU memory or use backend='numba'."
                    ) from None
            # Not inside `except`, where the exception keeps the temporaries alive.
            cupy.get_default_memory_pool().free_all_blocks()
            self.tile_bytes //= 4

    # -- predictions -----------------------------------------------------------------------------------------

    def all_finite(self, Z):
        return (predictions if predictions.takes(Z) else super()).all_finite(Z)

    def likeliest(self, Z, n_classes):
        return (predictions if predictions.takes(Z) else super()).likeliest(Z, n_classes)

    def probabilities(self, what, loss, Z):
        told = predictions.probabilities(what, loss, Z) if predictions.takes(Z) else None
        return super().probabilities(what, loss, Z) if told is None else told

    # -- drawing rows ----------------------------------------------------------------------------------------

    def picked(self, vector, rows):
        return arrays.taken(vector, rows)

    def of_classes(self, each, y, s):
        one_target = y.dtype == np.uint8 and y.ndim == 1
        return arrays.of_classes(each, y, s) if one_target else super().of_classes(each, y, s)

    def class_totals(self, y, s, n_classes):
        return looks.class_totals(y, s, n_classes) or super().class_totals(y, s, n_classes)

    def product(self, weights, mass, norms):
        return arrays.product(cupy.asarray(weights, dtype=np.float64), cupy.asarray(mass), norms)

    def total_mass(self, mass):
        return sweeps.total_mass(mass) or super().total_mass(mass)

    def positive_rows(self, mass):
        """They pass a bar of 0."""
        return self.rows_above(mass, 1.0, 0.0, 0.0, (0,))[0]

    def rows_above(self, mass, scale, even, bar, seed, numbers=None):
        numbers = drawing.numbered(np, numbers) if isinstance(numbers, range) else numbers
        asked = mass, scale, even, bar, seed, numbers
        return sweeps.rows_above(*asked) or super().rows_above(*asked)

    def rows_of_share(self, mass, uniform, share, seed, numbers=None, codes=None):
        return sweeps.rows_of_share(mass, uniform, share, seed, numbers, codes)

    # -- linear algebra --------------------------------------------------------------------------------------

    def factor(self, H, rounding):
        """See `linalg.factor`; small matrices are copied to the host, where a solve takes fewer calls."""
        if len(H) <= _FACTORED_ON_HOST:
            return linalg.factor(cupy.asnumpy(H), rounding)
        return systems.factor(H, rounding)

    def cholesky(self, A, overwrite=False):
        few = len(A) <= _FACTORED_ON_HOST
        return super().cholesky(A, overwrite) if few else systems.cholesky(cupy.asarray(A))

    def diagonals(self, matrices):
        """The diagonals, on the host, of matrices (..., p, p) on the device."""
        return systems.diagonals(matrices)

    def mean_matrix(self, sums, size, weight, ridge):
        """Compute the matrix of `metric.hessian` from sums on the device."""
        return systems.mean_matrix(sums, size, weight, ridge)

    def against_shifts(self, H, k, features):
        """As `metric.against_shifts`, of a matrix on the device."""
        systems.against_shifts(H, k, features)

    def combination(self, X, a):
        dense = X.centre is not None and not X.compressed and X.base.by_rows and X.shape[0]
        return made.combination(self, X, a) if dense else super().combination(X, a)


def _outputs(codes):
    """The number of margins of a row, by the largest code, which takes a wait if codes are on the device."""
    highest = 0 if codes is None or not len(codes) else int(codes.max())
    return highest + 1 if highest > 1 else 1


def probe():
    """Compile, launch and check a kernel on three rows; failures raise an exception."""
    from ...losses import Logistic

    X, y = np.array([[-1.0], [0.0], [2.0]], dtype=np.float32), np.array([1, 0, 1], dtype=np.uint8)
    block, pass_ = Block(Matrix(X), y), p.LossGradient(np.array([[1.0], [0.5]]), Logistic())
    backend = CupyBackend()
    got, expected = backend.run(pass_, backend.upload(block)), Backend().run(pass_, block)
    if not (np.allclose(got.value, expected.value) and np.allclose(got.gradient, expected.gradient)):
        raise RuntimeError("the first kernel gave a wrong result")


def synchronize():
    """Wait until all work launched on the current stream is done."""
    cupy.cuda.get_current_stream().synchronize()
