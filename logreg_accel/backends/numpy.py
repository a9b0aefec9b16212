"""The generic bodies on NumPy and its BLAS."""

from .base import Backend


class NumpyBackend(Backend):
    """Runs everywhere; right for small data, where nothing waits for a compiler."""

    name = "numpy"

    def take(self, block, rows, weights):
        """A sample of a sparse X that is nearly dense is a dense one, of four times the memory at most."""
        block = super().take(block, rows, weights)
        return block._replace(X=block.X.densified())
