"""Values of a column of an Arrow table as arrays: numbers, or codes of texts."""

import numpy as np


def is_number(kind):
    """Whether an Arrow type is one of numbers."""
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind):
    """Whether an Arrow type is one of text."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def numbers_of(name, column, start=0):
    """float64 values of a column, NaN for missing ones.

    Raises
    ------
    ValueError
        Some are not numbers, or are infinite.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    try:
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {name!r} is {kind}; expected numbers ({error})") from error
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise ValueError(
            f"column {name!r} has {len(infinite)} infinite values, the first in row {start + infinite[0]} "
            "(counted from 0 without the header); declare them missing (--na inf), or leave it out"
        )
    return values


def all_different(values):
    """Whether no value occurs twice."""
    ordered = np.sort(values)
    return bool((ordered[1:] != ordered[:-1]).all())


def texts_of(column):
    """A column as a dictionary array: (codes with -1 for missing, texts without blanks around them).

    Texts may occur twice in the dictionary; an empty one is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        if not is_text(column.type):
            column = column.cast(pa.string())
        column = column.dictionary_encode()
    texts = column.dictionary
    trimmable = pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
    texts = pc.utf8_trim_whitespace(texts if trimmable else texts.cast(pa.string()))
    codes = column.indices.cast(pa.int32())
    codes = (codes.fill_null(-1) if codes.null_count else codes).to_numpy(zero_copy_only=False)
    return codes, texts
