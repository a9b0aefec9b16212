"""The table of CUDA kernels, and the functions that call them for a pass over a block."""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from ...losses import Logistic
from .. import passes as p
from . import arrays, classes, dense, looks, outputs, sparse, squares, sweeps
from .compiler import REAL, kernel
from .sweeps import block_count, vectors


def _one_read(run):
    """Make the table entries of the passes that read X from `run` of dense.py or sparse.py."""

    def loss_gradient(backend, pass_, block, stored):
        sums = run("LossGradient", block, pass_.W, keep_margins=pass_.keep_margins, since=pass_.since)
        if sums is None or not pass_.diagonal:
            return sums
        return sums._replace(diagonal=backend.run(p.Diagonal(pass_.W, pass_.loss), block))

    def hessian_vector(backend, pass_, block, stored):
        sums = run("HessianVector", block, pass_.W, pass_.V, at=pass_.margins)
        return None if sums is None else sums.gradient

    def diagonal(backend, pass_, block, stored):
        sums = run("Diagonal", block, pass_.W)
        return None if sums is None else sums.gradient

    def margins(backend, pass_, block, stored):
        sums = run("Margins", block, pass_.W, keep_margins=True)
        return None if sums is None else sums.margins

    return loss_gradient, hessian_vector, diagonal, margins


def line(backend, pass_, block, stored):
    """Compute slope and curvature along a line, for one output."""
    Z0, Z1 = pass_.start, pass_.end
    if Z0.shape[1] != 1:
        return None
    blocks = block_count(Z0.size)
    sums = cupy.empty((blocks, 2), dtype=np.float64)
    launch = kernel("pointwise.cu", f"logistic_line<{REAL[Z0.dtype.name]}>")
    Z0, Z1, s = vectors(Z0, Z1, block.sample_weight)  # margins of centred rows are in float64, s is not
    rest = (Z0.dtype.type(pass_.t), np.int64(Z0.size), sums)
    launch((blocks,), (shapes.THREADS,), (Z0, Z1, block.y, s, *rest))
    return cupy.asnumpy(sums).sum(axis=0)


def logistic_residual(backend, loss, Z, y, s):
    """Compute s·∂ℓ/∂z and Σ s·ℓ from the margins of one output."""
    if Z.shape[1] != 1:
        return None
    Z = arrays.contiguous(Z)
    blocks = block_count(Z.size)
    residual, losses = cupy.empty_like(Z), cupy.empty(blocks, dtype=np.float64)
    launch = kernel("pointwise.cu", f"logistic_residual<{REAL[Z.dtype.name]}>")
    s = None if s is None else arrays.in_type(s, Z.dtype)
    arguments = (Z, arrays.contiguous(y), s, np.int64(Z.size), residual, losses)
    launch((blocks,), (shapes.THREADS,), arguments)
    return residual, arrays.total(losses)


KERNELS: dict = {(p.Line, Logistic, None): line}
KERNELS |= outputs.KERNELS | sweeps.KERNELS | classes.KERNELS | squares.KERNELS | looks.KERNELS
for _layout, _run in (("dense", dense.run), ("columns", dense.run), ("sparse", sparse.run)):
    _loss_gradient, _hessian_vector, _diagonal, _margins = _one_read(_run)
    KERNELS[p.LossGradient, Logistic, _layout] = _loss_gradient
    KERNELS[p.HessianVector, Logistic, _layout] = _hessian_vector
    KERNELS[p.Diagonal, Logistic, _layout] = _diagonal
    KERNELS[p.Margins, None, _layout] = _margins

POINTWISE: dict = {("residual", Logistic): logistic_residual, **sweeps.POINTWISE, **classes.POINTWISE}
