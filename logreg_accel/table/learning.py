"""The rules that decide whether a column is numbers, levels or left out."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from .columns import LeftOut, Levels, Number
from .facts import LevelFacts, NumberFacts, Room, facts_of
from .rows import workers

FEW = 20  # rows below which no column is taken for an identifier of rows
_ID = re.compile(r"(^|[_ .])(id|ids|key|uuid|guid|index|rownames|rowid|row)$|[a-z]I[dD]$", re.IGNORECASE)
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"^((\d{4}|\d{1,2})[-/.]\d{1,2}[-/.](\d{4}|\d{1,2})([ T].*)?"
    rf"|\d{{1,2}}[-/. ]{_MONTH}[-/., ]+\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}})$",
    re.IGNORECASE,
)
_MANY_NUMBERS = 10  # distinct numbers in a text column above which they are not just grades
_MANY_DATES = 31
_OFTEN = 5  # rows with a level in which it is always often enough to be kept
_WIDE = 1e15  # range of integers beyond those of amounts and of times in microseconds


class NoValue(ValueError):
    """A column without any value."""


def learn_pieces(settings, tables, memory=None, at_least=None):
    """What is learned of a table in pieces, under the options of an encoder.

    Parameters
    ----------
    settings : TableEncoder
    tables : iterable of Arrow tables or batches of equal columns
    memory : int or None
        Bytes that may be kept of the pieces.
    at_least : function or None
        As in `TableEncoder.learn`.

    Returns
    -------
    columns : list of Number, Levels and LeftOut
    names : list of str
        Of all columns, also those that `drop` leaves out.
    n_rows : int

    Raises
    ------
    ValueError
        Options do not suit the table, or columns cannot be used.
    """
    gathered: dict[str, Any] = {}
    failed: dict[str, ValueError] = {}
    names: list[str] = []

    def add(name, column):
        try:
            gathered[name].add(column)
        except ValueError as error:
            failed[name] = error

    due, rows = 1, 0
    with workers() as pool:
        each = pool.map if memory is None else map  # columns with a common limit are processed in turn
        for number, table in enumerate(tables):
            if not number:
                names = table.schema.names
                check_options(settings, names)
                room, types = Room(memory, len(names)), zip(names, table.schema.types, strict=True)
                used = [(name, kind) for name, kind in types if name not in settings.drop]
                gathered = {name: facts_of(name, kind, settings, room) for name, kind in used}
            columns = dict(zip(names, table.columns, strict=True))
            left = [name for name in gathered if name not in failed]
            list(each(add, left, [columns[name] for name in left]))
            rows += table.num_rows
            if at_least is not None and rows >= due:
                at_least(rows, sum(certain(facts, settings) for facts in gathered.values()))
                due = 2 * rows
        learned = learn_all(gathered, failed, settings, each)
    return learned, names, rows


def certain(facts, settings):
    """The number of features that a column has at least, whatever rows are still to come.

    Texts may turn out to identify the rows, unless they were chosen to be levels.
    """
    import pyarrow as pa

    if isinstance(facts, NumberFacts) and facts.there:
        whole, spread = pa.types.is_integer(facts.kind), facts.most - facts.least
        kept = (
            facts.name in settings.numeric or facts.missing or (spread + 1 < facts.there if whole else spread)
        )
        return 1 if kept else 0
    if isinstance(facts, LevelFacts) and facts.chosen:
        least = settings.min_count or _OFTEN
        return max(sum(count >= least for count in facts.counts.values()) - 1, 0)
    return 0


def check_options(settings, names):
    """Raise ValueError for options of an encoder that a table with these columns cannot be learned with."""
    if settings.min_count is not None and not (
        isinstance(settings.min_count, int) and settings.min_count >= 1
    ):
        raise ValueError(f"`min_count` is {settings.min_count!r}; expected an integer from 1 on, or None.")
    if settings.sparse_output not in ("auto", True, False):
        raise ValueError(f"`sparse_output` is {settings.sparse_output!r}; expected 'auto', True or False.")
    if not isinstance(settings.drop_first, bool | np.bool_ | Mapping):
        raise ValueError(
            f"`drop_first` is {settings.drop_first!r}; expected True, False, or a dict of columns to levels."
        )
    chosen = ["drop_first"] if isinstance(settings.drop_first, Mapping) else []
    for parameter in ["categorical", "numeric", "drop", *chosen]:
        strange = [name for name in getattr(settings, parameter) if name not in names]
        if strange:
            listed = ", ".join(names[:20])
            raise ValueError(f"`{parameter}` has {strange[0]!r}; expected some of {listed}.")


def learn_all(gathered, failed, settings, each=map):
    """Return the results of `learn` for all columns; one error names all columns that cannot be used.

    `gathered` has Facts by name, `failed` the errors of columns without facts; `each` is `map`, or that of a
    pool of threads.

    Raises
    ------
    ValueError
        Columns cannot be used.
    """

    def made(name):
        try:
            return learn(gathered[name], settings) if name not in failed else failed[name]
        except ValueError as error:
            return error

    found = dict(zip(gathered, each(made, gathered), strict=True))
    empty = [name for name, what in found.items() if isinstance(what, NoValue)]
    wrong = [str(what) for name, what in found.items() if isinstance(what, ValueError) and name not in empty]
    if empty:
        listed = ", ".join(map(repr, empty[:20])) + (", ..." if len(empty) > 20 else "")
        has, them = ("column {} has", "it") if len(empty) == 1 else ("columns {} have", "them")
        leave = f"leave {them} out: --drop {as_option(empty)}, in Python `drop`"
        wrong.insert(0, f"{has.format(listed)} no value at all; {leave}")
    if wrong:
        more = f"; and {len(wrong) - 5} more columns" if len(wrong) > 5 else ""
        raise ValueError(f"{'; '.join(wrong[:5])}{more}.")
    return list(found.values())


def as_option(names):
    """Names of columns as an option of the command line takes them."""
    quoted = ('"' + name.replace('"', '""') + '"' if re.search('[,"]', name) else name for name in names)
    return shlex.quote(",".join(quoted))


def learn(facts, settings):
    """Number, Levels or LeftOut for a column whose Facts are known.

    `settings` has the `min_count`, `max_levels`, `numeric` and `drop_first` of `TableEncoder`.

    Raises
    ------
    ValueError
        The column cannot be used; the message says what to do.
    """
    import pyarrow as pa

    if not facts.there:
        raise NoValue(facts.name)
    if isinstance(facts, LevelFacts):
        return _levels(facts, settings)
    if _wanted(settings, facts.name) is not None:
        raise ValueError(
            f"column {facts.name!r} is {facts.kind}, without levels to compare with (--base, in Python "
            "`drop_first`); --categorical makes levels of numbers"
        )
    if isinstance(facts, NumberFacts):
        return _number(facts, settings)
    if pa.types.is_temporal(facts.kind):
        why = "dates and times are not numbers: give the year, the hour, days since an event or the like"
        return LeftOut(facts.name, why)
    return LeftOut(facts.name, f"its values are {facts.kind}, neither numbers nor text")


def _number(facts, settings):
    import pyarrow as pa

    name, whole = facts.name, pa.types.is_integer(facts.kind)
    if name not in settings.numeric and not facts.missing:
        if facts.least == facts.most:
            return LeftOut(name, "it has one value only")
        if whole and facts.rows >= FEW and facts.rises:
            return LeftOut(name, "it numbers the rows (--numeric keeps it)")
        if whole and facts.rows >= FEW and _ID.search(facts.name) and facts.values.all_different():
            return LeftOut(name, "an id by its name, with different values in all rows (--numeric keeps it)")
        if whole and facts.most - facts.least > _WIDE and facts.values.all_different():
            return LeftOut(
                name, "it identifies the rows: numbers of many digits, all different (--numeric keeps it)"
            )
    kind = "bool" if pa.types.is_boolean(facts.kind) else "number"
    return Number(name, facts.values.median(), facts.missing > 0, facts.deviation, kind)


# -- levels --------------------------------------------------------------------------------------------------


def _levels(facts, settings):
    name, counts, rows, there = facts.name, facts.counts, facts.rows, facts.there
    if facts.gave_up is not None:
        return LeftOut(name, f"it identifies rows: nearly all of the first {facts.gave_up:,} differ")
    different, missing = len(counts), facts.missing > 0
    least = settings.min_count or min(max(rows // 100, 1), _OFTEN)
    kept = sorted(level for level, count in counts.items() if count >= least)
    if not facts.chosen:
        _refuse_numbers(name, counts, there)
        if different > _MANY_DATES and _share_of(_DATE, counts) > 0.95:
            return LeftOut(name, "its texts are dates: give the year, days since an event or the like")
        if different > 0.9 * there and there >= FEW:
            return LeftOut(name, f"it identifies the rows: {different:,} values in {there:,} rows")
    if different == 1 and not missing:
        return LeftOut(name, "it has one value only")
    if (len(kept) if settings.min_count else different) > settings.max_levels:
        raise ValueError(
            f"column {name!r} has {different:,} levels, more than {settings.max_levels:,}; leave it out "
            f"(--drop), or pool rare levels: --min-count {_enough(counts, settings.max_levels)} is enough"
        )
    if not kept and not missing:
        return LeftOut(name, f"none of its {different:,} values occurs {least} times (--min-count)")
    base, pooled = None, tuple(sorted(counts.keys() - set(kept)))
    if kept and (settings.drop_first or isinstance(settings.drop_first, Mapping)):
        base = _base(name, kept, _wanted(settings, name))
        kept.remove(base)
    return Levels(name, tuple(kept), pooled, missing, base)


def _wanted(settings, name):
    """The level that `drop_first` names for a column; None for the first one."""
    return settings.drop_first.get(name) if isinstance(settings.drop_first, Mapping) else None


def _base(name, kept, wanted):
    """The level without a column of its own."""
    if wanted is not None and wanted not in kept:
        listed = ", ".join(map(repr, kept[:20])) + (", ..." if len(kept) > 20 else "")
        raise ValueError(
            f"column {name!r} has no level {wanted!r} to compare with (--base, in Python `drop_first`); its "
            f"levels with a column are {listed}"
        )
    return kept[0] if wanted is None else wanted


def _enough(counts, most):
    """The smallest count of a level for which at most `most` levels are left."""
    return int(np.partition(np.array(list(counts.values())), -most)[-most]) + 1


def _share_of(pattern, counts):
    some = list(counts)[:1000]
    return sum(re.match(pattern, text) is not None for text in some) / len(some)


def _refuse_numbers(name, counts, there):
    """Raise ValueError if numbers and words are mixed: as levels, the numbers would lose their meaning."""
    numbers = {text: count for text, count in counts.items() if _is_number(text)}
    words = [text for text in counts if text not in numbers]
    rows = sum(numbers.values())
    measured = any("." in text for text in numbers)
    if words and len(numbers) > _MANY_NUMBERS and rows >= (0.5 if measured else 0.9) * there:
        few = ", ".join(map(repr, words[:3]))
        raise ValueError(
            f"column {name!r} has mixed types: {rows:,} numbers, and {there - rows:,} values that are not, "
            f"such as {few}. If these stand for missing values, use --na {words[0]!r}; "
            f"--categorical {name!r} treats all values as levels; --drop leaves the column out"
        )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
