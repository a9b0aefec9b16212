"""The interface of all backends: where arrays live, and how a pass over one block is run.

A backend is a subclass with a table of kernels, `(pass, loss, layout) -> kernel`. A pass that the table
lacks, or that a kernel declines by returning None, runs the generic body (generic.py), so that a new loss
works on every backend at once.
"""

from typing import Any

import numpy as np

from .. import clock
from ..data import Block, compute_dtype
from . import drawing, generic, linalg, moments, sides, squares, sweeps
from . import passes as p
from .host import available_memory
from .threads import blas_limit, looked_up

_BODIES: dict = {**generic.BODIES, **squares.BODIES, **moments.BODIES, **sides.BODIES, **sweeps.BODIES}

MODELS = "models"
"""Takes the place of a layout: kernels for passes over several models, whatever the layout."""


class Backend:
    """Passes over blocks of rows, for any array library that follows NumPy's functions.

    Parameters
    ----------
    n_threads : int or None
        Largest number of CPU threads; None means all that the process may use.

    Attributes
    ----------
    kernels : dict
        (type of pass, type of loss or None, layout or None) -> function (backend, pass, block, stored) ->
        result or None.
    pointwise_kernels : dict
        (name, type of loss) -> function (backend, loss, Z, y, s, *more) -> (rows, value) or None.
    notes : sequence of str
        What an upload had to convert or copy, for the user.
    on_device : bool
        Whether blocks are in the memory of a device other than the host.
    lasso_sweeps : callable or None
        Compiled coordinate descent, for `logreg_accel.solvers.quadratic`.
    column_sweep : callable or None
        The same over columns: a compiled `columns.sweep`.
    """

    name = "base"
    xp = np
    # Two products read a tile, and the second one should find it in a cache; smaller tiles cost too many
    # calls.
    tile_bytes = 2 << 20
    kernels: dict = {}
    pointwise_kernels: dict = {}
    notes = ()
    on_device = False
    lasso_sweeps: Any = None
    column_sweep: Any = None

    def __init__(self, n_threads=None):
        self.n_threads = n_threads

    # -- where arrays live -----------------------------------------------------------------------------------

    def expect(self, X, n_classes):
        """Start work that fits of rows like X would otherwise have to wait for, such as compiling kernels."""

    def upload(self, block):
        """Return the block with its arrays where the passes need them, and weights in the dtype of the
        arithmetic."""
        return block._replace(sample_weight=self.in_arithmetic(block.sample_weight, block.X))

    def kept(self, block):
        """An uploaded block in the form for many passes."""
        return block

    def written_out(self, X):
        """Return a matrix that will be read many times; its centre, if any, is subtracted in a copy."""
        return X if X.centre is None else X.astype(X.dtype)

    def of_model(self, block, model):
        """A block with the labels (m,) and the weights (m,) or None of one of several models."""
        ((_, y, s),) = generic.models_of(p.WeightSum((model,)), block, 1)
        s = None if s is None else s[:, 0].astype(compute_dtype(block.X.dtype), copy=False)
        return block._replace(y=y.copy(), sample_weight=s, splits=None)

    def in_arithmetic(self, weights, X):
        """Weights in the dtype of the arithmetic of passes over X."""
        return None if weights is None else weights.astype(compute_dtype(X.dtype), copy=False)

    def free_bytes(self, X):
        """Bytes that a fit may use in addition to a matrix that is not uploaded yet; None if unknown."""
        return available_memory()

    def to_host(self, array):
        """A NumPy array of one of this backend's arrays."""
        return array

    def take(self, block, rows, weights):
        """Some rows of an uploaded block as a separate block, with their own weights (len(rows),)."""
        splits, offset = (None if array is None else array[rows] for array in block[3:5])
        weights = weights.astype(compute_dtype(block.X.dtype))
        return Block(block.X.take(rows), block.y[rows], weights, splits, offset)

    def batch(self, block, number, n_batches):
        """One of `n_batches` batches of an uploaded block, as views; all batches contain every row once."""
        slices = block.X.batch(number, n_batches)
        return [self.rows(block, rows) for rows in slices if rows.start < rows.stop]

    def rows(self, block, rows):
        """A slice of an uploaded block's rows."""
        X = block.X.between(rows.start, rows.stop, rows.step or 1)
        y, s, splits, offset = (None if array is None else array[rows] for array in block[1:5])
        return block._replace(X=X, y=y, sample_weight=s, splits=splits, offset=offset)

    def limit_threads(self):
        """A context in which this backend's libraries use at most `n_threads` threads."""
        return blas_limit(self.n_threads)

    @property
    def abreast(self):
        """How many calls `each` has under way at a time."""
        return 1

    def each(self, work, count):
        """Call work(i) for all i below `count`, in any order, until the deadline."""
        for i in range(count):
            clock.check()
            work(i)

    def beside(self, pass_, count):
        """This backend with a share of its threads, for a caller that runs a pass on `count` blocks at a
        time; None if that gains nothing or takes too much memory.
        """
        return None

    def in_array_code(self):
        """A backend for rows on the host that are so few that compiling loops for them would not pay."""
        from .numpy import NumpyBackend

        return NumpyBackend(self.n_threads)

    # -- passes ----------------------------------------------------------------------------------------------

    def run(self, pass_, block):
        """The sums of a pass over an uploaded block, by a kernel of the table or by the generic body."""
        layout, stored = None, None
        if block.offset is None and getattr(pass_, "models", None) is not None:
            layout = MODELS
        elif pass_.reads and block.X.centre is None and block.offset is None:
            layout, stored = self.layout(block.X)
        loss = getattr(pass_, "loss", None)
        kernel = self.kernels.get((type(pass_), None if loss is None else type(loss), layout))
        if kernel is not None:
            result = kernel(self, pass_, block, stored)
            if result is not None:
                return result
        return self.generic(pass_, block)

    def has_kernel(self, kind, loss, X):
        """Whether the table has a kernel for a kind of pass over X."""
        return X.centre is None and (kind, type(loss), self.layout(X)[0]) in self.kernels

    def generic(self, pass_, block):
        """The sums of a pass over an uploaded block, by the generic body."""
        return _BODIES[type(pass_)](self, pass_, block)

    def reads(self, kind, loss=None, diagonal=False):
        """Reads of X that a kind of pass takes; a LossGradient may include the diagonal."""
        return kind.reads

    def layout(self, X):
        """The layout of a matrix as the table names it, or None, and the arrays that kernels take."""
        return None, None

    def pointwise(self, name, loss, Z, y, s, *more):
        """A pointwise formula on a tile's margins Z (rows, k), weights s (rows, 1) included.

        "residual" gives s·∂ℓ/∂z and Σ s·ℓ of every model, float64; "curvature" s·∂²ℓ/∂z² and None;
        "curvature_product", with one more argument U, s·∂²ℓ/∂z²·U and None.
        """
        kernel = self.pointwise_kernels.get((name, type(loss)))
        result = None if kernel is None else kernel(self, loss, Z, y, s, *more)
        if result is not None:
            return result
        if name == "residual":
            value, rows = loss.value_residual(Z, y)
            value = value if s is None else s * value
            return rows if s is None else s * rows, value.sum(axis=0, dtype=np.float64)
        rows = getattr(loss, name)(Z, y, *more)
        return rows if s is None else s * rows, None

    def curvature_blocks(self, loss, Z, y, s):
        """Yield (a, b, s·∂²ℓ/∂zₐ∂z_b (rows, 1)) of a model's margins, for all a ≤ b."""
        if loss.n_outputs == 1:
            yield 0, 0, self.pointwise("curvature", loss, Z, y, s)[0]
            return
        for a, b, curvature in loss.curvature_blocks(Z, y):
            yield a, b, curvature if s is None else s * curvature

    # -- predictions -----------------------------------------------------------------------------------------

    def all_finite(self, Z):
        """Whether all margins are finite."""
        return bool(np.isfinite(Z).all())

    def likeliest(self, Z, n_classes):
        """The codes of the likeliest classes from margins (m,) or (m, k), in the smallest dtype."""
        codes = Z.argmax(axis=1) if Z.ndim == 2 else Z > 0
        # a boolean array would select labels instead of indexing them
        return codes.astype(np.min_scalar_type(n_classes - 1))

    def probabilities(self, what, loss, Z):
        """Apply the method `what` of the loss, "probabilities" or "log_probabilities", to margins: (m, K)."""
        return getattr(loss, what)(Z)

    # -- drawing rows ----------------------------------------------------------------------------------------

    def picked(self, vector, rows):
        """Some numbers of a row vector, by rows (k,) on the host."""
        return vector[self.xp.asarray(rows)]

    def of_classes(self, each, y, s):
        """each[y], the number of each row's class, times weights s if given, then in float64."""
        table = self.xp.asarray(each, dtype=np.float32 if s is None else np.float64)
        mass = table[y] if self.on_device else looked_up(table, y, self.n_threads)
        return mass if s is None else mass * s

    def class_totals(self, y, s, n_classes):
        """Rows of each class, and sums of their weights s, or None for ones, on the host."""

        def sums(vectors, dtype=None):  # the sums are copied to the host together
            return self.to_host(np.concatenate([v.sum(dtype=dtype, keepdims=True) for v in vectors]))

        those = [y == code for code in range(n_classes)]
        own = sums(those)
        return own, own if s is None else sums([s[of] for of in those], np.float64)

    def product(self, weights, mass, norms):
        """weights·mass·norms in float64, of weights on the host and row vectors."""
        return self.xp.asarray(weights) * mass * norms

    def total_mass(self, mass):
        """Σ mass in float64, and how many are positive, for a row vector (m,)."""
        return drawing.total(self.xp, mass)

    def positive_rows(self, mass):
        """The rows with positive mass, ascending, on the host."""
        return np.flatnonzero(mass > 0)

    def rows_above(self, mass, scale, even, bar, seed, numbers=None):
        """The rows whose mass·scale + even passes a bar by their hash, and their masses, on the host.

        See `drawing.above`.
        """
        rows = drawing.above(self.xp, mass, scale, even, bar, seed, numbers)
        return self.to_host(rows), self.to_host(mass[rows])

    def rows_of_share(self, mass, uniform, share, seed, numbers=None, codes=None):
        """`total_mass`, the rows that pass a share of it by their hash, their masses and codes, on the host.

        Masses are divided by their total, and `uniform` of it is spread evenly. None if a separate call for
        the total costs nothing.
        """
        return None

    # -- linear algebra --------------------------------------------------------------------------------------

    def factor(self, H, rounding):
        """A function v -> H⁻¹v on host vectors, for a matrix from a pass; see `linalg.factor`."""
        return linalg.factor(H, rounding)

    def cholesky(self, A, overwrite=False):
        """Factor a symmetric A (p, p) on the host, which may be overwritten if so told.

        Returns a function v -> A⁻¹v for v (p,) or (p, k), and the diagonal of the Cholesky factor; None
        unless A is positive definite.
        """
        return linalg.cholesky(A, overwrite)

    def row_gram(self, X):
        """X·Xᵀ in float64 (m, m) on the host."""
        return self.to_host(X.row_gram(self.tile_bytes, self.each))

    def combination(self, X, a):
        """Xᵀ·a in float64 (n, k) on the host, for a (m, k) on the host."""
        parts = X.combination(self.xp.asarray(a), self.tile_bytes, self.each)
        return np.concatenate([self.to_host(part) for part in parts])
