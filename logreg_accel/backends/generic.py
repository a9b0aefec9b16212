"""Every pass that reads X, over a block of rows, in plain array code, tile by tile: the reference of all
backends.

A backend runs a kernel of its own where its table has one, and these bodies for the rest, so no backend is
ever incomplete and this file is the oracle for its kernels. Arithmetic inside a tile is `compute_dtype(X)`;
tile sums are added up in float64.
"""

import functools
import operator

import numpy as np

from ..data import compute_dtype
from . import grams
from . import passes as p

_WEIGHTED = 1 << 25  # bytes of a weighted copy of the rows of a Hessian's tile


def loss_gradient(backend, pass_, block):
    """Σ s·ℓ and Xᵀ(s·∂ℓ/∂z) out of one sweep over the tiles."""
    xp, loss = backend.xp, pass_.loss
    W = _cast(backend, pass_.W, block)
    G = xp.zeros(W.shape, dtype=np.float64)
    value = xp.zeros(W.shape[1] // loss.n_outputs, dtype=np.float64)
    kept = xp.empty((0, W.shape[1]), dtype=W.dtype) if pass_.keep_margins else None
    D = xp.zeros(W.shape, dtype=np.float64) if pass_.diagonal else None
    for rows, X, part in tiles(backend, block, columns=W.shape[1]):
        Z = margins_at(X, W, part, pass_.models)
        if pass_.keep_margins:
            kept = kept if len(kept) else _room(xp, block.X.shape[0], Z)
            kept[rows] = Z
        if pass_.diagonal:
            _add_diagonal(D, X, pointwise(backend, "curvature", pass_, part, Z)[0])
        R, tile_value = pointwise(backend, "residual", pass_, part, Z)
        value = value + tile_value
        G[:-1] += X.transposed_product(R)
        G[-1] += R.sum(axis=0, dtype=np.float64)
    D = backend.to_host(D) if pass_.diagonal else None
    return p.Sums(backend.to_host(value), backend.to_host(G), kept, D)


def hessian_vector(backend, pass_, block):
    """Xᵀ(s·curvature·(X·V)); margins that are known already save a product, and curvatures exponentials."""
    W = _cast(backend, pass_.W, block) if pass_.margins is None else None
    curvatures = pass_.curvatures
    V = _cast(backend, pass_.V, block)
    H = backend.xp.zeros(V.shape, dtype=np.float64)
    for rows, X, part in tiles(backend, block, columns=V.shape[1]):
        R = linear(X, V, pass_.models)
        if curvatures is not None:
            R *= curvatures[rows, None]
        else:
            Z = _margins_of(pass_, rows, X, W, part)
            R, _ = pointwise(backend, "curvature_product", pass_, part, Z, R)
        H[:-1] += X.transposed_product(R)
        H[-1] += R.sum(axis=0, dtype=np.float64)
    return backend.to_host(H)


def hessian(backend, pass_, block):
    """A block of the Hessian for every pair of outputs of a model."""
    W = _cast(backend, pass_.W, block)
    n, k, outputs = W.shape[0] - 1, W.shape[1], pass_.loss.n_outputs
    H = backend.xp.zeros((n + 1, k, n + 1, k), dtype=np.float64)
    for rows, X, part in tiles(backend, block, of_hessian=True):
        Z = _margins_of(pass_, rows, X, W, part)
        for columns, y, s in models_of(pass_, part, k):
            first = columns.start or 0
            blocks = backend.curvature_blocks(pass_.loss, Z[:, columns], y, s)
            if X.few_products(outputs * (outputs + 1) // 2):
                grams.add_together(H, X, first, blocks)
                continue
            for a, b, weighted in blocks:
                grams.add(backend, H[:, first + a, :, first + b], X, weighted, a == b)
    for a in range(k):
        for b in range(a, k):
            H[n, a, :n, b] = H[:n, a, n, b]
            H[:, b, :, a] = H[:, a, :, b]
    return H.reshape((n + 1) * k, (n + 1) * k)


def mean_hessian(backend, pass_, block):
    """The mean over the outputs of their own Hessians."""
    W = _cast(backend, pass_.W, block)
    n = W.shape[0] - 1
    H = backend.xp.zeros((n + 1, n + 1), dtype=np.float64)
    for rows, X, part in tiles(backend, block, of_hessian=True):
        Z = _margins_of(pass_, rows, X, W, part)
        curvature = pointwise(backend, "curvature", pass_, part, Z)[0].mean(axis=1, keepdims=True)
        grams.add(backend, H, X, curvature, True)
    H[n, :n] = H[:n, n]
    return H


def own_hessians(backend, pass_, block):
    """The Hessian of each output."""
    W = _cast(backend, pass_.W, block)
    n, k = W.shape[0] - 1, W.shape[1]
    H = backend.xp.zeros((k, n + 1, n + 1), dtype=np.float64)
    for rows, X, part in tiles(backend, block, of_hessian=True):
        Z = _margins_of(pass_, rows, X, W, part)
        ((columns, y, s),) = models_of(pass_, part, k)
        curvature = pass_.loss.curvature(Z[:, columns], y)
        for a in range(k):
            own = curvature[:, a : a + 1]
            grams.add(backend, H[a], X, own if s is None else s * own, True)
    H[:, n, :n] = H[:, :n, n]
    return H


def diagonal(backend, pass_, block):
    """The diagonal of the Hessian."""
    W = _cast(backend, pass_.W, block)
    D = backend.xp.zeros(W.shape, dtype=np.float64)
    for rows, X, part in tiles(backend, block):
        Z = _margins_of(pass_, rows, X, W, part)
        _add_diagonal(D, X, pointwise(backend, "curvature", pass_, part, Z)[0])
    return backend.to_host(D)


def margins(backend, pass_, block):
    """X·W[:-1] + W[-1], left on the backend's side."""
    W = _cast(backend, pass_.W, block)
    Z = backend.xp.empty((block.X.shape[0], W.shape[1]), dtype=W.dtype)
    for rows, X, part in tiles(backend, block):
        Z[rows] = margins_at(X, W, part)
    return Z


BODIES = {
    p.LossGradient: loss_gradient,
    p.HessianVector: hessian_vector,
    p.Hessian: hessian,
    p.MeanHessian: mean_hessian,
    p.OwnHessians: own_hessians,
    p.Diagonal: diagonal,
    p.Margins: margins,
}


def tiles(backend, block, columns=1, of_hessian=False):
    """Pieces of rows that fit the cache: slice, X in the dtype of the arithmetic, the rest of the block.

    For `columns` of W, margins and what follows from them are made for each row. Tiles of a Hessian are
    taller, since a product is added to all of it, unless their weighted copies would be large.
    """
    m, dtype = block.X.shape[0], compute_dtype(block.X.dtype)
    step = max(backend.tile_bytes // block.X.tile_row_bytes(columns), 1)
    if of_hessian and backend.tile_bytes >= type(backend).tile_bytes:  # memory was not short
        step = max(step, min(4 * block.X.shape[1], _WEIGHTED // max(block.X.row_bytes, 1)))
    if 0 < m <= step:
        yield slice(0, m), block.X.astype(dtype), block
        return
    for start in range(0, m, step):
        rows = slice(start, min(start + step, m))
        yield rows, block.X.between(rows.start, rows.stop).astype(dtype), part_of(block, rows)


def part_of(block, rows):
    """The block with labels, weights, split bits and offsets of some rows only, beside all of X."""
    y, s, splits, offset = (None if array is None else array[rows] for array in block[1:5])
    return block._replace(y=y, sample_weight=s, splits=splits, offset=offset)


def linear(X, W, models=None):
    """X·W[:-1] + W[-1] of a tile, with the numbers of a class adjacent if W is one model of a few classes."""
    Z = X.by_column(W[:-1]) if models is None else X @ W[:-1]
    Z += W[-1]
    return Z


def margins_at(X, W, part, models=None):
    """X·W[:-1] + W[-1] of a tile, plus the offset of its rows."""
    Z = linear(X, W, models)
    if part.offset is None:
        return Z
    offset = part.offset.astype(Z.dtype, copy=False)
    models = Z.shape[1] // offset.shape[1]  # side by side
    return Z + (offset if models == 1 or offset.shape[1] == 1 else np.hstack([offset] * models))


def _room(xp, m, Z):
    """An empty array for the margins of all m rows, in the memory order of those of a tile."""
    by_class, k = Z.strides[0] < Z.strides[1], Z.shape[1]
    return xp.empty((k, m), dtype=Z.dtype).T if by_class else xp.empty((m, k), dtype=Z.dtype)


def _margins_of(pass_, rows, X, W, part):
    """The margins of a tile, which may be known already."""
    return margins_at(X, W, part, pass_.models) if pass_.margins is None else pass_.margins[rows]


def models_of(pass_, block, k):
    """(columns, y, weights as a column or None) of each model of a pass over a tile, k columns in all."""
    s = None if block.sample_weight is None else block.sample_weight[:, None]
    if pass_.models is None:
        yield slice(None), block.y, s
        return
    width = k // len(pass_.models)
    for i, model in enumerate(pass_.models):
        y = block.y if block.y.ndim == 1 else block.y[:, model.target]
        yield slice(i * width, (i + 1) * width), y, _weights_of(model, block, y, s)


def _weights_of(model, block, y, s):
    """The weight of each row in a model, as a column; None if all weights are one."""
    factors = [] if s is None else [s]
    if model.split is not None:
        factors.append((block.splits[:, model.split // 8, None] >> (model.split % 8)) & 1)
    if model.class_weight is not None:
        factors.append(np.asarray(model.class_weight, dtype=compute_dtype(block.X.dtype), like=y)[y, None])
    return functools.reduce(operator.mul, factors) if factors else None


def pointwise(backend, name, pass_, part, Z, *more):
    """A pointwise formula on the margins of a tile, model by model; see `Backend.pointwise`."""
    if pass_.models is None:
        s = None if part.sample_weight is None else part.sample_weight[:, None]
        return backend.pointwise(name, pass_.loss, Z, part.y, s, *more)
    each = [
        backend.pointwise(name, pass_.loss, Z[:, columns], y, s, *(a[:, columns] for a in more))
        for columns, y, s in models_of(pass_, part, Z.shape[1])
    ]
    xp = backend.xp
    values = None if each[0][1] is None else xp.concatenate([v for _, v in each])
    return xp.concatenate([rows for rows, _ in each], axis=1), values


def _cast(backend, W, block):
    return backend.xp.asarray(W, dtype=compute_dtype(block.X.dtype))


def _add_diagonal(D, X, curvature):
    """A tile's share of the diagonal."""
    D[:-1] += X.squared().transposed_product(curvature)
    D[-1] += curvature.sum(axis=0, dtype=np.float64)
