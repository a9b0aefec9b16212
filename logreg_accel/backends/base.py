"""Every pass over a block of rows in plain array code, tile by tile: the reference of all backends.

A pass takes W (n + 1, k), float64 on the host, intercept in the last row, and returns float64 *sums over the block's
rows*: no averaging, no penalty. A faster backend overrides a pass and says `super()` for what it has no kernel for, so
no backend is ever incomplete and this file is the oracle for its kernels. With the margins Z = X·W[:-1] + W[-1]::

    loss_gradient    Σ s·ℓ(z, y)     Xᵀ(s·residual)
    hessian_vector   Xᵀ(s·curvature·(X·V[:-1] + V[-1]))
    hessian          Xᵀ diag(s·curvature) X, of every pair of outputs
    diagonal         its diagonal
    margins          Z
    line             the two derivatives of Σ s·ℓ along z0 + t·(z1 − z0): reads no X

Arithmetic inside a tile is `compute_dtype(X)`; tile sums are added up in float64.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ..data import Block, compute_dtype
from ..data.sparse import is_sparse, rows_between, squared, stored_bytes, transposed_product, weighted_gram

_RUNS = 4


class LossGradient(NamedTuple):
    """value (1,), or (k,) of k models, and gradient (n + 1, k), float64 on the host; margins (rows, k) where the backend has
    them, and the diagonal of the Hessian (n + 1, k), or None."""

    value: Any
    gradient: Any
    margins: Any = None
    diagonal: Any = None


class Backend:
    """The generic bodies, for any array library that follows NumPy's functions.

    Parameters
    ----------
    n_threads : int or None
        CPU threads at most; None takes all that the process may use.
    """

    name = "base"
    xp = np
    # A tile is read by two products, and the second one should find it in a cache. On 1M x 100 float32 an evaluation took
    # 0.17 s with tiles of 256 kB (calls), 0.07 s at 1 MB, 0.06 s at 2 MB; on 60,000 x 4096 0.23, 0.13 and 0.10 s.
    tile_bytes = 2 << 20
    reads_for_diagonal = 0
    """Of X, beyond the one of `loss_gradient`, when that is asked for the diagonal too."""
    notes = ()
    """What an upload had to do that a user may want to know."""

    def __init__(self, n_threads=None):
        self.n_threads = n_threads

    # -- where arrays live ------------------------------------------------------------------------------------------

    def upload(self, block):
        """The block with its arrays where the passes want them."""
        return block

    def to_host(self, array):
        """A NumPy array of one of this backend's arrays."""
        return array

    def take(self, block, rows, weights):
        """Some rows of an uploaded block as a block of their own; weights (len(rows),) in place of the block's."""
        return Block(block.X[rows], block.y[rows], weights.astype(compute_dtype(block.X.dtype)))

    def batch(self, block, number, of):
        """Parts of an uploaded block: a batch of `of`, as views that together hold every row once.

        Every `of`-th row where rows lie in one piece: data sorted by class are no worse than others. A column that is read
        so costs as much as all of it, so X by columns is cut into runs, and a sparse one, each batch in four places.
        """
        X = block.X
        m = X.shape[0]
        if not is_sparse(X) and (X.shape[1] == 1 or X.strides[1] == X.itemsize):
            slices = [slice(number, m, of)]
        else:
            runs = max(1, min(_RUNS, m // of))
            slices = [slice(*(lo + (hi - lo) * i // of for i in (number, number + 1)))
                      for lo, hi in ((m * i // runs, m * (i + 1) // runs) for i in range(runs))]
        return [self.rows(block, rows) for rows in slices if rows.start < rows.stop]

    def rows(self, block, rows):
        """A slice of an uploaded block's rows."""
        X = rows_between(block.X, rows.start, rows.stop) if is_sparse(block.X) else block.X[rows]
        s = block.sample_weight
        return block._replace(X=X, y=block.y[rows], sample_weight=None if s is None else s[rows])

    def limit_threads(self):
        """A context in which this backend's libraries keep to `n_threads`."""
        from .threads import blas_limit

        return blas_limit(self.n_threads)

    # -- passes -----------------------------------------------------------------------------------------------------

    def loss_gradient(self, block, W, loss, keep_margins=False, diagonal=False):
        """Σ s·ℓ and Xᵀ(s·∂ℓ/∂z) out of one sweep; with `keep_margins` also the margins, a float a row, with `diagonal` that."""
        W = self._cast(W, block)
        G = self.xp.zeros(W.shape, dtype=np.float64)
        value = self.xp.zeros(1, dtype=np.float64)
        kept = self.xp.empty((block.X.shape[0], W.shape[1]), dtype=W.dtype) if keep_margins else None
        D = self.xp.zeros(W.shape, dtype=np.float64) if diagonal else None
        for rows, X, y, s in self._tiles(block):
            Z = X @ W[:-1] + W[-1]
            if keep_margins:
                kept[rows] = Z
            if diagonal:
                self._add_diagonal(D, X, self._curvature(loss, Z, y, s))
            tile_value, R = self._value_residual(loss, Z, y, s)
            value = value + tile_value
            G[:-1] += transposed_product(X, R)
            G[-1] += R.sum(axis=0, dtype=np.float64)
        return LossGradient(self.to_host(value), self.to_host(G), kept, self.to_host(D) if diagonal else None)

    def hessian_vector(self, block, W, V, loss, Z=None):
        """Xᵀ(s·curvature·(X·V)): the Hessian of the sum at W, applied to V (n + 1, k).

        Z, the margins at W, spare a product where they are at hand; a body that reads X once anyway may leave them.
        """
        W, V = self._cast(W, block) if Z is None else None, self._cast(V, block)
        H = self.xp.zeros(V.shape, dtype=np.float64)
        for rows, X, y, s in self._tiles(block):
            R = self._curvature_product(loss, X @ W[:-1] + W[-1] if Z is None else Z[rows], y, X @ V[:-1] + V[-1], s)
            H[:-1] += transposed_product(X, R)
            H[-1] += R.sum(axis=0, dtype=np.float64)
        return self.to_host(H)

    def hessian(self, block, W, loss):
        """Xᵀ diag(s·curvature) X, ((n + 1)·k, (n + 1)·k) in the order of W.ravel(), left on the backend's side."""
        W = self._cast(W, block)
        n, k = W.shape[0] - 1, W.shape[1]
        H = self.xp.zeros((n + 1, k, n + 1, k), dtype=np.float64)
        for _, X, y, s in self._tiles(block, min_rows=4 * n):
            for a, b, curvature in loss.curvature_blocks(X @ W[:-1] + W[-1], y):
                self._add_hessian(H[:, a, :, b], X, curvature, s, a == b)
        for a in range(k):
            for b in range(a, k):
                H[n, a, :n, b] = H[:n, a, n, b]
                H[:, b, :, a] = H[:, a, :, b]
        return H.reshape((n + 1) * k, (n + 1) * k)

    def mean_hessian(self, block, W, loss):
        """The mean over the outputs of their own Hessians, (n + 1, n + 1), left on the backend's side."""
        W = self._cast(W, block)
        n = W.shape[0] - 1
        H = self.xp.zeros((n + 1, n + 1), dtype=np.float64)
        for _, X, y, s in self._tiles(block, min_rows=4 * n):
            self._add_hessian(H, X, loss.curvature(X @ W[:-1] + W[-1], y).mean(axis=1, keepdims=True), s, True)
        H[n, :n] = H[:n, n]
        return H

    def diagonal(self, block, W, loss):
        """The diagonal of the Hessian, (n + 1, k)."""
        W = self._cast(W, block)
        D = self.xp.zeros(W.shape, dtype=np.float64)
        for _, X, y, s in self._tiles(block):
            self._add_diagonal(D, X, self._curvature(loss, X @ W[:-1] + W[-1], y, s))
        return self.to_host(D)

    def margins(self, block, W):
        """X·W[:-1] + W[-1], (rows, k) in the arithmetic's dtype, left on the backend's side."""
        W = self._cast(W, block)
        Z = self.xp.empty((block.X.shape[0], W.shape[1]), dtype=W.dtype)
        for rows, X, _, _ in self._tiles(block):
            Z[rows] = X @ W[:-1] + W[-1]
        return Z

    def column_squares(self, block):
        """Σ x² of every column, float64 (n,) on the host."""
        sums = self.xp.zeros(block.X.shape[1], dtype=np.float64)
        for _, X, _, _ in self._tiles(block):
            sums += transposed_product(squared(X), self.xp.full((X.shape[0], 1), 1, dtype=compute_dtype(X.dtype)))[:, 0]
        return self.to_host(sums)

    def row_squares(self, block, scale):
        """Σⱼ scaleⱼ·xᵢⱼ² of every row, (rows,), left on the backend's side; scale (n,) on the host."""
        norms = self.xp.empty(block.X.shape[0], dtype=compute_dtype(block.X.dtype))
        scale = self.xp.asarray(scale, dtype=norms.dtype)
        for rows, X, _, _ in self._tiles(block):
            norms[rows] = squared(X) @ scale
        return norms

    def line(self, block, Z0, Z1, t, loss):
        """Slope and curvature in t of Σ s·ℓ at the margins z0 + t·(z1 − z0), float64 (2,); reads no X."""
        D = Z1 - Z0
        s = None if block.sample_weight is None else block.sample_weight[:, None]
        terms = loss.line_terms(Z0 + D.dtype.type(t) * D, block.y, D)
        return np.array([float((a if s is None else s * a).sum(dtype=np.float64)) for a in terms])

    def gram(self, X):
        """X·Xᵀ in float64 (m, m) on the host, some columns of X at a time."""
        if is_sparse(X):
            X = X.astype(np.float64)
            return (X @ X.T).toarray()
        G = self.xp.zeros((len(X), len(X)), dtype=np.float64)
        for columns in self._column_tiles(X):
            part = X[:, columns].astype(np.float64)
            G += part @ part.T
        return self.to_host(G)

    def combine(self, X, a):
        """Xᵀ·a in float64 (n, k) on the host, some columns of X at a time."""
        a = self.xp.asarray(a)
        if is_sparse(X):
            return self.to_host(X.astype(np.float64).T @ a)
        return np.concatenate([self.to_host(X[:, columns].astype(np.float64).T @ a) for columns in self._column_tiles(X)])

    # -- linear algebra ---------------------------------------------------------------------------------------------

    def factor(self, H, rounding):
        """A function v -> H⁻¹v, for v (p,) or (p, k) on the host, of a symmetric, positive semidefinite H (p, p) of this backend.

        H is scaled to a unit diagonal (columns may differ by decades) and lifted by `rounding`, the relative error of
        its entries, times ten as often as Cholesky's method asks for it.
        """
        diagonal = self.xp.diagonal(H)
        scale = 1 / self.xp.sqrt(self.xp.where(diagonal > 0, diagonal, 1))
        i = self.xp.arange(len(H))
        lift = rounding
        while True:
            scaled = H * scale * scale[:, None]
            scaled[i, i] += lift
            try:
                solve = self._cholesky(scaled)
                break
            except np.linalg.LinAlgError:
                lift *= 10
                if not lift < 1e3:
                    raise FloatingPointError("The Hessian has entries that are not finite.") from None
        scale = self.to_host(scale)
        return lambda v: (scale * solve((scale * v.T).T).T).T

    def lasso(self, H, gradient, w, l1, start=None):
        """The u that minimises g·(u − w) + ½·(u − w)ᵀH(u − w) + Σ l1·|u|, on the host, looked for from `start` or w on.

        Feature-sign search (Lee, Battle, Raina and Ng 2007, NIPS): the minimum for given signs is a linear system; on the way
        there the best of the points where a sign changes is taken, until no sign does and no zero would leave 0. Coordinate
        descent in Python takes 40 ms for a model of 123 parameters that takes 4 ms so, and where columns are collinear, as
        one-hot ones are beside an intercept, it creeps: 18 reads of a9a then, for 7.
        """
        curvature = H.diagonal()
        usable = curvature > 0  # else no row of a sample has the column: it stays
        b, u = H @ w - gradient, (w if start is None else start).copy()
        free = usable & (l1 == 0)
        size = np.sqrt(np.where(usable, curvature, 1))
        enough = 1e-12 * (abs(b) / size).max(initial=np.finfo(float).tiny)
        signs, several, settled = np.sign(u), True, False
        for _ in range(20 * len(u) + 100):
            slope = H @ u - b
            active = usable & ((signs != 0) | free)
            miss = abs(np.where(active, slope + l1 * signs, 0)) / size
            leaving = settled or miss.max() <= enough
            if leaving:
                beyond = np.where(usable & ~active, abs(slope) - l1, 0) / size
                worst = np.argsort(-beyond)[: 8 + active.sum() // 2 if several else 1]
                worst = worst[beyond[worst] > enough]
                if not len(worst):
                    break
                signs[worst] = -np.sign(slope[worst])
                active[worst] = True
            A = np.flatnonzero(active)
            H_A = H[np.ix_(A, A)]
            d = -self._solve_lifted(H_A, slope[A] + l1[A] * signs[A])
            crosses = (l1[A] > 0) & (u[A] * (u[A] + d) < 0)
            t = np.append(np.unique(-u[A][crosses] / d[crosses]), 1.0)
            values = t * (slope[A] @ d) + 0.5 * t * t * (d @ H_A @ d) + abs(u[A] + t[:, None] * d) @ l1[A]
            if not values.min() < l1[A] @ abs(u[A]):  # rounding, or zeros that left 0 together are in each other's way
                if leaving and not several:
                    break
                signs, settled, several = np.sign(u), True, several and not leaving
                continue
            settled, several, best = False, True, t[values.argmin()]
            moved = u[A] + best * d
            moved[crosses & (abs(moved) <= 1e-14 * abs(u[A]))] = 0
            u[A] = moved
            signs = np.sign(u)
        return u

    def _solve_lifted(self, A, b):
        """A⁻¹b of a symmetric A whose diagonal is lifted until there is a solution: columns may be collinear, and a step
        along those goes far, to where a weight is zero."""
        diagonal, lift = A.diagonal().copy(), 1e-12
        while True:
            lifted = A.copy()
            lifted[np.diag_indices(len(A))] = diagonal * (1 + lift)
            try:
                return Backend._cholesky(self, lifted)(b)  # on the host, whatever the backend
            except np.linalg.LinAlgError:
                lift *= 10
                if not lift < 1e3:
                    raise FloatingPointError("The Hessian has entries that are not finite.") from None

    def _cholesky(self, A):
        """A function v -> A⁻¹v on host vectors and matrices; raises LinAlgError unless A is positive definite."""
        factor = scipy.linalg.cho_factor(A, lower=True, overwrite_a=True, check_finite=False)
        return lambda v: scipy.linalg.cho_solve(factor, v, check_finite=False)

    # -- the pieces -------------------------------------------------------------------------------------------------

    def _cast(self, W, block):
        return self.xp.asarray(W, dtype=compute_dtype(block.X.dtype))

    def _tiles(self, block, min_rows=1):
        """Slices of rows that fit the cache: (slice, X in the arithmetic's dtype, y, s as a column or None)."""
        m, n = block.X.shape
        dtype = compute_dtype(block.X.dtype)
        if self.tile_bytes < type(self).tile_bytes:  # memory was short
            min_rows = 1
        step = max(self.tile_bytes // self._row_bytes(block.X, dtype), min_rows, 1)
        for start in range(0, m, step):
            rows = slice(start, min(start + step, m))
            s = None if block.sample_weight is None else block.sample_weight[rows, None]
            y = None if block.y is None else block.y[rows]
            yield rows, rows_between(block.X, rows.start, rows.stop).astype(dtype, copy=False), y, s

    def _row_bytes(self, X, dtype):
        """Of a row of a tile; of a sparse X a quarter of the average, since slices of one cost SciPy 50 μs each."""
        m, n = X.shape
        return stored_bytes(X, X.dtype) // max(4 * m, 1) + 1 if is_sparse(X) else n * dtype.itemsize

    def _column_tiles(self, X):
        m, n = X.shape
        step = max(self.tile_bytes // (8 * m), 1)
        return [slice(start, start + step) for start in range(0, n, step)]

    def _add_diagonal(self, D, X, curvature):
        """A tile's share of the diagonal, weights included."""
        D[:-1] += transposed_product(squared(X), curvature)
        D[-1] += curvature.sum(axis=0, dtype=np.float64)

    def _add_hessian(self, H, X, curvature, s, symmetric):
        """A tile's share of all of H but its last row."""
        n = X.shape[1]
        curvature = curvature if s is None else s * curvature
        if is_sparse(X):
            H[:n, :n] += weighted_gram(X, curvature)
        elif symmetric:  # one buffer on both sides: NumPy calls syrk, half of gemm's flops
            scaled = X * self.xp.sqrt(curvature)
            H[:n, :n] += scaled.T @ scaled
        else:
            H[:n, :n] += (X * curvature).T @ X
        H[:n, n] += (X.T @ curvature)[:, 0]
        H[n, n] += curvature.sum(dtype=np.float64)

    def _value_residual(self, loss, Z, y, s):
        """A pointwise line: Σ s·ℓ per column (float64) and s·∂ℓ/∂z, from a tile's margins; and so the next two."""
        value, residual = loss.value_residual(Z, y)
        if s is not None:
            value, residual = s * value, s * residual
        return value.sum(axis=0, dtype=np.float64), residual

    def _curvature(self, loss, Z, y, s):
        curvature = loss.curvature(Z, y)
        return curvature if s is None else s * curvature

    def _curvature_product(self, loss, Z, y, U, s):
        product = loss.curvature_product(Z, y, U)
        return product if s is None else s * product
