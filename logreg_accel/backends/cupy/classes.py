"""Sweeps over the margins of several classes by the kernels of kernels/cuda/classes.cu, one launch each.

In array code a formula would be a dozen of CuPy's own kernels, and those that reduce over classes take long
to compile.
"""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from ...losses import Multinomial
from .. import passes as p
from ..sweeps import FAR
from . import arrays
from .compiler import REAL, kernel
from .sweeps import block_count, vectors


def _takes(Z, y=None):
    """Whether the kernels take these margins and, if they need codes, these codes."""
    return Z.shape[0] > 0 and (y is None or (y.dtype == np.uint8 and y.ndim == 1))


def _launch(name, Z, before, after):
    """Start a kernel over the rows of Z, with the sizes between its arguments."""
    m, classes = Z.shape
    launch = kernel("classes.cu", f"softmax_{name}<{REAL[Z.dtype.name]}>")
    launch((block_count(m),), (shapes.THREADS,), (*before, np.int64(m), np.int32(classes), *after))


def residual(backend, loss, Z, y, s):
    """s·∂ℓ/∂z and Σ s·ℓ."""
    if not _takes(Z, y):
        return None
    Z, s = vectors(Z, s)
    rows, losses = cupy.empty_like(Z), cupy.empty(block_count(len(Z)), dtype=np.float64)
    _launch("residual", Z, (Z, arrays.contiguous(y), s), (rows, losses))
    return rows, arrays.total(losses)


def curvature(backend, loss, Z, y, s):
    """s·∂²ℓ/∂z², its diagonal."""
    return _of_rows("curvatures", Z, s)


def curvature_product(backend, loss, Z, y, s, U):
    """s·∂²ℓ/∂z² applied to U."""
    return _of_rows("product", Z, s, U)


def _of_rows(name, Z, s, *more):
    if not _takes(Z):
        return None
    Z, s, *more = vectors(Z, s, *more)
    out = cupy.empty_like(Z)
    _launch(name, Z, (Z, s, *more), (out,))
    return out, None


def roots(Z, s, own=False, shares=False, mean=False):
    """The factors of the rows in a Hessian (see softmax_roots in the kernels): (K, m) for classes, (1, m) for
    the mean, None for those that are not requested."""
    Z, s = vectors(Z, s)
    (m, k), wanted = Z.shape, (own, shares, mean)
    sizes = (k, m), (k, m), (1, m)
    out = [cupy.empty(size, dtype=Z.dtype) if one else None for one, size in zip(wanted, sizes, strict=True)]
    _launch("roots", Z, (Z, s), out)
    return out


def curvature_mass(backend, pass_, block, stored):
    """The sum of a row's curvatures times its weight, for one model."""
    if pass_.models or not _takes(pass_.margins):
        return None
    Z, s = vectors(pass_.margins, block.sample_weight)
    out = cupy.empty(len(Z), dtype=Z.dtype)
    _launch("mass", Z, (Z, s), (out,))
    return out


def _between(name, count, pass_, block, *more):
    """The results of a kernel over two sets of margins for each thread block, on the host; or None."""
    if pass_.models or not _takes(pass_.start, block.y):
        return None
    start, end, s = vectors(pass_.start, pass_.end, block.sample_weight)
    out = cupy.empty((block_count(len(start)), count), dtype=np.float64)
    _launch(name, start, (start, end, block.y, s, *map(start.dtype.type, more)), (out,))
    return cupy.asnumpy(out)


def line(backend, pass_, block, stored):
    """Slope and curvature along a line."""
    sums = _between("line", 2, pass_, block, pass_.t)
    return None if sums is None else sums.sum(axis=0)


def above_tangent(backend, pass_, block, stored):
    """How far the losses lie above their tangents."""
    sums = _between("above", 1, pass_, block)
    return None if sums is None else sums.sum(axis=0)


def margin_change(backend, pass_, block, stored):
    """How margins changed."""
    largest = _between("change", 3, pass_, block, FAR)
    if largest is None:
        return None
    most = largest.max(axis=0)
    return p.Change(float(most[0]), float(-most[1]), float(most[2]))


KERNELS: dict = {
    (p.Line, Multinomial, None): line,
    (p.AboveTangent, Multinomial, None): above_tangent,
    (p.MarginChange, Multinomial, None): margin_change,
    (p.CurvatureMass, Multinomial, None): curvature_mass,
}
POINTWISE: dict = {
    ("residual", Multinomial): residual,
    ("curvature", Multinomial): curvature,
    ("curvature_product", Multinomial): curvature_product,
}
