"""Warnings about integers beyond 2⁵³: passes compute in float64, which cannot represent all of them.

Two account numbers or two times in nanoseconds may become equal. The fit continues: coefficients are right if
the numbers differ by much more than the spacing of float64.
"""

import math
import re
import warnings
from collections import Counter

import numpy as np
from sklearn.exceptions import DataConversionWarning

from .convert import columns_of_int64

_EXACT = 1 << 53
_LONG = re.compile(r"\s*[-+]?\d{16,}\s*")


def rounded(X):
    """Count the numbers of each column that float64 rounds: a Counter by name, or by position without names.

    Parameters
    ----------
    X : array, sparse matrix, frame, table or dict of arrays
        The user's input before it is converted; for arrays on a device nothing is counted.
    """
    counts = {name: _count(values) for name, values in _whole(X)}
    return Counter({name: count for name, count in counts.items() if count})


def beyond(columns):
    """The names of those float64 columns of a dict that have a number which may have been rounded."""
    return [
        name
        for name, values in columns.items()
        if values.size and (values.max() >= _EXACT or values.min() <= -_EXACT)
    ]


def rounded_texts(column):
    """Count the integers of an Arrow column of text that float64 rounds."""
    long = (text for text in column.to_pylist() if text and _LONG.fullmatch(text))
    return sum(abs(float(text)) == math.inf or int(float(text)) != int(text) for text in long)


def warn_rounded(counts):
    """Give a DataConversionWarning if `rounded` has counted any numbers."""
    if counts:
        listed = ", ".join(f"{name!r} ({count:,})" for name, count in list(counts.items())[:5])
        warnings.warn(
            "Integers beyond 2**53 are rounded to float64 in some rows (their number in brackets) of these "
            f"columns: {listed}{', ...' if len(counts) > 5 else ''}. Identifiers are not features: leave "
            "them out, or treat them as levels. From times, subtract a common time near to all of them.",
            DataConversionWarning,
            stacklevel=3,
        )


def _whole(X):
    """Pairs (name, array) of the columns of 64-bit integers."""
    if isinstance(X, dict):
        yield from X.items()
    elif isinstance(X, np.ndarray):
        if X.ndim == 2 and _is_wide(X.dtype) and X.size and _beyond(X):
            yield from enumerate(X.T)
    elif hasattr(X, "tocsr"):
        if _is_wide(X.dtype) and isinstance(X.dtype, np.dtype) and _beyond(X.tocsr().data):
            columns = X.tocsc()
            for j in range(X.shape[1]):
                yield j, columns.data[columns.indptr[j] : columns.indptr[j + 1]]
    elif hasattr(X, "columns"):
        yield from columns_of_int64(X)


def _is_wide(dtype):
    return getattr(dtype, "kind", "") in ("i", "u") and dtype.itemsize == 8


def _beyond(values):
    """Which numbers are beyond 2⁵³, in less time than a pass takes."""
    return bool(values.size) and (int(values.max()) > _EXACT or int(values.min()) < -_EXACT)


def _count(values):
    if not _is_wide(getattr(values, "dtype", None)) or not _beyond(values):
        return 0
    # Converting back would work, too, except for the largest ones, whose rounded values overflow.
    bits = values.astype(np.uint64)
    size = np.where(values < 0, 0 - bits, bits)
    lowest = size & (0 - size)
    return int(np.count_nonzero(size // np.maximum(lowest, 1) >= _EXACT))
