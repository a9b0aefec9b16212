"""The summary of a table before the fit: columns by kind, what is left out and why, what looks suspicious."""

import re
import textwrap

import numpy as np

from ..table import LeftOut, Levels, Number
from ..table.learning import FEW, as_option
from ..table.values import all_different, is_text, numbers_of, texts_of
from .output import name_of

_WIDTH = 78
_SHARES = 6  # number of classes that are named
_DIGITS = r"(\d{1,3}([, ']?\d{3})*(\.\d+)?|\d{1,3}([. ']?\d{3})*(,\d+)?)"  # 1,234.5 or 1.234,5
_SIGNED = re.compile(rf"[-+]?[$€£]?\s*[-+]?{_DIGITS}\s*[%$€£]?")
_RARE, _MANY_CLASSES, _APART, _SOME, _SHOWN = 0.02, 20, 1e3, 20_000, 100


def tell(progress, name, encoder, table, target, y, totals=None, held_out=0, penalised=True):
    """Describe an encoder, the table that it learned from, its labels, and suspicious things in them.

    If the table is larger than memory, `table` and `y` are its first rows, and `totals` has the classes and
    their numbers of rows. `held_out` is the number of held-out rows. Without a penalty (not `penalised`),
    columns of different scales are not suspicious.
    """
    classes, counts = np.unique(y, return_counts=True) if totals is None else totals
    size = f"{counts.sum():,} rows" + (f" to learn from, {held_out:,} held out" if held_out else "")
    progress.say(f"{name}: {size}, {table.num_columns} columns of features")
    for line in _told(encoder, target, classes, counts):
        progress.say(line)
    for sentence in _odd(encoder, table, target, y, classes, counts, penalised):
        progress.warnings.append(sentence)
        for line in _item("warning", sentence):
            progress.say(line)


def _told(encoder, target, classes, counts):
    numbers = [column for column in encoder.columns_ if isinstance(column, Number)]
    levels = [column for column in encoder.columns_ if isinstance(column, Levels)]
    yield from _item(f"target {target}", _shares(classes, counts))
    yield from _item(f"numbers ({len(numbers)})", ", ".join(map(name_of, numbers)))
    names = (f"{name_of(column)} ({_count(column)}{_pooled(column)})" for column in levels)
    yield from _item(f"levels ({len(levels)})", ", ".join(names))
    yield from _item("compared with", bases(encoder))
    lacking = [name_of(column) for column in numbers + levels if column.missing]
    yield from _item(f"missing ({len(lacking)})", ", ".join(lacking))
    for column in encoder.columns_:
        if isinstance(column, LeftOut):
            yield from _item("left out", f"{name_of(column)}: {column.why}")
    stored = "sparse" if encoder.sparse_ else "dense"
    yield from _item("the matrix", f"{encoder.n_features_out_:,} columns, {stored}")


def bases(encoder):
    """The levels without a column, with which the others are compared, as text."""
    levels = [column for column in encoder.columns_ if isinstance(column, Levels)]
    return ", ".join(f"{column.name}={column.base}" for column in levels if column.base is not None)


def _count(column):
    """How many levels have a column of their own."""
    return len(column.levels) + (column.base is not None)


def _pooled(column):
    return f", {len(column.pooled):,} rare pooled" if column.pooled else ""


def _item(heading, text):
    """A heading and a text in lines that fit a terminal of 80 columns."""
    if text:
        lines = textwrap.wrap(text, _WIDTH - 18, break_long_words=False, break_on_hyphens=False)
        lines = lines if len(lines) <= 6 else [*lines[:5], "..."]
        for i, line in enumerate(lines):
            yield f"  {'' if i else heading:15} {line}"


def _shares(classes, counts):
    order = np.argsort(-counts, kind="stable")
    shown = len(order) if len(order) <= _SHARES + 1 else _SHARES  # naming one more takes no more room
    some = [f"{classes[i]} {counts[i]:,} ({counts[i] / counts.sum():.1%})" for i in order[:shown]]
    return ", ".join(some) + (f" and {len(order) - shown} more classes" if shown < len(order) else "")


def _odd(encoder, table, target, y, classes, counts, penalised):
    """Sentences about things that are usually mistakes."""
    codes, rows = np.searchsorted(classes, y), counts.sum()
    every = "every row" if rows == len(y) else f"each of the first {len(y):,} rows"
    if len(classes) > _MANY_CLASSES:
        yield f"target {target} has {len(classes)} classes; is it a quantity?"
    alike = _spellings(classes)
    if alike:
        yield f"target {target} has classes that differ only by case or blanks, such as {alike}"
    if counts.min() < _RARE * rows:
        rare = classes[counts.argmin()]
        yield (
            f"class {rare} has {counts.min()} of {rows:,} rows ({counts.min() / rows:.2%}): "
            "accuracy says little here, look at AUC and PR-AUC"
        )
    spread, some = [], _columns(table.slice(0, _SOME))  # all rows are examined only if these are suspicious
    table = _columns(table)
    for column in encoder.columns_:
        if isinstance(column, Number):
            values = numbers_of(column.name, some[column.name])
            spread.append(float(np.nanstd(values)) / column.scale)
            whole = str(table[column.name].type).startswith(("int", "uint"))
            if whole and _is_id(values, column.name, table):
                yield (
                    f"{column.name}: whole numbers that differ in {every}; if this is an id, "
                    f"--drop {as_option([column.name])}"
                )
        if column.features and _determines(column, some, codes[:_SOME]) and _determines(column, table, codes):
            yield (
                f"{column.name} alone determines the {target} of {every}; if it is only known afterwards, "
                f"--drop {as_option([column.name])}"
            )
        yield from _nearly_numbers(column, _texts(column, some))
    spread = [value for value in spread if value > 0]
    if penalised and spread and max(spread) > _APART * min(spread):
        yield (
            "the columns have very different scales; --scale divides them by their standard deviations, so "
            "that a penalty affects all alike and fits mostly take fewer reads"
        )


def _columns(table):
    """The columns of a table by name, since Arrow's own look-up is linear."""
    return dict(zip(table.column_names, table.columns, strict=True))


def _texts(column, table):
    """The levels of a column or, for a left-out column with a text per row, some of the texts."""
    if isinstance(column, Levels):
        return column.known
    given = table.get(column.name) if isinstance(column, LeftOut) else None
    if given is None or not is_text(given.type):
        return []
    return [text for text in given.slice(0, _SHOWN).to_pylist() if text]


def _spellings(classes):
    """Two classes whose texts differ only by case and blanks, as text; None if there are none."""
    before = {}
    for label in classes.tolist():
        plain = " ".join(str(label).casefold().split())
        if plain in before:
            return f"{before[plain]!r} and {label!r}"
        before[plain] = label
    return None


def _nearly_numbers(column, texts):
    """A sentence if a reader would take most texts of a text column for numbers."""
    others = [text for text in texts if not _is_plain(text)]
    signed = [text for text in others if _SIGNED.fullmatch(text)]
    words = len(others) - len(signed)
    if not others or len(texts) <= 10 or words >= len(texts) / 2:
        return
    taken = "taken as levels" if column.features else "left out"
    if signed:
        yield (
            f"{column.name}: numbers with signs, such as {signed[0]!r}, are {taken}; "
            "write them as plain numbers, such as 1234.5"
        )
    else:
        yield (
            f"{column.name}: most values are numbers, but {others[0]!r} is not, so that they are {taken}; "
            f"--na {others[0]!r} treats it as missing"
        )


def _is_plain(text):
    try:
        return float(text) is not None
    except ValueError:
        return False


def _is_id(values, name, table):
    different = len(values) >= FEW and all_different(values)
    return different and all_different(numbers_of(name, table[name]))


def _determines(column, table, codes):
    """Whether each value of a column occurs in only one class, for columns with few values."""
    given = table[column.name]
    if isinstance(column, Number):
        groups = np.unique(numbers_of(column.name, given), return_inverse=True)[1]
    else:
        groups = texts_of(given)[0] + 1
    classes = codes.max() + 1
    pairs = np.unique(groups.astype(np.int64) * classes + codes)
    found = len(np.unique(pairs // classes))
    return len(codes) >= FEW and len(pairs) == found and found <= max(classes, len(codes) // 20, 1)
