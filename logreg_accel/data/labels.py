"""Conversion of the user's labels and weights to a code and a weight for each row."""

import numbers
from typing import Any

import numpy as np

from .convert import is_numpy_like, refuse_masked, to_host

two_on_device: Any = None
"""The backends' function of labels in a GPU's memory: the least, the greatest, codes of these two, how many
are the greatest, how many are neither; or None."""
_MISSING = {"<NA>", "nan", "NaT"}  # as strings
_SCANS = 6  # of all labels, beyond which hashing them takes less
_HASHED_FROM = 64  # labels: of fewer, all is said in no time


def as_labels(y, on_device=False):
    """Convert y to a 1-d array of labels: on the host, or with `on_device` numbers where they lie.

    Raises
    ------
    ValueError
        y is not one-dimensional, is empty or has masked entries.
    """
    from sklearn.utils import column_or_1d

    if on_device and is_numpy_like(y) and len(y.shape) == 1 and len(y) and y.dtype.kind in "iubf":
        return y
    if not (type(y) is np.ndarray and y.ndim == 1):
        y = to_host(y)
        refuse_masked(y, "y")
        y = column_or_1d(y, warn=True)
    if len(y) == 0:
        raise ValueError(
            "Found array with 0 sample(s): `y` is empty; expected at least one label of each of two classes."
        )
    return y


def encode_labels(y):
    """Find the sorted classes among labels, and the code of each label.

    Parameters
    ----------
    y : array (n_samples,)
        Numbers, bools or strings; or numbers on a device, which NumPy's functions look at there.

    Returns
    -------
    classes : ndarray (n_classes,)
    codes : array (n_samples,)
        Of the smallest unsigned integer type that can hold them, where y lies.
    counts : sequence of int (n_classes,) or None
        Rows of each class, where looking for the classes has counted them.

    Raises
    ------
    ValueError
        There is only one class, a label is missing, or the numbers look like a regression target.
    """
    numbers = is_numpy_like(y) or y.dtype.kind in "iu"
    if (found := _two_classes(y)) is not None:
        return found
    if (found := _whole_numbers(y) if numbers else _strings(y)) is not None:
        return *found, None
    y = to_host(y)
    from sklearn.utils.multiclass import check_classification_targets

    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y))[0])
        raise ValueError(f"Input `y` contains NaN or infinity, first in row {row}. Drop those rows.")
    if y.dtype.kind in "mM" and np.isnat(y).any():
        raise ValueError(
            f"Input `y` contains NaT, first in row {int(np.flatnonzero(np.isnat(y))[0])}. Drop those rows."
        )
    if y.dtype.kind == "O":
        missing = [row for row, label in enumerate(y.tolist()) if label is None or str(label) in _MISSING]
        if missing:
            raise ValueError(
                f"Input `y` contains a missing label (None or NaN), first in row {missing[0]}. "
                "Drop those rows."
            )
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"`y` has only one class, {classes.tolist()[0]!r}; at least two are needed to fit a classifier."
        )
    return classes, codes.astype(np.min_scalar_type(len(classes) - 1)), None


def _strings(y):
    """Classes and codes of strings that repeat, by hashing: sorting them takes longer than many a fit.

    None where they are something else, or where only few repeat.
    """
    if y.dtype.kind not in "OU" or len(y) < _HASHED_FROM:
        return None
    if y.dtype.kind == "U" and (found := _few_strings(y)) is not None:
        return found
    labels = y.tolist()
    seen = dict.fromkeys(labels)
    if not (1 < len(seen) <= len(y) // 2 and all(type(label) is str for label in seen)):
        return None
    classes = np.sort(np.array(list(seen), dtype=y.dtype))
    if _MISSING & seen.keys():
        return None
    code = {label: i for i, label in enumerate(classes.tolist())}
    kind = np.min_scalar_type(len(classes) - 1)
    return classes, np.fromiter(map(code.__getitem__, labels), dtype=kind, count=len(y))


def _few_strings(y):
    """The same for strings of one width that are compared in a few scans; None where they are too many."""
    codes, found, left = np.empty(len(y), dtype=np.uint8), [], np.ones(len(y), dtype=bool)
    while left.any():
        if len(found) == _SCANS:
            return None
        same = y == y[left.argmax()]
        codes[same] = len(found)
        found.append(y[left.argmax()])
        left &= ~same
    classes = np.array(found, dtype=y.dtype)
    order = np.argsort(classes)
    if len(classes) < 2 or _MISSING & set(found):
        return None
    return classes[order], np.argsort(order).astype(np.uint8)[codes]


def _two_classes(y):
    """Classes and codes of two whole numbers by two scans: np.unique's sort can cost more than a pass."""
    if y.dtype.kind not in "iubf":
        return None
    if is_numpy_like(y) and two_on_device is not None and (told := two_on_device(y)) is not None:
        low, high, codes, count, neither = told
        return None if neither else _two(low, high, y, codes, count)
    low, high = y.min().item(), y.max().item()
    is_high = y == high
    if not (is_high | (y == low)).all():
        return None
    return _two(low, high, y, is_high.view(np.uint8), int(np.count_nonzero(is_high)))  # faster than a sum


def _two(low, high, y, codes, count):
    """Two classes, `count` labels of the second one, if they are different whole numbers."""
    if low == high or not np.isfinite([low, high]).all() or [low, high] != [round(low), round(high)]:
        return None
    return np.array([low, high], dtype=y.dtype), codes, (len(y) - count, count)


def _whole_numbers(y):
    """Classes and codes of more whole numbers; None where they are something else, or hardly repeat."""
    if y.dtype.kind == "f" and not (y == np.round(y)).all():
        return None
    classes, codes = np.unique(y, return_inverse=True)
    if not 2 < len(classes) <= len(y) // 2:
        return None
    return to_host(classes), codes.astype(np.min_scalar_type(len(classes) - 1))


def codes_of(y, classes):
    """Return the index of each label in the sorted classes.

    Raises
    ------
    ValueError
        Some labels are not among the classes.
    """
    codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    strange = classes[codes] != y
    if strange.any():
        raise ValueError(
            f"`y` has labels that are not in `classes`: {np.unique(np.asarray(y)[strange])[:5].tolist()}; "
            f"the classes are {classes.tolist()}."
        )
    return codes.astype(np.min_scalar_type(len(classes) - 1))


def as_weights(sample_weight, n_samples, on_device=False):
    """Convert sample_weight to float64 (n_samples,), with `on_device` where it lies; None if it is None.

    Raises
    ------
    ValueError
        The shape is wrong, or weights are no real numbers, non-finite, negative or all zero.
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
        raise ValueError(f"`sample_weight` has shape {s.shape}; expected one weight a row, ({n_samples},).")
    bad = ~np.isfinite(s) | (s < 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        found = f"{float(s[row])} in row {row}"
        raise ValueError(f"`sample_weight` must be finite and not negative: Negative values or NaN, {found}.")
    if not s.any():
        raise ValueError(
            "Sample weights must contain at least one non-zero number; "
            "every entry of `sample_weight` is zero."
        )
    return s


def as_offset(offset, n_samples, n_classes):
    """Convert an offset to float64 (n_samples, 1), of several classes (n_samples, n_classes); None if it is.

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
        what = "one number a row" if n_classes == 2 else "one number a row and class"
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
        return given.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be real numbers, one a row: {error}.") from error


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
        totals = to_host(np.bincount(codes, s, minlength=n_classes))
    return np.asarray(totals, dtype=np.float64) / np.sum(totals)


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
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ValueError(
                f"`class_weight` has labels that are not in `y`: {unknown}; the classes are "
                f"{classes.tolist()}."
            )
        given = [class_weight.get(label, 1.0) for label in classes.tolist()]
        numeric = all(isinstance(weight, numbers.Real) for weight in given)
        per_class = np.array(given if numeric else np.nan, dtype=np.float64)
        if not (np.isfinite(per_class).all() and (per_class >= 0).all()):
            raise ValueError(
                f"`class_weight` is {class_weight}; expected finite numbers that are not negative."
            )
    else:
        raise ValueError(f"`class_weight` is {class_weight!r}; expected a dict, 'balanced' or None.")
    return per_class
