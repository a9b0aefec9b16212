"""Conversion of the user's weights and offsets to a number for each row, and totals of weights."""

import numbers
from functools import cached_property

import numpy as np

from .convert import is_numpy_like, refuse_masked, to_host
from .stored import looks_at


class _Weights:
    """Totals of weights on the host, each computed when needed, since no caller needs all of them.

    Attributes
    ----------
    strange : int or None
        The first row whose weight is not finite, or negative.
    largest, total, least : float
        `least` is the smallest positive weight, or inf if there is none.
    positive : int
        How many are positive.
    """

    def __init__(self, s):
        self.s = s

    @cached_property
    def strange(self):
        bad = ~np.isfinite(self.s) | (self.s < 0)
        return int(bad.argmax()) if bad.any() else None

    @cached_property
    def largest(self):
        return float(self.s.max(initial=0))

    @cached_property
    def total(self):
        return float(self.s.sum(dtype=np.float64))

    @cached_property
    def least(self):
        return float(np.where(self.s > 0, self.s, np.inf).min(initial=np.inf))

    @cached_property
    def positive(self):
        return int(np.count_nonzero(self.s > 0))


def weighed(s):
    """The totals of weights (n_samples,): see `_Weights`; all at once if they are on a device."""
    there = looks_at(s)
    told = None if there is None else there.weights(s)
    return _Weights(s) if told is None else told


def positive_rows(s):
    """The numbers of rows with a positive weight, on the device of the weights; None if all are positive."""
    count = weighed(s).positive
    if count == len(s):
        return None
    there = looks_at(s)
    return np.flatnonzero(s > 0) if there is None else there.positive_rows(s, count)


def scaled(s, real):
    """Weights divided by a power of two, and that power.

    It brings the largest weight to between 1 and 2, so that any weights fit into float32, without rounding.
    The result stays in float64, since proofs need exact weights. Weights too small for `real`, the arithmetic
    of the passes, become zero.
    """
    scale = 2.0 ** (np.frexp(weighed(s).largest)[1] - 1)
    there = looks_at(s)
    if there is not None:
        return there.scaled(s, scale, real), scale
    s = s / scale
    s[s.astype(real) == 0] = 0
    return s, scale


def as_weights(sample_weight, n_samples, on_device=False):
    """Convert sample_weight to float64 (n_samples,), with `on_device` on its device; None if it is None.

    Raises
    ------
    ValueError
        The shape is wrong, or weights are not real numbers, not finite, negative or all zero.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, numbers.Number):
        sample_weight = np.full(n_samples, sample_weight)
    if not (on_device and is_numpy_like(sample_weight)):
        sample_weight = to_host(sample_weight)
        refuse_masked(sample_weight, "sample_weight")
    s = _as_real(sample_weight)
    if s.shape != (n_samples,):
        raise ValueError(f"`sample_weight` has shape {s.shape}; expected one weight per row, ({n_samples},).")
    look = weighed(s)
    if look.strange is not None:
        found = f"{float(s[look.strange])} in row {look.strange}"
        raise ValueError(f"`sample_weight` must be finite and not negative: Negative values or NaN, {found}.")
    if not look.largest:
        raise ValueError(
            "Sample weights must contain at least one non-zero number; "
            "every entry of `sample_weight` is zero."
        )
    return s


def as_offset(offset, n_samples, n_classes):
    """Convert an offset to float64 (n_samples, 1), or (n_samples, n_classes); None remains None.

    Raises
    ------
    ValueError
        The shape is wrong, or numbers are not real or not finite.
    """
    if offset is None:
        return None
    offset = to_host(offset)
    refuse_masked(offset, "offset")
    offset = _as_real(offset, "offset")
    expected = (n_samples,) if n_classes == 2 else (n_samples, n_classes)
    if n_classes == 2 and offset.shape == (n_samples, 1):
        offset = offset[:, 0]
    if offset.shape != expected:
        what = "one number per row" if n_classes == 2 else "one number per row and class"
        raise ValueError(f"`offset` has shape {offset.shape}; expected {what}, {expected}.")
    bad = ~np.isfinite(offset)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise ValueError(f"`offset` has a number that is not finite, first in row {row}.")
    return np.ascontiguousarray(offset.reshape(n_samples, -1))


def _as_real(sample_weight, name="sample_weight"):
    given = sample_weight if is_numpy_like(sample_weight) else np.asarray(sample_weight)
    try:
        if given.dtype.kind in "cmM":  # NumPy would take a part of each number, or count seconds
            raise TypeError(f"dtype {given.dtype}")
        there = looks_at(given)
        return given.astype(np.float64, copy=False) if there is None else there.in_float64(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be real numbers, one per row: {error}.") from error


def shares_of_classes(codes, s, n_classes, counts=None):
    """The share of each class in the weights, (n_classes,) on the host; `s` is None for ones.

    `counts` has the rows of each class where they are known.
    """
    if s is None and counts is not None:
        totals = counts
    elif s is None and n_classes == 2:  # much faster than bincount
        totals = [0, int(np.count_nonzero(codes))]
        totals[0] = len(codes) - totals[1]
    else:
        totals = class_totals(codes, s, n_classes)
    return np.asarray(totals, dtype=np.float64) / np.sum(totals)


def class_totals(codes, s, n_classes):
    """Sums of the weights of each class, (n_classes,) on the host; `s` is None for ones."""
    there = looks_at(codes)
    told = None if there is None else there.class_totals(codes, s, n_classes)
    return to_host(np.bincount(codes, s, minlength=n_classes)) if told is None else told[1]


def class_weights(class_weight, classes, codes, s):
    """Multiply sample weights by the class weight of each row.

    Returns a new array, or `s` itself if there are no class weights; and the weights of the classes, or None.
    """
    if class_weight is None:
        return s, None
    totals = np.bincount(codes, weights=s, minlength=len(classes))
    per_class = factors_of(class_weight, classes, totals)
    return per_class[codes] if s is None else s * per_class[codes], per_class


def factors_of(class_weight, classes, totals):
    """The weight of each class, float64 (n_classes,); totals are sums of the weights of samples."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        per_class = totals.sum() / (len(classes) * np.where(totals > 0, totals, 1))
    elif isinstance(class_weight, dict):
        places = {label: np.flatnonzero(classes == label) for label in class_weight}
        unknown = [label for label, found in places.items() if not len(found)]
        # Some rows, such as those of a split, may lack a rare class; only where a class of theirs has no
        # weight is a label probably misspelt. scikit-learn has the same rule.
        if unknown and len(class_weight) - len(unknown) < len(classes):
            raise ValueError(
                f"`class_weight` has labels that are not in `y`: {unknown}; the classes are "
                f"{classes.tolist()}."
            )
        given = [1.0] * len(classes)
        for label, found in places.items():
            for place in found:
                given[place] = class_weight[label]
        numeric = all(isinstance(weight, numbers.Real) for weight in given)
        per_class = np.array(given if numeric else np.nan, dtype=np.float64)
        if not (np.isfinite(per_class).all() and (per_class >= 0).all()):
            raise ValueError(
                f"`class_weight` is {class_weight}; expected finite numbers that are not negative."
            )
    else:
        raise ValueError(f"`class_weight` is {class_weight!r}; expected a dict, 'balanced' or None.")
    return per_class
