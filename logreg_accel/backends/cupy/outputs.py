"""Passes over a dense X for many outputs with the kernel of kernels/cuda/outputs.cu: softmax, many models.

Up to 32 columns of W share a read of X. Models side by side are cut into as few such pieces as possible; all
are launched before the first wait.
"""

import cupy
import numpy as np

from ...kernels.cuda import shapes, tiles
from ...losses import Logistic, Multinomial
from .. import passes as p
from ..base import MODELS
from . import arrays
from .compiler import kernel
from .workspace import Exchange, waited_for

_FIRST_WITH_TENSOR_CORES = 80  # compute capability 8.0, as CuPy writes it
_ONE = (p.Model(),)


def run(name, pass_, block, keep_margins=False):
    """A pass by the kernel: Sums without a diagonal, or None if there is no such kernel."""
    X, known = block.X, getattr(pass_, "margins", None)
    if not _fits(X, block.y):
        return None
    if name == "HessianVector" and known is not None:
        name, known = "ProductsAt", arrays.contiguous(known)
    each = pass_.loss.n_outputs
    at_once = tiles.widest(name, X.dtype.name, X.columns) // each
    models = pass_.models or _ONE * (pass_.W.shape[1] // each)
    margins_fit = len(models) <= at_once or not (keep_margins or name == "ProductsAt")
    if at_once == 0 or not margins_fit:
        return None
    with X.workspace.lock:
        pieces = []
        for first in range(0, len(models), at_once):
            here = models[first : first + at_once]
            plan = _plan_of(X, name, each, first, here, pass_.models is not None)
            if plan is None:
                return None
            pieces.append((plan, slice(first * each, (first + at_once) * each), here))
        shape = X.shape[0], pass_.W.shape[1]
        margins = cupy.empty(shape, dtype=np.float32) if keep_margins else None
        with waited_for() as stream:
            for plan, columns, here in pieces:
                matrices = [] if name == "ProductsAt" else [pass_.W[:, columns]]
                if name in ("HessianVector", "ProductsAt"):
                    matrices.append(pass_.V[:, columns])
                plan.start(stream, block, matrices, here, known, margins)
        parts = [plan.answer() for plan, _, _ in pieces]
    if parts[0] is None:
        return p.Sums(None, None, margins)
    values, gradients = zip(*parts, strict=True)
    return p.Sums(np.concatenate(values), np.hstack(gradients), margins)


def _fits(X, y):
    """Whether the kernel reads these rows, on this device."""
    return (
        X.shape[0] > 0
        and not X.compressed
        and X.centre is None
        and X.by_rows
        and y is not None
        and y.dtype == np.uint8
        and int(cupy.cuda.Device().compute_capability) >= _FIRST_WITH_TENSOR_CORES
    )


def _plan_of(X, name, each, first, models, side_by_side):
    """The plan of some models of a pass, from the first one on."""
    count, classes = len(models), max((len(one.class_weight or ()) for one in models), default=0)

    def make():
        columns, (_, vector) = count * each, X.layout
        launch = tiles.outputs(name, X.dtype.name, X.shape[0], X.columns, columns, vector, each, side_by_side)
        has = cupy.cuda.Device().attributes
        shared = has["MaxSharedMemoryPerBlockOptin"], has["MaxSharedMemoryPerMultiprocessor"]
        under_way = launch and tiles.stages(launch, *shared)
        return under_way and _Plan(name, launch, under_way, X, count, each, classes)

    key = name, each, first, count, classes, side_by_side, X.shape[0], X.layout
    return X.workspace.plan(key, make)


class _Plan:
    """The launches of a pass for some models, and the buffers that its numbers go through."""

    def __init__(self, name, launch, under_way, X, models, each, classes):
        (m, n), columns = X.shape, X.columns
        self.k, self.halves = models * each, -(-models * each // 16)
        rows = launch.rows_of_weights
        self.sent = Exchange(
            weights=(rows * (columns + 1), np.float32),
            table=(2 * models, np.int32),
            class_weights=(max(models * classes, 1), np.float32),
        )
        here, there = self.sent.here, self.sent.there
        weights, self.intercepts = np.split(here.weights, [rows * columns])
        self.slopes = weights.reshape(rows, columns)[:, :n].T  # the padding beyond n stays zero
        self.table, self.class_weights = here.table.reshape(models, 2), here.class_weights

        self.kernel = kernel("outputs.cu", launch.kernel)
        stages, self.shared = under_way
        self.kernel.max_dynamic_shared_size_bytes = self.shared
        self.launch = (launch.grid,), (launch.block,)
        self.shape = np.int64(X.layout[0]), np.int64(m), np.int32(columns), there.weights
        sizes = models, each, self.k, launch.slice_rows, stages
        models_there = there.table, there.class_weights if classes else None
        self.models = *models_there, *map(np.int32, sizes)
        self.partial = None, None
        self.summed = None
        if name == "Margins":
            return
        numbers, extras = self.k * columns, 2 * self.k
        scratch = X.workspace.scratch(launch.grid * (extras * 8 + numbers * 4))
        totals, sums = scratch[: launch.grid * extras * 8], scratch[launch.grid * extras * 8 :]
        self.partial = sums, totals
        self.summed = Exchange(packed=(numbers + extras, np.float64))
        packed = self.summed.here.packed
        self.gradient = packed[:numbers].reshape(self.k, columns)[:, :n].T
        self.values, self.factors = packed[numbers : numbers + models], packed[-self.k :]
        summing, grid, threads = shapes.sum_slices("float", launch.grid, packed.size)
        self.summing = kernel("dense.cu", summing)
        counts = np.int64(launch.grid), np.int32(numbers), np.int32(extras)
        self.sum = (grid,), (threads,), (sums, totals, *counts, self.summed.there.packed)

    def start(self, stream, block, matrices, models, known, margins):
        """Begin the pass with one or two matrices of weights."""
        for i, matrix in enumerate(matrices):
            first = 16 * self.halves * i
            these = slice(first, first + self.k)
            self.slopes[:, these], self.intercepts[these] = matrix[:-1], matrix[-1]
        for i, one in enumerate(models):
            self.table[i] = one.target, -1 if one.split is None else one.split
        if self.models[1] is not None:
            ones = (1.0,) * (len(self.class_weights) // len(models))
            self.class_weights[...] = [w for one in models for w in one.class_weight or ones]
        self.sent.send(stream)
        y, s, splits = block.y, block.sample_weight, block.splits
        codes = y, np.int32(1 if y.ndim == 1 else y.shape[1])
        bits = splits, np.int32(0 if splits is None else splits.shape[1])
        rest = *codes, *bits, s, *self.models, known, margins, *self.partial
        arguments = block.X.stored, *self.shape, *rest
        self.kernel(*self.launch, arguments, shared_mem=self.shared)
        if self.summed:
            self.summing(*self.sum)
            self.summed.fetch(stream)

    def answer(self):
        """Values and gradient, after the stream has finished; None for a pass without sums."""
        if self.summed is None:
            return None
        gradient = np.empty((len(self.gradient) + 1, self.k))
        gradient[:-1], gradient[-1] = self.gradient, self.factors
        return self.values.copy(), gradient


def loss_gradient(backend, pass_, block, stored):
    """Loss and gradient; the diagonal, if requested, is a read of its own."""
    sums = run("LossGradient", pass_, block, pass_.keep_margins)
    if sums is None or not pass_.diagonal:
        return sums
    return sums._replace(diagonal=backend.run(p.Diagonal(pass_.W, pass_.loss, models=pass_.models), block))


def hessian_vector(backend, pass_, block, stored):
    """The Hessian times vectors, whether the margins are known or not."""
    sums = run("HessianVector", pass_, block)
    return None if sums is None else sums.gradient


def diagonal(backend, pass_, block, stored):
    """The diagonal of the Hessian."""
    sums = run("Diagonal", pass_, block)
    return None if sums is None else sums.gradient


_KERNELS = {p.LossGradient: loss_gradient, p.HessianVector: hessian_vector, p.Diagonal: diagonal}
KERNELS = {
    (kind, loss, layout): function
    for kind, function in _KERNELS.items()
    for loss, layout in ((Multinomial, "dense"), (Multinomial, MODELS), (Logistic, MODELS))
}
