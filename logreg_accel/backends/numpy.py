"""The NumPy backend: the generic bodies on NumPy and its BLAS."""

from .base import Backend


class NumpyBackend(Backend):
    """Runs everywhere; the best choice for small data, for which loading compiled loops does not pay."""

    name = "numpy"

    def kept(self, block):
        """BLAS on all places is faster than SciPy's products where many hold an entry."""
        return block._replace(X=block.X.densified()) if block.X.is_half_dense else block

    def take(self, block, rows, weights):
        """Take a sample of rows, kept as all rows would be."""
        return self.kept(super().take(block, rows, weights))
