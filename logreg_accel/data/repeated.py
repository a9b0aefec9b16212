"""Labels that are strings, a few of which repeat: their classes and codes, without a sort of all labels.

Pandas, Arrow and polars have a dictionary of such labels or make one in compiled code, and its indices are
the codes. Other labels are hashed, or compared in a few scans. Each function returns classes, codes and
counts as `labels.encode_labels` does, or None for other labels, where labels hardly repeat, and where some
are missing, which `labels` reports.
"""

import itertools
import operator

import numpy as np

from .stored import is_on_device

_SCANS = 6  # scans of all labels beyond which hashing them takes less time
_FROM = 64  # labels: with fewer, any method is fast
_LOOKED_AT = 1000  # labels of a sample, which usually has all classes
_AT_ONCE = 4096  # labels that are looked up at a time
_ARROW_STRINGS = "string", "large_string", "string_view", "dictionary"
_POLARS_STRINGS = "String", "Categorical", "Enum"


def given(y):
    """Encode labels in the container in which the user gave them, before they become an array."""
    if isinstance(y, list | tuple):
        return _hashed(y, None)
    if hasattr(y, "dictionary_encode"):
        return _of_arrow(y)
    kind = str(getattr(y, "dtype", ""))
    if hasattr(y, "to_arrow") and kind.startswith(_POLARS_STRINGS):
        try:
            return _of_arrow(y.to_arrow())
        except ImportError:  # without pyarrow
            return None
    if not hasattr(y, "factorize") or is_on_device(y):
        return None
    if kind == "category":
        own = getattr(y, "cat", y)
        return _numbered(own.categories, np.asarray(own.codes))
    if kind.startswith("str"):
        codes, values = y.factorize()
        return _numbered(values, codes)
    return None


def strings(y):
    """Encode an array of strings."""
    if y.dtype.kind not in "OU":
        return None
    if y.dtype.kind == "U" and len(y) >= _FROM and (found := _of_one_width(y)) is not None:
        return found
    return _hashed(y, y.dtype)


def _of_arrow(y):
    if not str(y.type).startswith(_ARROW_STRINGS) or y.null_count:
        return None
    encoded = y.dictionary_encode()
    if hasattr(encoded, "combine_chunks"):
        encoded = encoded.combine_chunks()
        encoded = encoded.chunk(0) if hasattr(encoded, "chunk") else encoded
    if encoded.indices.null_count or encoded.dictionary.null_count:
        return None
    return _numbered(encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False))


def _numbered(values, codes):
    """Encode labels given as distinct values and an index for each row; some values may be unused."""
    values = list(values)
    if len(codes) < _FROM or codes.min() < 0 or len(set(values)) < len(values):
        return None
    counts = np.bincount(codes, minlength=len(values))
    there = (
        sorted(value for value, count in zip(values, counts, strict=True) if count) if _all(values) else []
    )
    if not _are_classes(there, len(codes)):
        return None
    place = {value: i for i, value in enumerate(there)}
    table = np.array([place.get(value, 0) for value in values], dtype=_kind(there))
    counts = [int(counts[i]) for i in np.argsort(values) if counts[i]]
    return np.array(there, dtype=object), table[codes], counts


def _hashed(labels, dtype):
    """Encode a sequence, with one lookup for each label if a sample of them has all classes."""
    if len(labels) < _FROM or not isinstance(labels[0], str):
        return None
    for some in (labels[:: len(labels) // _LOOKED_AT + 1], labels):
        try:
            seen = set(some.tolist() if isinstance(some, np.ndarray) else some)
            if not _all(seen):
                return None
            code = {label: i for i, label in enumerate(sorted(seen))}
            codes = _looked_up(code, labels)
        except KeyError:
            continue
        except TypeError:  # a label that cannot be hashed
            return None
        if not _are_classes(code, len(labels)):
            return None
        return np.array(list(code), dtype=dtype), codes, np.bincount(codes).tolist()
    return None


def _looked_up(code, labels):
    """The codes of labels, in parts that fit the cache: the strings are scattered over the memory."""
    kind, parts = _kind(code), []
    bounds = np.linspace(0, len(labels), len(labels) // _AT_ONCE + 2).astype(int).tolist()
    for start, stop in itertools.pairwise(bounds):
        part = labels[start:stop]
        part = part.tolist() if isinstance(part, np.ndarray) else part
        numbers = operator.itemgetter(*part)(code)
        # np.array would look at the type of every number, which takes longer than the lookups
        parts.append(np.frombuffer(bytes(numbers), kind) if kind == np.uint8 else np.array(numbers, kind))
    return np.concatenate(parts)


def _of_one_width(y):
    """Encode fixed-width strings by comparing them character by character; None for too many classes."""
    width = y.dtype.itemsize // 4
    if not (width and y.dtype.isnative and y.flags.c_contiguous):
        return None
    characters = y.view(np.uint32).reshape(len(y), width)
    codes, found, left = np.zeros(len(y), dtype=np.uint8), [], np.ones(len(y), dtype=bool)
    while left.any():
        if len(found) == _SCANS:
            return None
        first = int(left.argmax())
        same = characters[:, 0] == characters[first, 0]
        for i in range(1, width):
            same &= characters[:, i] == characters[first, i]
        codes += np.uint8(len(found)) * same.view(np.uint8)
        found.append(y[first])
        left &= ~same
    order = np.argsort(found)
    if not _are_classes(found, len(y)):
        return None
    codes = np.argsort(order).astype(np.uint8)[codes]
    return np.array(found, dtype=y.dtype)[order], codes, np.bincount(codes).tolist()


def _all(values):
    """Whether all of them are strings."""
    return all(type(value) is str for value in values)


def _are_classes(values, n_rows):
    """Whether there are at least two distinct values, which repeat."""
    return 1 < len(values) <= n_rows // 2


def _kind(classes):
    return np.min_scalar_type(len(classes) - 1)
