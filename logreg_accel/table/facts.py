"""The facts about a column that the rules of encoding use, gathered piece by piece, within a limit if there
is one."""

from typing import Any

import numpy as np

from .values import all_different, is_number, is_text, numbers_of, texts_of

_TEXT = 150  # approximate bytes of a counted text
_LEAST = 1 << 12  # distinct numbers of a column that are always kept


class Room:
    """The limit of bytes of values that columns keep together; None for no limit."""

    def __init__(self, memory=None, n_columns=1):
        self.texts = None if memory is None else memory // 2 // _TEXT
        self.numbers = None if memory is None else max(memory // 2 // max(n_columns, 1) // 32, _LEAST)
        self.columns: list = []

    def check(self):
        """Make the column with the most texts give up if all columns together have too many."""
        if self.texts is not None and sum(len(facts.counts) for facts in self.columns) > self.texts:
            max(self.columns, key=lambda facts: len(facts.counts)).give_up()


def facts_of(name, kind, settings, room):
    """Empty Facts for a column of an Arrow type."""
    import pyarrow as pa

    categories = pa.types.is_dictionary(kind)
    values = kind.value_type if categories else kind
    if name in settings.categorical:
        return LevelFacts(name, values, room, chosen=True)
    if name in settings.numeric or pa.types.is_boolean(values) or (is_number(values) and not categories):
        return NumberFacts(name, values, room, settings.scale)
    if is_text(values) or categories:
        return LevelFacts(name, values, room, chosen=categories)
    return Facts(name, values)


class Facts:
    """Facts of any column: the number of rows, and of rows without a value."""

    def __init__(self, name, kind):
        self.name, self.kind, self.rows, self.missing = name, kind, 0, 0

    @property
    def there(self):
        """Rows with a value."""
        return self.rows - self.missing

    def add(self, column):
        """Add the next rows of the column.

        Raises
        ------
        ValueError
            They cannot be used.
        """
        self.rows, self.missing = self.rows + len(column), self.missing + column.null_count


class NumberFacts(Facts):
    """Facts of numbers: range, median and deviation, and whether they rise from row to row."""

    def __init__(self, name, kind, room, scale):
        super().__init__(name, kind)
        self.least, self.most, self.rises, self._last = np.inf, -np.inf, True, -np.inf
        self.values, self._moments = Values(room.numbers), Moments() if scale else None

    def add(self, column):
        values = numbers_of(self.name, column, self.rows)
        lacks = np.isnan(values)
        there = values[~lacks] if lacks.any() else values
        self.rows, self.missing = self.rows + len(values), self.missing + len(values) - len(there)
        if not len(there):
            return
        self.rises = self.rises and there[0] > self._last and bool((there[1:] > there[:-1]).all())
        self._last = there[-1]
        self.least, self.most = min(self.least, float(there.min())), max(self.most, float(there.max()))
        self.values.add(there)
        if self._moments is not None:
            self._moments.add(there)

    @property
    def deviation(self):
        """The standard deviation; 1 instead of 0."""
        found = 1.0 if self._moments is None else self._moments.deviation
        return found if np.isfinite(found) and found > 0 else 1.0


class LevelFacts(Facts):
    """Facts of texts: the count of each, in the order of their first rows.

    `gave_up` is the number of rows after which counting ended because nearly all of them were different.
    """

    def __init__(self, name, kind, room, chosen):
        super().__init__(name, kind)
        self.counts: dict = {}
        self.chosen, self.gave_up, self._room = chosen, None, room
        room.columns.append(self)

    def add(self, column):
        codes, texts = texts_of(column)
        raw = np.bincount(codes + 1, minlength=len(texts) + 1)
        self.rows, self.missing = self.rows + len(column), self.missing + int(raw[0])
        counts = self.counts
        for text, count in zip(texts.to_pylist(), raw[1:].tolist(), strict=True):
            if not text:
                self.missing += count
            elif count and self.gave_up is None:
                counts[text] = counts.get(text, 0) + count
        self._room.check()

    def give_up(self):
        """Forget the texts of a column that identifies the rows.

        Raises
        ------
        ValueError
            The column was chosen to be levels, and has too many.
        """
        different, self.counts = len(self.counts), {}
        if self.chosen or different <= 0.9 * self.there:
            raise ValueError(
                f"column {self.name!r} has more than {different:,} levels in {self.rows:,} rows, for which "
                "`memory` has no room; leave it out (--drop), or raise `memory`"
            )
        self.gave_up = self.rows


class Values:
    """Numbers whose median is needed.

    Distinct numbers are kept with their counts. If they exceed the limit, neighbours are merged, alternately
    into the lower and the upper one, so that about half of the rows stay on each side of the median; until
    then the median is exact.
    """

    def __init__(self, room=None):
        self._room, self._parts, self._waiting = room, [], 0
        self._known: Any = None
        self.exact, self._repeats = True, False

    def add(self, values):
        """Take more numbers in."""
        self._parts.append(values)
        self._waiting += len(values)
        if self._room is not None and self._waiting >= self._room:
            self._merge()

    def _merge(self):
        if self._parts:
            values, counts = np.unique(np.concatenate(self._parts), return_counts=True)
            self._repeats = self._repeats or bool((counts > 1).any())
            if self._known is not None:
                values = np.concatenate([self._known[0], values])
                counts = np.concatenate([self._known[1], counts])
                values, places = np.unique(values, return_inverse=True)
                counts = np.bincount(places, counts).astype(np.int64)
                self._repeats = self._repeats or (self.exact and bool((counts > 1).any()))
            self._known, self._parts, self._waiting = (values, counts), [], 0
        if self._room is not None and len(self._known[0]) > self._room:
            self._join()

    def _join(self):
        self.exact = False
        values, counts = (part[: len(part) // 2 * 2].reshape(-1, 2) for part in self._known)
        rest = [part[len(part) // 2 * 2 :] for part in self._known]
        rows = np.arange(len(values))
        joined = values[rows, rows % 2], counts.sum(axis=1)
        self._known = tuple(np.concatenate(pair) for pair in zip(joined, rest, strict=True))

    def all_different(self):
        """Whether no number occurred twice; approximate after merging."""
        if self._known is None:
            return all_different(np.concatenate(self._parts))
        self._merge()
        return not self._repeats

    def median(self):
        """The median of all of them."""
        if self._known is None:
            return float(np.median(self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)))
        self._merge()
        values, ends = self._known[0], np.cumsum(self._known[1])
        middle = [(ends[-1] - 1) // 2, ends[-1] // 2]
        return float(values[np.searchsorted(ends, middle, side="right")].mean())


class Moments:
    """Mean and sum of squares about it, in units of the largest number, whose square may overflow."""

    def __init__(self):
        self.count, self.unit, self.mean, self.squares = 0, 0.0, 0.0, 0.0

    def add(self, values):
        """Take more numbers in."""
        most = max(float(abs(values).max()), self.unit) or 1.0
        shrink = self.unit / most
        self.unit, self.mean, self.squares = most, self.mean * shrink, self.squares * shrink**2
        values = values / most
        count, mean = len(values), float(values.mean())
        total = self.count + count
        apart = mean - self.mean if self.count else 0.0
        self.squares += float(((values - mean) ** 2).sum()) + apart**2 * self.count * count / total
        self.mean += apart * count / total if self.count else mean
        self.count = total

    @property
    def deviation(self):
        """The standard deviation."""
        return self.unit * float(np.sqrt(self.squares / self.count))
