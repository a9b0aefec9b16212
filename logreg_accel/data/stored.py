"""How and where the numbers of X are stored, and in which arithmetic passes compute with them."""

from typing import Any

import numpy as np

looks: Any = None
"""The backends' function () -> module of functions that look at labels and weights in a GPU's memory
(`backends/cupy/looks.py`), or None."""

_CUDA = {2, 13}  # DLPack device types: kDLCUDA, kDLCUDAManaged


def storage_dtype(X):
    """Return the NumPy dtype that corresponds to X's; PyTorch and JAX use the same names."""
    if isinstance(X.dtype, np.dtype):
        return X.dtype
    name = str(X.dtype).removeprefix("torch.")
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def compute_dtype(storage):
    """Return the dtype of the arithmetic for a storage dtype.

    It is float32 for the types that float32 represents exactly and processes fast (float32, 16-bit floats,
    8-bit integers, bool), and float64 for all others.
    """
    if storage.kind == "f":
        return np.dtype(np.float32 if storage.itemsize <= 4 else np.float64)
    return np.dtype(np.float32 if storage.itemsize == 1 or storage.name == "bfloat16" else np.float64)


def is_on_device(X):
    """Check whether a user's array lies in the memory of a CUDA GPU."""
    if hasattr(X, "__cuda_array_interface__"):
        return True
    if hasattr(X, "tocsr"):  # CuPy's sparse matrices are recognised by their module
        return type(X).__module__.startswith("cupyx.")
    device = getattr(X, "__dlpack_device__", None)
    return device is not None and not isinstance(X, np.ndarray) and int(device()[0]) in _CUDA


def looks_at(array):
    """The module of functions that examine labels or weights on the device of this array; None on the
    host."""
    return looks() if looks is not None and type(array) is not np.ndarray and is_on_device(array) else None
