"""The generic bodies on NumPy and its BLAS."""

from .base import Backend
from .threads import blas_limit


class NumpyBackend(Backend):
    """Runs everywhere; right for small data, where nothing waits for a compiler."""

    name = "numpy"

    def factor(self, H, rounding):
        """On one thread: NumPy and SciPy bring a BLAS each, and the idle threads of one spin in the way of the other's.

        200 columns after a product: 8 ms on two threads, 0.2 ms on one.
        """
        with blas_limit(1):
            return super().factor(H, rounding)

    def lasso(self, H, gradient, w, l1, start=None):
        """On one thread, as `factor`."""
        with blas_limit(1):
            return super().lasso(H, gradient, w, l1, start)
