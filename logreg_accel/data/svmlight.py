"""Lines of svmlight files, `label index:value ...` with indices from 1 on; scikit-learn parses them."""

import io
import itertools

import numpy as np

from .opening import open_unpacked

_LINES = 1 << 12  # lines that are parsed at once in a search for a bad one
_WIDE = 2**31 - 2  # columns that are allowed, since some of the lines do not show how many there are


def lines_of(path, least_features=0, offset=0, length=-1):
    """Return X in compressed rows, and y (of integers, if all are), of the lines that begin in a byte range.

    Parameters
    ----------
    path : str
    least_features : int
        The least number of columns; entries further right make more of them.
    offset, length : int
        The byte range, of a file that is not compressed; the default is the whole file.

    Raises
    ------
    ValueError
        A line is not in the format; the message has its number.
    """
    try:
        X, y = _parsed(path, offset, length)
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        line, error = _first_bad(path, offset) or ("", error)
        raise ValueError(
            f"{path!r} is not a readable svmlight file ({error}){line}. Its lines are 'label index:value "
            "...', indices from 1 on."
        ) from error
    X.resize(X.shape[0], max(int(X.indices.max()) + 1 if X.nnz else 0, least_features))
    whole = y.astype(np.int64)
    return X, whole if (whole == y).all() else y


def _parsed(path, offset, length):
    if offset or length >= 0:
        return _of(path, offset=offset, length=length)
    with open_unpacked(path) as file:
        return _of(file)


def _of(file, **range_):
    from sklearn.datasets import load_svmlight_file

    return load_svmlight_file(file, zero_based=False, n_features=_WIDE, **range_)


def _first_bad(path, offset):
    """Return place and error of the first line that cannot be read; None if each can be read by itself."""
    number = end = 0
    try:
        with open_unpacked(path) as file:
            while some := list(itertools.islice(file, _LINES)):
                end += sum(map(len, some))
                if end > offset and _error_of(b"".join(some)):
                    errors = ((at, _error_of(line)) for at, line in enumerate(some, number + 1))
                    return next(((f", line {at}", error) for at, error in errors if error), None)
                number += len(some)
    except (OSError, EOFError):
        return None  # in a truncated compressed file, no line is to blame
    return None


def _error_of(lines):
    try:
        _of(io.BytesIO(lines))
    except (ValueError, OverflowError) as error:
        return error
    return None
