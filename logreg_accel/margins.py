"""Margins of linear models for the rows of a matrix, also where they overflow or cancel."""

import numpy as np

from .backends.passes import Margins
from .data import Block, centred

_FAR = 100.0
"""Size of an intercept beyond which float32 loses significant digits of a margin."""


def margins_of(backend, matrix, W, n_outputs=None):
    """Compute X·W[:-1] + W[-1] of a matrix for models side by side, ±inf at worst.

    Parameters
    ----------
    backend : Backend
    matrix : Matrix (m, n)
    W : ndarray (n + 1, k)
        Weights and, in the last row, intercepts.
    n_outputs : int or None
        The number of columns of each model; None for a single model.

    Returns
    -------
    array (m, k)
        On the backend's device.

    Raises
    ------
    ValueError
        X has a number that is not finite; the message says where.
    """
    block = backend.upload(Block(matrix, None))
    if np.abs(W[-1]).max() > _FAR:  # for columns far from zero, where margins cancel
        block = block._replace(X=centred(block.X, backend.xp.zeros(matrix.shape[1])))
    margins = backend.run(Margins(W), block)
    if not backend.all_finite(margins):
        _refuse_nonfinite(block.X if matrix.on_device else matrix)
        these = np.flatnonzero(~np.isfinite(margins).all(axis=1))
        X = backend.to_host(block.X.take(these).to_dense())
        models = np.split(W, W.shape[1] // (n_outputs or W.shape[1]), axis=1)
        huge = np.hstack([_huge_margins(X, of_model) for of_model in models])
        margins[these] = backend.xp.asarray(huge, dtype=margins.dtype)
    return margins


def _refuse_nonfinite(X):
    found = X.first_nonfinite()
    if found is not None:
        raise ValueError(
            f"Input `X` contains {found[2]}: first at row {found[0]}, column {found[1]}; "
            "NaN and inf cannot be classified."
        )


def _huge_margins(X, W):
    """Margins that overflow X's arithmetic, in float64 and scaled: ±inf at worst, never nan.

    With several classes the largest margin is subtracted, which does not change probabilities.
    """
    X = X.astype(np.float64)
    scale = np.abs(X).max(axis=1, keepdims=True)
    z = X / scale @ W[:-1]
    if z.shape[1] > 1:
        z -= z.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        return z * scale + W[-1]
