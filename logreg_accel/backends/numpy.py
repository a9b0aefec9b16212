"""The NumPy backend: the generic bodies on NumPy and its BLAS."""

from .base import Backend


class NumpyBackend(Backend):
    """Runs everywhere, and is the best choice for small data, where loading compiled loops does not pay."""

    name = "numpy"

    def kept(self, block):
        """Return a sparse X that is nearly dense as a dense array, since BLAS is faster on it than SciPy."""
        return block._replace(X=block.X.densified()) if block.X.is_half_dense else block

    def take(self, block, rows, weights):
        """Take a sample of rows, kept as all rows would be."""
        return self.kept(super().take(block, rows, weights))
