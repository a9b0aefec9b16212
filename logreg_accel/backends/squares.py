"""The bodies of passes that add up squares of X, in array code."""

import numpy as np

from ..data import compute_dtype
from . import generic
from . import passes as p


def column_squares(backend, pass_, block):
    """Σ x² of every column."""
    return backend.to_host(_of_columns(backend, block))


def _of_columns(backend, block):
    sums = backend.xp.zeros(block.X.shape[1], dtype=np.float64)
    for _, X, _ in generic.tiles(backend, block):
        ones = backend.xp.full((X.shape[0], 1), 1, dtype=X.dtype)
        sums += X.squared().transposed_product(ones)[:, 0]
    return sums


def row_squares(backend, pass_, block):
    """Σⱼ scaleⱼ·xᵢⱼ² of every row, left on the backend's side.

    A pass without a scale gets 1 / (mean of xᵢⱼ² over the rows), which is made on the backend's side as well.
    """
    xp, scale = backend.xp, pass_.scale
    norms = xp.empty(block.X.shape[0], dtype=compute_dtype(block.X.dtype))
    if scale is None:
        squares = _of_columns(backend, block)
        with np.errstate(divide="ignore"):
            scale = xp.where(squares > 0, len(norms) / squares, 0)
    scale = xp.asarray(scale, dtype=norms.dtype)
    for rows, X, _ in generic.tiles(backend, block):
        norms[rows] = X.squared() @ scale
    return norms


BODIES = {p.ColumnSquares: column_squares, p.RowSquares: row_squares}
