"""All rows with some of the classes for each, where the others have been separated from it."""

import copy
import zlib

import numpy as np

from .masses import at
from .stream import StreamRows

_IMPOSSIBLE = 1000.0  # how far the margin of an excluded class is below all others: exp(−1000) is 0


def of_classes(rows, apart):
    """Rows without the classes that `apart` excludes for each, a row vector (n_rows, outputs) of bool.

    A row that keeps only its own class gets weight zero; the excluded classes of another one get an offset.
    `weight_sum` is unchanged.
    """
    some = copy.copy(rows)
    some.counts, some._norms, some.left_out, some.least_weight, partly = None, None, 0, np.inf, False
    for least, bits, some_of_it in rows.each(_facts, apart):
        some.least_weight = min(some.least_weight, least)
        some.left_out, partly = zlib.crc32(bits, some.left_out), partly or some_of_it
    if partly:
        some.offset_scale = rows.offset_scale or 0.0
    if isinstance(rows, StreamRows):
        some.streamed, some._seen = _Remaining(rows.streamed, apart, rows.backend), StreamRows._seen
    else:
        _in_memory(some, rows, apart)
    return some


def _facts(y, s, apart):
    """The least weight of a row that is left, the classes that are excluded as bits, and whether some rows
    keep several classes and not all."""
    s = _weights(s, apart)
    return s[s > 0].min(initial=np.inf), np.packbits(apart), _others(y, apart).any()


def _in_memory(some, rows, apart):
    known = zip(rows._given, apart.parts, strict=True)
    some._given = [block._replace(sample_weight=_weights(block.sample_weight, part)) for block, part in known]
    some._weights = np.concatenate([block.sample_weight for block in some._given])
    some.least_weight = some._weights[some._weights > 0].min(initial=np.inf)
    some._blocks = [rows.backend.upload(block) for block in some._exactly_weighted()]
    if some.offset_scale is not None:
        parts = zip(some._blocks, apart.parts, strict=True)
        some._blocks = [
            block._replace(offset=_excluding(block.offset, block.y, part, rows.dtype))
            for block, part in parts
        ]


class _Remaining:
    """Who knows the labels of the rows of a source, without the classes that are excluded for each.

    Parameters
    ----------
    streamed : Streamed or Relabelled
    apart : row vector (rows, outputs) of bool
    backend : Backend
    part : function () -> ndarray of bool, or None
        The classes that are excluded for the rows whose labels `beside` returns.
    """

    def __init__(self, streamed, apart, backend, part=None):
        self.streamed, self.apart, self.backend, self.part = streamed, apart, backend, part

    @property
    def memory(self):
        return self.streamed.memory

    def of_blocks(self):
        """For every block, who knows the labels of its rows."""
        blocks = zip(range(len(self.apart.parts)), self.streamed.of_blocks(), strict=False)
        for i, streamed in blocks:
            yield self._of(streamed, lambda i=i: self.apart.parts[i])

    def at(self, rows):
        """Who knows the labels of some rows."""
        return self._of(self.streamed.at(rows), lambda: at(self.apart.parts, rows, self.backend))

    def _of(self, streamed, part):
        return _Remaining(streamed, self.apart, self.backend, part)

    def beside(self, codes, s):
        """As that of a source, and the offset that excludes classes, or None."""
        (y, s, splits), apart = self.streamed.beside(codes, s), self.part()
        return y, _weights(s, apart), splits, _excluding(None, y, apart, np.float64)


def _weights(s, apart):
    return np.where(apart.all(axis=1), 0.0, 1.0 if s is None else s)


def _others(y, apart):
    """The excluded classes of rows that keep several."""
    own = np.arange(apart.shape[1]) == y[:, None]
    return apart & ~apart.all(axis=1, keepdims=True) & ~own


def _excluding(offset, y, apart, dtype):
    """An offset (rows, outputs) where the probabilities of the classes in `apart` are zero."""
    apart = _others(y, apart)
    if not apart.any():
        return offset
    offset = np.zeros((len(apart), 1)) if offset is None else offset
    return np.where(apart, offset.min(axis=1, keepdims=True) - _IMPOSSIBLE, offset).astype(dtype)
