"""The generic bodies on NumPy and its BLAS."""

from .base import Backend


class NumpyBackend(Backend):
    """Runs everywhere; right for small data, where nothing waits for a compiler."""

    name = "numpy"
