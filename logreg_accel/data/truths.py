"""Columns of a text table as numbers, some of which are written as true and false."""

import contextlib

from .frames import bools_as_numbers
from .opening import Unfit


def numbers_of(reader, names, columns, rows):
    """Yield record batches of a TableReader; the columns of these names are numbers in every batch.

    Texts that are true and false, in any case, in all rows of a column become 1 and 0.

    Raises
    ------
    Unfit
        A value is no number, or a column has both numbers and truth values; the message names the line.
    """
    types, given = dict.fromkeys(names if reader.kind == "text" else (), "number"), 0
    first: dict = {}  # for columns that turned out to be truth values, the Unfit that told
    while True:
        try:
            seen = 0
            for batch in reader.typed(types).located(columns, rows):
                rest = batch.slice(min(max(given - seen, 0), batch.num_rows))
                seen += batch.num_rows
                if rest.num_rows:
                    given = seen
                    yield bools_as_numbers(rest, types) if types else rest
            return
        except Unfit as unfit:
            if unfit.name in first and str(reader.type_of(unfit.value)) in ("int64", "double"):
                raise _both(reader, first[unfit.name], unfit) from unfit
            if unfit.value.lower() not in ("true", "false") or types.get(unfit.name) != "number":
                raise
            # The rows already given need not be given again: as bools, they can only have been 0 or 1.
            types = types | dict.fromkeys([unfit.name, *_truths(reader, names)], "bool")
            first[unfit.name] = unfit


def _both(reader, truth, number):
    """The error of a column with a truth value and a number that is neither 0 nor 1."""
    message = (
        f"{reader.path!r} has both {truth.value!r} in line {truth.line} and {number.value!r} in line "
        f"{number.line} of column {number.name!r}; expected numbers in all lines, or true and false in all. "
        f"If {truth.value!r} stands for a missing value, use --na {truth.value!r}."
    )
    return Unfit(message, number.name, truth.value, truth.line)


def _truths(reader, names):
    """The columns that have nothing but true and false in the first block."""
    with contextlib.closing(reader.typed({}).batches(names)) as batches:
        schema = next(batches).schema
    return [field.name for field in schema if str(field.type) == "bool"]
