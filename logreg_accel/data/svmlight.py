"""Lines of svmlight files, `label index:value ...` with indices from 1 on; scikit-learn parses them."""

import io
import itertools

import numpy as np

from .opening import open_unpacked

_LINES = 1 << 12  # that are parsed at once where a bad one is looked for
_WIDE = 2**31 - 2  # columns, since a part of the lines does not show how many there are


def lines_of(path, least_features=0, offset=0, length=-1):
    """X in compressed rows and y, integers where all are, of the lines that begin in a range of bytes.

    Parameters
    ----------
    path : str
    least_features : int
        There are as many as the last entry shows, or so many.
    offset, length : int
        The range, of a file that is not packed; the default is all.

    Raises
    ------
    ValueError
        A line is something else; the message has its number.
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
    """Where the first line that cannot be read is, and its error; None if each can be read by itself."""
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
        return None  # a packed file that is cut short has no such line
    return None


def _error_of(lines):
    try:
        _of(io.BytesIO(lines))
    except (ValueError, OverflowError) as error:
        return error
    return None
