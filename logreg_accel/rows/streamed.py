"""Blocks in a Store with their labels and weights: what `data.Labelled` is where X is a source."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from ..data import Block, compute_dtype


class Streamed(NamedTuple):
    """Blocks with their labels; in place of `data.Labelled` where X is a source.

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
    """

    store: Any
    names: Any
    classes: np.ndarray
    places: np.ndarray
    totals: tuple
    memory: int
    factors: Any = None

    @property
    def block(self):
        """What a fit asks of X before there are Rows: shape, dtype and size."""
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
        """Shares of the classes in the weights, and without those of classes, (2, n_classes)."""
        sums = self.totals[1]
        weighted = self._factors * sums
        return np.array([weighted / weighted.sum(), sums / sums.sum()])

    @property
    def least_weight(self):
        """The smallest positive sᵢ, beside the scale."""
        least = np.where(self._factors > 0, self._factors * self.totals[3], np.inf)
        return float(least.min()) / self.weight_scale

    def beside(self, codes, s):
        """Class codes, and weights in float64 or None, of rows that have these in their block."""
        y = self.places[codes]
        if not self.weighted:
            return y, None
        weights = self._factors[y] if s is None else s if self.factors is None else s * self.factors[y]
        weights = weights / self.weight_scale
        weights[weights.astype(compute_dtype(self.store.dtype)) == 0] = 0
        return y, weights

    def fingerprint(self):
        """What tells these rows and labels from others."""
        known = hashlib.sha256(repr((self.store.kind, self.store.shape, self.classes.tolist())).encode())
        for layout, sums in zip(self.store.layouts, self.store.sums, strict=True):
            known.update(repr(layout).encode() + sums.tobytes())
        known.update(self.places.tobytes())
        return known.hexdigest()
