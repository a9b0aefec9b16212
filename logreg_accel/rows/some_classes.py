"""All rows with some of the classes for each, where the others have been separated from it."""

import copy
import zlib

import numpy as np

_IMPOSSIBLE = 1000.0  # how far the margin of an excluded class is below all others: exp(−1000) is 0


def of_classes(rows, apart):
    """Rows in memory, on the host, without the classes that `apart` (n_rows, outputs) excludes for each.

    A row that keeps only its own class gets weight zero; the excluded classes of another one get an offset.
    `weight_sum` is unchanged.
    """
    gone, stops = apart.all(axis=1), np.cumsum([block.X.shape[0] for block in rows._given])[:-1]
    some, s = copy.copy(rows), np.where(gone, 0.0, 1.0 if rows._weights is None else rows._weights)
    parts = zip(rows._given, np.split(s, stops), strict=True)
    some._given = [block._replace(sample_weight=part) for block, part in parts]
    some._weights, some.counts, some._norms = s, None, None
    some.left_out = zlib.crc32(np.packbits(apart))
    some.least_weight = s[s > 0].min(initial=np.inf)
    some._blocks = [rows.backend.upload(block) for block in some._exactly_weighted()]
    apart = apart & ~gone[:, None] & (np.arange(apart.shape[1]) != rows.labels()[:, None])
    if apart.any():
        some.offset_scale = rows.offset_scale or 0.0
        parts = zip(some._blocks, np.split(apart, stops), strict=True)
        some._blocks = [
            block._replace(offset=_excluding(block.offset, part).astype(rows.dtype)) for block, part in parts
        ]
    return some


def _excluding(offset, apart):
    """An offset (rows, outputs) where the probabilities of the classes in `apart` are zero."""
    offset = np.zeros((len(apart), 1)) if offset is None else offset
    return np.where(apart, offset.min(axis=1, keepdims=True) - _IMPOSSIBLE, offset)
