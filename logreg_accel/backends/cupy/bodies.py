"""Passes that no single kernel computes: several classes, sparse rows, offsets.

Products are those of cuBLAS or of the kernels for sparse rows, and formulas are kernels. The generic bodies
would use a dozen more of CuPy's own kernels for every tile, which CuPy compiles at first use. Sums over a
tile are copied to the host and added there.
"""

import itertools

import cupy
import numpy as np

from ...data import compute_dtype
from ...data.centred import CentredRows
from ...kernels.cuda import shapes
from ...losses import Logistic, Multinomial
from .. import passes as p
from ..moments import GroupScores, Moments, Totals
from . import arrays, classes, squares
from .made import rows_anew, stored_rows, tiles
from .upload import DeviceMatrix, padded


def run(backend, pass_, block):
    """The result of a pass of one model; None if there is no body for it."""
    body, X = _BODIES.get(type(pass_)), block.X
    if body is None or not X.shape[0] or type(X) is CentredRows:
        return None
    if block.offset is not None and block.offset.shape[1] != pass_.W.shape[1]:  # several models side by side
        return None
    if body is not margins and not _of_one_model(pass_, block):
        return None
    stored = stored_rows(X)
    if not (X.compressed or stored.by_rows) or stored.dtype.name not in shapes.STORAGE:
        return None
    return body(backend, pass_, block)


def _of_one_model(pass_, block):
    """Whether a pass is about one model, with codes that the kernels of its formulas can read."""
    if type(pass_.loss) is Logistic:
        here = block.X.compressed or block.offset is not None or type(pass_) in (Moments, GroupScores)
        if type(pass_) in _OF_CLASSES or not here:
            return False
    elif type(pass_.loss) is not Multinomial:
        return False
    one = pass_.models is None and pass_.W.shape[1] == pass_.loss.n_outputs
    return one and block.y.dtype == np.uint8 and block.y.ndim == 1


def _pieces(backend, pass_, block, copies=1):
    """Yield, for tiles of the rows, the pass over it, its X as it is multiplied, and its part of the block.

    `copies` is the number of arrays as large as a dense tile that the caller makes in addition.
    """
    X = block.X
    columns = padded(compute_dtype(X.dtype), X.shape[1] + 1) * copies
    if X.compressed:
        columns = -(-X.row_bytes // 8)
    for rows, part in tiles(backend, block, columns):
        yield pass_.between(rows.start, rows.stop), _in_arithmetic(part.X), part


def _in_arithmetic(X):
    """X in the dtype of the arithmetic, less its centre; X itself if it is that already."""
    if X.compressed:  # the kernels for sparse rows convert what they read
        return X if X.centre is None else X.moved
    real, n = compute_dtype(X.dtype), X.shape[1]
    if X.centre is None and X.dtype == real:
        return X
    return DeviceMatrix(rows_anew(X, padded(real, n)), n)


def _margins(X, W):
    """X·W[:-1] + W[-1] for W on the host."""
    if X.compressed:
        return arrays.contiguous(X.margins(W))
    wide = np.zeros((X.columns, W.shape[1]), dtype=X.dtype)
    wide[: len(W) - 1] = W[:-1]
    Z = X.wide @ cupy.asarray(wide)
    arrays.add_row(Z, W[-1])
    return Z


def _margins_at(X, W, part):
    """The same with the offset of the rows."""
    Z = _margins(X, W)
    if part.offset is not None:
        arrays.add(Z, arrays.contiguous(part.offset))
    return Z


def _margins_of(pass_, X, part):
    """The margins at W, which may be known already."""
    at_hand = pass_.margins is not None
    return arrays.contiguous(pass_.margins) if at_hand else _margins_at(X, pass_.W, part)


def _sums(X, R):
    """The sums of R (m, k) times the rows and times 1: (n + 1, k) in float64, on the host."""
    n = X.shape[1]
    sums = np.empty((n + 1, R.shape[1]))
    sums[:-1] = cupy.asnumpy(X.T @ R if X.compressed else (R.T @ X.wide).T[:n])
    sums[-1] = arrays.column_sums(R)
    return sums


def _formula(backend, name, pass_, Z, part, *more):
    s = None if part.sample_weight is None else part.sample_weight[:, None]
    return backend.pointwise(name, pass_.loss, Z, part.y, s, *more)


def _diagonal_of(backend, pass_, Z, X, part):
    curvature = _formula(backend, "curvature", pass_, Z, part)[0]
    if X.compressed:
        return _sums(X.squared(), curvature)
    return _sums(DeviceMatrix(arrays.squared(arrays.contiguous(X.wide)), X.shape[1]), curvature)


def loss_gradient(backend, pass_, block):
    """Loss and gradient, and the diagonal of the Hessian if it is requested."""
    parts = []
    for _, X, part in _pieces(backend, pass_, block, 1 + pass_.diagonal):
        Z = _margins_at(X, pass_.W, part)
        R, value = _formula(backend, "residual", pass_, Z, part)
        sums = p.Sums(cupy.asnumpy(value), _sums(X, R), Z if pass_.keep_margins else None)
        if pass_.diagonal:
            sums = sums._replace(diagonal=_diagonal_of(backend, pass_, Z, X, part))
        parts.append(sums)
    return p.joined(pass_, parts, _one_below_the_other)


def hessian_vector(backend, pass_, block):
    """The Hessian times a vector."""
    parts = []
    for here, X, part in _pieces(backend, pass_, block):
        Z, U = _margins_of(here, X, part), _margins(X, pass_.V)
        R, _ = _formula(backend, "curvature_product", pass_, Z, part, U)
        parts.append(_sums(X, R))
    return sum(parts)


def diagonal(backend, pass_, block):
    """The diagonal of the Hessian."""
    return sum(
        _diagonal_of(backend, pass_, _margins_of(here, X, part), X, part)
        for here, X, part in _pieces(backend, pass_, block, 2)
    )


def margins(backend, pass_, block):
    """The margins, which stay on the device."""
    parts = _pieces(backend, pass_, block)
    return _one_below_the_other([_margins_at(X, pass_.W, part) for _, X, part in parts])


def _one_below_the_other(parts):
    return parts[0] if len(parts) == 1 else cupy.concatenate(parts)


def hessian(backend, pass_, block):
    """The Hessian of all outputs.

    Between two classes the curvature of a row is minus the product of their probabilities. So the scaled copy
    of dense rows is made once for each class, and not for each pair.
    """
    k, n = pass_.loss.n_outputs, block.X.shape[1]
    total, first = cupy.empty(((n + 1) * k,) * 2, dtype=np.float64), True
    for here, X, part in _pieces(backend, pass_, block, k + 1):
        Z = _margins_of(here, X, part)
        if k == 1:
            curvature = _formula(backend, "curvature", pass_, Z, part)[0]
            arrays.add_matrix(X.full_gram(curvature), total, first)
        else:
            own, shares, _ = classes.roots(Z, part.sample_weight, own=True, shares=True)
            shared = shares if X.compressed else [_times(part.X, root) for root in shares]
            for a in range(k):
                arrays.add_matrix(_square(X, part, own[a]), total, first, 1, k, a, a)
                for b in range(a + 1, k):
                    product = _product(X, shared[a], shared[b])
                    arrays.add_matrix(product, total, first, -1, k, a, b)
        first = False
    return total


def mean_hessian(backend, pass_, block):
    """The mean of the classes' own Hessians."""
    n = block.X.shape[1] + 1
    total, first = cupy.empty((n, n), dtype=np.float64), True
    for here, X, part in _pieces(backend, pass_, block, 2):
        _, _, (mean,) = classes.roots(_margins_of(here, X, part), part.sample_weight, mean=True)
        arrays.add_matrix(_square(X, part, mean), total, first)
        first = False
    return total


def own_hessians(backend, pass_, block):
    """The Hessian of each class, (k, n + 1, n + 1)."""
    k, n = pass_.loss.n_outputs, block.X.shape[1] + 1
    total, first = cupy.empty((k, n, n), dtype=np.float64), True
    for here, X, part in _pieces(backend, pass_, block, 2):
        own, _, _ = classes.roots(_margins_of(here, X, part), part.sample_weight, own=True)
        for a in range(k):
            arrays.add_matrix(_square(X, part, own[a]), total[a], first)
        first = False
    return total


def moments(backend, pass_, block):
    """Loss, gradient and Hessian, and the sums of the outer products of scores if they are requested."""
    W, loss, k, n = pass_.W, pass_.loss, pass_.loss.n_outputs, block.X.shape[1]
    sums = backend.run(p.LossGradient(W, loss, keep_margins=True), block)
    at = p.Hessian(W, loss, None, sums.margins)
    information = cupy.asnumpy(backend.run(at, block))
    if not pass_.meat:
        return Totals(sums.value, sums.gradient, information)
    total, first = cupy.empty(((n + 1) * k,) * 2, dtype=np.float64), True
    for here, X, part in _pieces(backend, at, block, k + 1):
        R, _ = _formula(backend, "residual", at, _margins_of(here, X, part), part)
        scores = [arrays.contiguous(R[:, a]) for a in range(k)]
        rows = scores if X.compressed else [_times(part.X, score) for score in scores]
        for a, b in itertools.combinations_with_replacement(range(k), 2):
            arrays.add_matrix(_product(X, rows[a], rows[b]), total, first, 1, k, a, b)
        first = False
    return Totals(sums.value, sums.gradient, information, cupy.asnumpy(total))


def group_scores(backend, pass_, block):
    """Sums of scores by groups of dense rows, on the host."""
    if block.X.compressed:
        return None
    sums = cupy.zeros((pass_.n_groups, *pass_.W.shape), dtype=np.float64)
    codes = cupy.asnumpy(pass_.groups)
    rows = 0
    for _, X, part in _pieces(backend, pass_, block):
        R, _ = _formula(backend, "residual", pass_, _margins_at(X, pass_.W, part), part)
        own = codes[rows : rows + X.shape[0]]
        squares.add_by_group(X, R, own, sums)
        rows += X.shape[0]
    return cupy.asnumpy(sums)


def _square(X, part, roots):
    """The Gram matrix of the rows [x, 1], each times a number."""
    if X.compressed:
        return _product(X, roots, roots)
    rooted = _times(part.X, roots)
    return rooted.T @ rooted


def _product(X, one, other):
    """The product of rows [x, 1] times one number and times another; dense rows are scaled already."""
    if X.compressed:
        return X.full_gram(arrays.times(one, other)[:, None])
    return one.T @ other


def _times(X, roots):
    """Dense rows [x, 1], each times a number."""
    return rows_anew(X, padded(compute_dtype(X.dtype), X.shape[1] + 1), roots=roots)


_BODIES = {
    p.LossGradient: loss_gradient,
    p.HessianVector: hessian_vector,
    p.Diagonal: diagonal,
    p.Margins: margins,
    p.Hessian: hessian,
    p.MeanHessian: mean_hessian,
    p.OwnHessians: own_hessians,
    Moments: moments,
    GroupScores: group_scores,
}
_OF_CLASSES = {p.MeanHessian, p.OwnHessians}
