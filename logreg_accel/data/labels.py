"""Conversion of the user's labels to a code for each row."""

import numpy as np

from . import repeated
from .convert import is_numpy_like, refuse_masked, to_host
from .stored import looks_at

_MISSING = {"None", "<NA>", "nan", "NaT"}  # what objects without a value look like
_MOST_IN_TABLE = 1 << 16
_MOST = 1 << 62  # a float beyond this may not fit into int64


def as_labels(y, on_device=False):
    """Convert y to a 1-d array of labels: on the host, or with `on_device` numbers on their device.

    Raises
    ------
    ValueError
        y is None, is not one-dimensional, is empty or has masked entries.
    """
    if y is None:
        raise ValueError(
            "This estimator requires y to be passed, but the target y is None: give `y`, one label per row."
        )
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


def encoded(y):
    """Classes, codes and counts of labels in any container; see `encode_labels`."""
    return repeated.given(y) or encode_labels(as_labels(y))


def encode_labels(y):
    """Find the sorted classes among labels, and the code of each label.

    Parameters
    ----------
    y : array (n_samples,)
        Numbers, bools or strings; or numbers on a device, on which NumPy's functions work there.

    Returns
    -------
    classes : ndarray (n_classes,)
    codes : array (n_samples,)
        Of the smallest sufficient unsigned integer type, on the device of y.
    counts : sequence of int (n_classes,) or None
        Rows of each class, if they were counted in passing.

    Raises
    ------
    ValueError
        There is only one class, a label is missing, or the numbers look like a regression target.
    """
    numbers = is_numpy_like(y) or y.dtype.kind in "iuf"
    if (found := _there(y) or _two_classes(y)) is not None:
        return found
    if (found := _whole_numbers(y) if numbers else repeated.strings(y)) is not None:
        return found
    y = to_host(y)
    from sklearn.utils.multiclass import check_classification_targets

    missing = missing_labels(y)
    if missing.any():
        what = {"f": "NaN or infinity", "O": "a missing label (None or NaN)"}.get(y.dtype.kind, "NaT")
        raise ValueError(f"Input `y` contains {what}, first in row {int(missing.argmax())}. Drop those rows.")
    if y.dtype.kind == "O" and len({isinstance(label, str) for label in y.tolist()}) > 1:
        kinds = ", ".join(sorted({type(label).__name__ for label in y.tolist()}))
        raise ValueError(
            f"Unknown label type: `y` has labels of types {kinds}, which have no common order; convert "
            "all of them to text, such as by list(map(str, y))."
        )
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"`y` has only one class, {classes.tolist()[0]!r}; at least two are needed to fit a classifier."
        )
    return classes, codes.astype(np.min_scalar_type(len(classes) - 1)), None


def values_of(labels):
    """Labels as values to look up: of times in nanoseconds, which Python has not, NumPy's values."""
    values = labels.tolist()
    return list(labels) if labels.dtype.kind in "mM" and values and isinstance(values[0], int) else values


def missing_labels(y):
    """Which entries of an array are no labels, as bools: None, NaN, infinity, NaT, NA, but not such texts."""
    if y.dtype.kind == "f":
        return ~np.isfinite(y)
    if y.dtype.kind in "mM":
        return np.isnat(y)
    if y.dtype.kind != "O":
        return np.zeros(len(y), dtype=bool)
    no_text = ((label, isinstance(label, str)) for label in y.tolist())
    return np.array([not text and str(label) in _MISSING for label, text in no_text], dtype=bool)


def _there(y):
    """Classes, codes and counts of integers in GPU memory; None for other labels."""
    there = looks_at(y)
    if there is None or (told := there.two_labels(y)) is None:
        return None
    low, high, codes, count, neither = told
    if not neither:
        return _two(low, high, y, codes, count)
    found = there.several_labels(y, low, high)
    return found and (*found, None)


def _two_classes(y):
    """Classes and codes of two different integers by two scans: np.unique's sort can cost more than a
    pass."""
    if y.dtype.kind not in "iubf":
        return None
    low, high = y.min().item(), y.max().item()
    is_high = y == high
    if not (is_high | (y == low)).all():
        return None
    return _two(low, high, y, is_high.view(np.uint8), int(np.count_nonzero(is_high)))  # faster than a sum


def _two(low, high, y, codes, count):
    """Two classes and `count`, the number of labels of the second, if they are different integers."""
    if low == high or not np.isfinite([low, high]).all() or [low, high] != [round(low), round(high)]:
        return None
    return np.array([low, high], dtype=y.dtype), codes, (len(y) - count, count)


def _whole_numbers(y):
    """Classes, codes and counts of more than two integers; None for other labels and where few repeat."""
    if y.dtype.kind == "f" and not (y == np.round(y)).all():
        return None
    if (found := _close_together(y)) is not None:
        return found
    classes, codes = np.unique(y, return_inverse=True)
    if not (2 < len(classes) <= len(y) // 2 and np.isfinite(classes[[0, -1]]).all()):
        return None
    return to_host(classes), codes.astype(np.min_scalar_type(len(classes) - 1)), None


def _close_together(y):
    """As `_whole_numbers`, for labels so close together that a table of their range replaces a sort."""
    if not isinstance(y, np.ndarray):
        return None
    low, high = y.min().item(), y.max().item()
    if max(-low, high) > _MOST or not high - low < min(_MOST_IN_TABLE, len(y)):
        return None
    whole = y.dtype if y.dtype.kind in "iu" else np.dtype(np.int64)
    # Differences that wrap come out right in the unsigned type that has room for all of them.
    places = y.astype(whole, copy=False) - whole.type(low)
    places = places.astype(np.min_scalar_type(int(high - low)), copy=False)
    counts = np.bincount(places)
    there = np.flatnonzero(counts)
    if not 2 < len(there) <= len(y) // 2:
        return None
    classes = (there.astype(whole) + whole.type(low)).astype(y.dtype, copy=False)
    if len(there) < len(counts):
        table = np.zeros(len(counts), dtype=np.min_scalar_type(len(there) - 1))
        table[there] = np.arange(len(there))
        places = table[places]
    return classes, places, counts[there]


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
