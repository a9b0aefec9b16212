"""The generic bodies on NumPy and its BLAS."""

from ..data.sparse import is_sparse, nearly_dense
from .base import Backend
from .threads import blas_limit


class NumpyBackend(Backend):
    """Runs everywhere; right for small data, where nothing waits for a compiler."""

    name = "numpy"

    def take(self, block, rows, weights):
        """A sample of a sparse X that is nearly dense is a dense one, of four times the memory at most."""
        block = super().take(block, rows, weights)
        return block._replace(X=block.X.toarray()) if is_sparse(block.X) and nearly_dense(block.X) else block

    def factor(self, H, rounding):
        """On one thread: NumPy and SciPy bring a BLAS each, and the idle threads of one spin in the way of the other's.

        200 columns after a product: 8 ms on two threads, 0.2 ms on one.
        """
        with blas_limit(1):
            solve = super().factor(H, rounding)

        def solve_alone(v):  # one column takes one thread anyway
            with blas_limit(1 if v.ndim > 1 else None):
                return solve(v)

        return solve_alone

    def lasso(self, H, gradient, w, l1, start=None):
        """On one thread, as `factor`."""
        with blas_limit(1):
            return super().lasso(H, gradient, w, l1, start)
