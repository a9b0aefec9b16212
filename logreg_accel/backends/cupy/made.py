"""Passes of one output over rows that a kernel transforms first, tile by tile.

Array code takes a dozen calls per tile. The kernels of dense.cu read centred rows in float64 like any others.
For a Hessian, including its last row and column, cuBLAS multiplies the matrix of rows times the square roots
of their curvatures with itself.
"""

import cupy
import numpy as np

from ...data import compute_dtype
from ...kernels.cuda import shapes
from ...losses import Logistic
from .. import passes as p
from . import arrays
from .compiler import REAL, kernel
from .upload import DeviceMatrix, padded
from .workspace import Workspace

_ROWS = shapes.THREADS // 32  # rows that a thread block transforms at once
_MOST_BLOCKS = 8192


def run(backend, pass_, block):
    """The result of a pass, or None if this module does not handle it."""
    body = _BODIES.get(type(pass_))
    if body is None or pass_.models is not None or type(pass_.loss) is not Logistic:
        return None
    if pass_.W.shape[1] != 1 or not block.X.shape[0] or block.X.compressed:
        return None
    X = stored_rows(block.X)
    if not (X.by_rows and X.dtype.name in shapes.STORAGE):
        return None
    return body(backend, pass_, block)


def stored_rows(X):
    """The matrix on the device, whether it is centred or not."""
    return X if X.centre is None else X.base


def _by_kernels(backend, pass_, block):
    """Sums of centred rows, by the kernels that read float64."""
    if block.X.centre is None or block.offset is not None:
        return None
    n, workspace, parts = block.X.shape[1], Workspace(), []
    columns = padded(np.dtype(np.float64), n)
    s = block.sample_weight
    if s is not None:
        block = block._replace(sample_weight=arrays.in_type(s, np.dtype(np.float64)))
    for rows, part in tiles(backend, block, columns):
        X = DeviceMatrix(rows_anew(part.X, columns), n, workspace)
        parts.append(backend.run(pass_.between(rows.start, rows.stop), part._replace(X=X)))
    return p.joined(pass_, parts, lambda those: those[0] if len(those) == 1 else np.concatenate(those))


def _hessian(backend, pass_, block):
    """The Hessian in float64, on the device."""
    n, W = block.X.shape[1], pass_.W
    real = compute_dtype(block.X.dtype)
    columns, total = padded(real, n + 1), cupy.empty((n + 1, n + 1), dtype=np.float64)
    weights = cupy.asarray(W, dtype=real)
    for rows, part in tiles(backend, block, columns):
        Z = pass_.between(rows.start, rows.stop).margins
        if Z is None and part.offset is not None:
            Z = backend.run(p.Margins(W), part)
        rooted = rows_anew(part.X, columns, part.sample_weight, Z, weights)
        arrays.add_matrix(rooted.T @ rooted, total, first=rows.start == 0)
    return total


def combination(backend, X, a):
    """X̃ᵀ·a in float64 (n, k) on the host, for centred rows and a (m, k) on the host."""
    m, n = X.shape
    there, columns = cupy.asarray(a, dtype=np.float64), padded(X.dtype, n)
    parts = (
        there[rows].T @ rows_anew(X.between(rows.start, rows.stop), columns)
        for rows in _ranges(backend, m, columns)
    )
    return sum(cupy.asnumpy(part) for part in parts).T[:n]


def tiles(backend, block, columns):
    """Parts of the rows, small enough that their copies fit."""
    m = block.X.shape[0]
    for rows in _ranges(backend, m, columns):
        yield rows, block if rows == slice(0, m) else backend.rows(block, rows)


def _ranges(backend, m, columns):
    step = max(backend.tile_bytes // (8 * columns), 1)
    return [slice(start, min(start + step, m)) for start in range(0, m, step)]


def rows_anew(X, columns, s=None, Z=None, weights=None, roots=None):
    """Make new rows, times the square roots of their curvatures at margins Z, or at those of `weights`, or
    times `roots`."""
    (m, n), stored, real = X.shape, stored_rows(X), compute_dtype(X.dtype)
    rooted = weights is not None or roots is not None
    s, Z = (None if a is None else arrays.in_type(a, real) for a in (s, Z))
    out = cupy.empty((m, columns), dtype=real)
    types = f"{shapes.STORAGE[stored.dtype.name][0]}, {REAL[real.name]}, {str(rooted).lower()}"
    launch = kernel("made.cu", f"made_rows<{types}>")
    sizes = np.int64(stored.layout[0]), np.int64(m), np.int32(n)
    blocks = min(-(-m // _ROWS), _MOST_BLOCKS)
    arguments = stored.stored, *sizes, X.centre, Z, weights, s, roots, np.int32(columns), out
    launch((blocks,), (shapes.THREADS,), arguments)
    return out


_BODIES = {
    p.LossGradient: _by_kernels,
    p.HessianVector: _by_kernels,
    p.Diagonal: _by_kernels,
    p.Hessian: _hessian,
}
