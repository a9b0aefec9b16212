"""What to make of a column: the rules by which it is numbers, levels, or left out."""

import re

import numpy as np

from .columns import LeftOut, Levels, Number

FEW = 20  # rows below which nothing is taken for the number or the name of a row
_ID = re.compile(r"(^|[_ .])(id|ids|key|uuid|guid|index|rownames|rowid|row)$|[a-z]I[dD]$", re.IGNORECASE)
_DATE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?$"
_MANY_NUMBERS = 10  # different numbers in a column of text that is more than a scale of grades
_MANY_DATES = 31
_WIDE = 1e15  # range of whole numbers that neither amounts nor times in microseconds have


class NoValue(ValueError):
    """A column without any value."""


def learn(name, column, settings):
    """Number, Levels or LeftOut for a column of an Arrow table.

    `settings` has `min_count`, `max_levels`, `categorical`, `numeric` and `scale` as `TableEncoder` has.

    Raises
    ------
    ValueError
        The column is none of them: the message says what to do.
    """
    import pyarrow as pa

    categories = pa.types.is_dictionary(column.type)
    kind = column.type.value_type if categories else column.type
    if len(column) == column.null_count:
        raise NoValue(name)
    if name in settings.categorical:
        return _levels(name, column, settings, chosen=True)
    if name in settings.numeric or pa.types.is_boolean(kind) or (is_number(kind) and not categories):
        return _number(name, column, kind, settings)
    if pa.types.is_temporal(kind):
        return LeftOut(
            name,
            "dates and times are no numbers: give what matters, such as the year, the hour or days since",
        )
    if is_text(kind) or categories:
        return _levels(name, column, settings, chosen=categories)
    return LeftOut(name, f"its values are {kind}, neither numbers nor text")


def is_number(kind):
    """Whether an Arrow type is one of numbers."""
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind):
    """Whether an Arrow type is one of text."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


# -- numbers -------------------------------------------------------------------------------------------------


def numbers_of(name, column, start=0):
    """float64 values of a column, NaN for missing ones.

    Raises
    ------
    ValueError
        Some are no numbers, or infinite.
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
            "(counted from 0 without the header); say that they are missing (--na inf), or leave it out"
        )
    return values


def _number(name, column, kind, settings):
    import pyarrow as pa

    values = numbers_of(name, column)
    lacks = np.isnan(values)
    there = values[~lacks] if lacks.any() else values
    if not len(there):
        raise NoValue(name)
    forced = name in settings.numeric
    if not forced and len(there) == len(values):
        if there.min() == there.max():
            return LeftOut(name, "it has one value only")
        if pa.types.is_integer(kind) and _counts_rows(name, there):
            return LeftOut(name, "it numbers the rows (--numeric keeps it)")
        if pa.types.is_integer(kind) and np.ptp(there) > _WIDE and all_different(there):
            return LeftOut(
                name, "it names the rows: numbers of many digits, all different (--numeric keeps it)"
            )
    median = float(np.median(there))
    scale = _deviation(there) if settings.scale else 1.0
    return Number(
        name,
        median,
        bool(lacks.any()),
        scale if np.isfinite(scale) and scale > 0 else 1.0,
        "bool" if pa.types.is_boolean(kind) else "number",
    )


def _deviation(values):
    """The standard deviation, of values whose squares may overflow, too."""
    most = float(abs(values).max()) or 1.0
    return most * float((values / most).std())


def _counts_rows(name, values):
    """Whether integers are an index: they rise from row to row, or are all different and called so."""
    if len(values) < FEW:
        return False
    return bool((np.diff(values) > 0).all()) or (_ID.search(name) is not None and all_different(values))


def all_different(values):
    """Whether no value comes twice."""
    ordered = np.sort(values)
    return bool((ordered[1:] != ordered[:-1]).all())


# -- levels --------------------------------------------------------------------------------------------------


def texts_of(column):
    """A column as a dictionary array: (codes with -1 for missing, texts without blanks around them).

    Texts may come twice; an empty one is missing.
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


def counted(column):
    """Different texts of a column in the order of their first rows, how often they come, how many lack."""
    codes, texts = texts_of(column)
    raw = np.bincount(codes + 1, minlength=len(texts) + 1)
    counts, missing = {}, int(raw[0])
    for text, count in zip(texts.to_pylist(), raw[1:].tolist(), strict=True):
        if not text:
            missing += count
        elif count:
            counts[text] = counts.get(text, 0) + count
    return counts, missing


def _levels(name, column, settings, chosen):
    counts, missing = counted(column)
    rows, different = len(column), len(counts)
    there = rows - missing
    if not counts:
        raise NoValue(name)
    least = settings.min_count or min(max(rows // 100, 1), 5)
    kept = sorted(level for level, count in counts.items() if count >= least)
    if not chosen:
        _refuse_numbers(name, counts, there)
        if different > 0.9 * there and there >= FEW:
            return LeftOut(name, f"it names the rows: {different:,} values in {there:,} rows")
        if different > _MANY_DATES and _share_of(_DATE, counts) > 0.95:
            return LeftOut(name, "its texts are dates: give what matters, such as the year or days since")
    if different == 1 and not missing:
        return LeftOut(name, "it has one value only")
    if (len(kept) if settings.min_count else different) > settings.max_levels:
        raise ValueError(
            f"column {name!r} has {different:,} levels, more than {settings.max_levels:,}; leave it out "
            f"(--drop), or pool rare levels: --min-count {_enough(counts, settings.max_levels)} is enough"
        )
    if not kept and not missing:
        return LeftOut(name, f"none of its {different:,} values comes {least} times (--min-count)")
    pooled = tuple(sorted(counts.keys() - set(kept)))
    return Levels(name, tuple(kept), pooled, missing=missing > 0)


def _enough(counts, most):
    """How often a level has to come so that at most `most` are left."""
    return int(np.partition(np.array(list(counts.values())), -most)[-most]) + 1


def _share_of(pattern, counts):
    some = list(counts)[:1000]
    return sum(re.match(pattern, text) is not None for text in some) / len(some)


def _refuse_numbers(name, counts, there):
    """Raise ValueError where numbers and words are mixed: levels would lose what the numbers say."""
    numbers = {text: count for text, count in counts.items() if _is_number(text)}
    words = [text for text in counts if text not in numbers]
    rows = sum(numbers.values())
    measured = any("." in text for text in numbers)
    if words and len(numbers) > _MANY_NUMBERS and rows >= (0.5 if measured else 0.9) * there:
        few = ", ".join(map(repr, words[:3]))
        raise ValueError(
            f"column {name!r} has mixed types: {rows:,} numbers, and {there - rows:,} values that are none, "
            f"such as {few}. If these stand for missing values, --na {words[0]!r} says so; "
            f"--categorical {name!r} takes all as levels; --drop leaves the column out"
        )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
