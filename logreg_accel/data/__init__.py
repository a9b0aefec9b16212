"""Rows of data as the passes see them: a `Block`, which `as_labelled` makes from the user's input."""

from typing import Any, NamedTuple

import numpy as np

from . import repeated
from .centred import centre_of, centred, look_at, spread_of
from .convert import as_array, as_matrix, is_numpy_like, to_host
from .finer import IN_UNITS, finer
from .labels import as_labels, codes_of, encode_labels, encoded
from .matrix import Matrix
from .packed import fingerprint
from .stored import compute_dtype, is_on_device, storage_dtype
from .weights import (
    as_offset,
    as_weights,
    class_totals,
    class_weights,
    factors_of,
    positive_rows,
    scaled,
    shares_of_classes,
    weighed,
)

__all__ = [
    "IN_UNITS",
    "Block",
    "Labelled",
    "Matrix",
    "as_array",
    "as_labelled",
    "as_labels",
    "as_matrix",
    "as_offset",
    "as_weights",
    "centre_of",
    "centred",
    "compute_dtype",
    "encode_labels",
    "encoded",
    "factors_of",
    "finer",
    "is_on_device",
    "look_at",
    "positive_rows",
    "spread_of",
    "storage_dtype",
    "weighed",
]


class Block(NamedTuple):
    """Some rows of data.

    Attributes
    ----------
    X : Matrix (rows, n_features)
        On the host or a device.
    y : array (rows,) or (rows, targets), or None
        Class codes, of one target or several.
    sample_weight : array (rows,) or None
        In the arithmetic of X; None stands for ones.
    splits : array (rows, ⌈splits/8⌉) of uint8, or None
        Bit j % 8 of byte j // 8 says whether split j trains on the row.
    offset : array (rows, 1) or (rows, outputs), or None
        Added to the margins, float64.
    """

    X: Any
    y: Any
    sample_weight: Any = None
    splits: Any = None
    offset: Any = None


class Labelled(NamedTuple):
    """Checked rows with their labels.

    Attributes
    ----------
    block : Block
    classes : ndarray
        Sorted labels; code i stands for classes[i].
    weight_scale : float
        The factor that turns the block's weights into the user's.
    class_weights : ndarray (n_classes,) or None
        The class weights that the block's weights contain.
    counts : sequence of int (n_classes,) or None
        Rows of each class, where they are known.
    """

    block: Block
    classes: np.ndarray
    weight_scale: float = 1.0
    class_weights: Any = None
    counts: Any = None

    @property
    def class_shares(self):
        """Shares of the classes in the row weights, with and without `class_weight`, (2, n_classes)."""
        shares = shares_of_classes(self.block.y, self.block.sample_weight, len(self.classes), self.counts)
        if self.class_weights is None:
            return np.array([shares, shares])
        plain = np.divide(shares, self.class_weights, out=np.zeros_like(shares), where=self.class_weights > 0)
        return np.array([shares, plain / plain.sum()])

    def fingerprint(self):
        """A fingerprint that distinguishes these rows and labels from others."""
        X, y, s, _, offset = self.block
        stored = [X.stored]
        if X.compressed:
            stored = [getattr(X.stored, name) for name in ("data", "indices", "indptr")]
        rest = (np.zeros(0) if array is None else to_host(array) for array in (y, s, offset))
        return fingerprint(*map(to_host, stored), *rest, self.classes, np.array([self.weight_scale]))

    @property
    def total_weight(self):
        """Σᵢ sᵢ of the weights that the user gave."""
        s = self.block.sample_weight
        total = float(self.block.X.shape[0]) if s is None else weighed(s).total
        return total * self.weight_scale


def as_labelled(X, y, sample_weight=None, class_weight=None, classes=None, offset=None):
    """Check X, y and the weights and lay them out for the passes, without copying X where possible.

    Parameters
    ----------
    X : Matrix, array, frame or table (n_samples, n_features)
        See `as_array`.
    y : array-like (n_samples,)
        Labels of two or more classes, of any kind.
    sample_weight : array-like (n_samples,), number or None
    class_weight : dict, "balanced" or None
    classes : ndarray or None
        All labels, sorted, not all of which have to occur in y; None takes those found in y.
    offset : array-like (n_samples,), of more than two classes also (n_samples, n_classes), or None

    Returns
    -------
    Labelled

    Raises
    ------
    ValueError, TypeError
        The input is wrong in any way other than non-finite values of X, which the first pass finds.
    """
    X = as_matrix(X)
    # Labels on a device stay there, unless they are needed on the host.
    weights_there = sample_weight is None or is_numpy_like(sample_weight)
    there = X.on_device and weights_there and class_weight is None and classes is None
    given = classes
    found = None if given is not None else repeated.given(y)
    y = as_labels(y, there) if found is None else y
    if len(y) != X.shape[0]:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"`X` has {X.shape[0]} rows and `y` {len(y)}. Give one label per row."
        )
    if given is None:
        classes, codes, counts = found or encode_labels(y)
    else:
        codes, counts = codes_of(y, given), None
    there = there and is_on_device(codes)
    s = as_weights(sample_weight, X.shape[0], there)
    s, of_classes = class_weights(class_weight, classes, codes, s)
    offset = as_offset(offset, X.shape[0], len(classes))
    if s is None:
        return Labelled(Block(X, codes, offset=offset), classes, counts=counts)
    if given is None:
        _check_weights_of_classes(classes, codes, s)
    s, scale = scaled(s, compute_dtype(X.dtype))
    return Labelled(Block(X, codes, s, offset=offset), classes, scale, of_classes, counts)


def _check_weights_of_classes(classes, codes, s):
    absent = np.flatnonzero(class_totals(codes, s, len(classes)) == 0)
    if len(absent) >= len(classes) - 1:
        raise ValueError(
            "`y` has only one class among the samples with a positive weight; two classes are needed. "
            "Check `sample_weight` and `class_weight`."
        )
    if len(absent):
        raise ValueError(
            f"`y` has classes without a sample of positive weight: {classes[absent].tolist()}. "
            "Leave their rows out."
        )
