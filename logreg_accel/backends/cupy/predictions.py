"""Predictions from margins on a GPU, by kernels: one launch each, whatever the layout of the margins."""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from ...losses import Logistic, Multinomial
from .compiler import REAL, kernel
from .sweeps import block_count

_CODES = {1: "unsigned char", 2: "unsigned short", 4: "unsigned"}


def takes(Z):
    """Whether the kernels can read these margins or probabilities."""
    return Z.size > 0 and Z.dtype.name in REAL


def all_finite(Z):
    """Whether all margins are finite, which takes a wait."""
    found = cupy.zeros(1, dtype=np.int32)
    _launch("pointwise.cu", "nonfinite", Z, (*_steps(Z), *_sizes(Z), found))
    return not int(found[0])


def likeliest(Z, n_classes):
    """The codes of the classes with the largest margins."""
    codes = cupy.empty(len(Z), dtype=np.min_scalar_type(n_classes - 1))
    _launch("pointwise.cu", "likeliest", Z, (*_steps(Z), *_sizes(Z), codes), _CODES[codes.itemsize])
    return codes


def probabilities(what, loss, Z):
    """Probabilities of the classes or their logarithms; None for a loss without a kernel."""
    if type(loss) not in (Logistic, Multinomial) or Z.shape[1] != loss.n_outputs:
        return None
    (m, k), (row, column), logarithms = Z.shape, _steps(Z), np.bool_(what == "log_probabilities")
    out = cupy.empty((m, max(k, 2)), dtype=Z.dtype)
    if type(loss) is Logistic:
        _launch("pointwise.cu", "logistic_probabilities", Z, (row, np.int64(m), logarithms, out))
    else:
        _launch("classes.cu", "softmax_probabilities", Z, (row, column, logarithms, *_sizes(Z), out))
    return out


def _steps(Z):
    """The strides of rows and columns, in elements."""
    steps = [np.int64(stride // Z.itemsize) for stride in Z.strides]
    return steps if Z.ndim == 2 else (*steps, np.int64(1))


def _sizes(Z):
    return np.int64(len(Z)), np.int32(Z.shape[1] if Z.ndim == 2 else 1)


def _launch(file, name, Z, arguments, *types):
    launch = kernel(file, f"{name}<{', '.join([REAL[Z.dtype.name], *types])}>")
    launch((block_count(len(Z)),), (shapes.THREADS,), (Z, *arguments))
