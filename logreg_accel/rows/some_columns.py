"""All rows with some of their columns, gathered into memory."""

import copy

import numpy as np

from .memory import MemoryRows


def of_columns(rows, which):
    """Rows with some columns, by ascending numbers, in float64; None on a device, or for other kinds of rows.

    The centre remains subtracted, so that a point of these columns is a part of a point of all columns.
    """
    on_device = rows.backend.on_device or not isinstance(rows, MemoryRows)
    if on_device or any(block.X.on_device for block in rows._given):
        return None
    some, exactly = copy.copy(rows), zip(rows._given, rows._exactly_weighted(), strict=True)
    some._blocks = [block._replace(X=given.X.columns(which)) for given, block in exactly]
    if rows.centre is not None:
        some._blocks = some._less(rows.centre[which])
    some._blocks = [block._replace(X=block.X.astype(np.dtype(np.float64))) for block in some._blocks]
    some.n_features, some.centre, some._norms, some._columns = len(which), None, None, None
    some.rounds_to = some.dtype = np.dtype(np.float64)
    some.share, some.cost = 0.0, len(which) / rows.n_features
    some.nbytes = sum(block.X.nbytes for block in some._blocks)
    some.entries = sum(block.X.entries for block in some._blocks)
    return some
