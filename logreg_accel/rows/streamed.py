"""Blocks in a Store with their labels and weights: the counterpart of `data.Labelled` for a source."""

import contextlib
import hashlib
import itertools
from typing import Any, NamedTuple

import numpy as np

from ..data import Block, compute_dtype


class Streamed(NamedTuple):
    """Blocks with their labels, in place of `data.Labelled` if X is a source.

    Attributes
    ----------
    store : Store
    names : list of str or None
    classes : ndarray
    places : ndarray
        The class of each code in the blocks.
    totals : tuple of ndarray
        Rows of each class, and sums, largest and least positive of their weights.
    memory : int
    factors : ndarray (n_classes,) or None
        Class weights.
    rounded : dict or None
        For each column, how many integers float64 cannot represent.
    """

    store: Any
    names: Any
    classes: np.ndarray
    places: np.ndarray
    totals: tuple
    memory: int
    factors: Any = None
    rounded: Any = None

    @property
    def taken(self):
        """Bytes of labels and weights that are in memory."""
        return 0

    @property
    def block(self):
        """The facts about X that a fit needs before there are Rows: shape, dtype and size."""
        return Block(self.store, None)

    @property
    def weighted(self):
        return self.store.kind.weighted or self.factors is not None

    @property
    def _factors(self):
        return np.ones(len(self.classes)) if self.factors is None else self.factors

    @property
    def weight_scale(self):
        """A power of two that brings the largest weight to between 1 and 2."""
        if not self.weighted:
            return 1.0
        return 2.0 ** (np.frexp(float((self._factors * self.totals[2]).max()))[1] - 1)

    @property
    def total_weight(self):
        """Σᵢ sᵢ of the weights that the user gave."""
        return float((self._factors * self.totals[1]).sum())

    @property
    def class_shares(self):
        """Shares of the classes in the row weights, with and without `class_weight`, (2, n_classes)."""
        sums = self.totals[1]
        weighted = self._factors * sums
        return np.array([weighted / weighted.sum(), sums / sums.sum()])

    @property
    def least_weight(self):
        """The smallest positive sᵢ, without the scale."""
        least = np.where(self._factors > 0, self._factors * self.totals[3], np.inf)
        return float(least.min()) / self.weight_scale

    def of_blocks(self):
        """For every block, who knows the labels of its rows."""
        return itertools.repeat(self)

    def at(self, rows):
        """The object that knows the labels of some rows."""
        return self

    def beside(self, codes, s):
        """Class codes, weights in float64 or None, and no split bits, from what a block has of some rows."""
        y = np.take(self.places, codes, mode="clip")  # the other modes copy their result
        if not self.weighted:
            return y, None, None
        weights = self._factors[y] if s is None else s if self.factors is None else s * self.factors[y]
        weights = weights / self.weight_scale
        weights[weights.astype(compute_dtype(self.store.dtype)) == 0] = 0
        return y, weights, None

    def in_memory(self):
        """Class codes of all rows, and their weights, float64, as the user gave them, or None."""
        codes = np.empty(self.store.shape[0], dtype=self.places.dtype)
        weights = np.empty(len(codes)) if self.store.kind.weighted else None
        stop = 0
        with contextlib.closing(self.store.beside()) as blocks:
            for own, s in blocks:
                start, stop = stop, stop + len(own)
                codes[start:stop] = self.places[own]
                if weights is not None:
                    weights[start:stop] = s
        return codes, weights

    def fingerprint(self):
        """A fingerprint that distinguishes these rows and labels from others."""
        known = hashlib.sha256(repr((self.store.kind, self.store.shape, self.classes.tolist())).encode())
        for layout, sums in zip(self.store.layouts, self.store.sums, strict=True):
            known.update(repr(layout).encode() + sums.tobytes())
        known.update(self.places.tobytes())
        return known.hexdigest()


class Relabelled(NamedTuple):
    """Blocks in a Store with labels and weights from elsewhere, of one or several models.

    Attributes
    ----------
    store : Store
        Where X is.
    classes : ndarray
    memory, taken : int
        Bytes for a fit, and the bytes that labels and weights of all rows take in addition.
    labels : function (rows) -> codes, weights or None, split bits or None
        For a slice of rows, or for rows by number. It is called for each block on every read, since keeping
        the weights of all rows would take eight bytes per row.
    weights : (total, largest, least positive), or None
        Facts about the weights; None if all are one.
    rows : slice or ndarray
        The rows whose labels `beside` returns.
    class_shares : ndarray (2, n_classes) or None
        As in `Labelled`, for one model.
    """

    store: Any
    classes: np.ndarray
    memory: int
    taken: int
    labels: Any
    weights: Any = None
    rows: Any = slice(None)
    class_shares: Any = None

    @property
    def block(self):
        """The facts about X, as in `Streamed`."""
        return Block(self.store, None)

    @property
    def weighted(self):
        return self.weights is not None

    @property
    def weight_scale(self):
        """As in `Streamed`, like the other properties."""
        return 2.0 ** (np.frexp(self.weights[1])[1] - 1) if self.weighted and self.weights[1] else 1.0

    @property
    def total_weight(self):
        return self.weights[0] if self.weighted else float(self.store.shape[0])

    @property
    def least_weight(self):
        return self.weights[2] / self.weight_scale

    def of_blocks(self):
        """For every block, who knows the labels of its rows."""
        stop = 0
        for rows, _ in self.store.layouts:
            start, stop = stop, stop + rows
            yield self.at(slice(start, stop))

    def at(self, rows):
        """Who knows the labels of some rows."""
        return self._replace(rows=rows)

    def beside(self, codes, s):
        """Class codes, weights or None, and split bits or None, in place of those in the block."""
        y, s, splits = self.labels(self.rows)
        return y, s if s is None else s / self.weight_scale, splits
