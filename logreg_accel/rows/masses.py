"""Per-row inputs of draws: masses, which determine the probability that a row is drawn, and labels.

Both are on the backend's device, in one array or block by block; only numbers of few rows are copied to the
host.
"""

import itertools

import numpy as np


class Masses:
    """A number of at least 0 for every row, in one array or block by block.

    Parameters
    ----------
    parts : iterable of arrays (rows of a block,) of the backend, which can be iterated repeatedly
    backend : Backend
    numbers : ndarray (m,) or None
        The numbers of the rows, if these are only some of all rows, in one array; None counts from `start`.
    start : int
        Number of the first row.
    labels : Labels or None
        The labels of the same rows, which will be needed for the rows that pass.
    """

    def __init__(self, parts, backend, numbers=None, start=0, labels=None):
        self.parts, self.backend, self.numbers, self.start = parts, backend, numbers, start
        self.labels = labels
        self._total = None
        self._passed = None, None

    def total(self):
        """Σ mass in float64, and how many are positive."""
        if self._total is None:
            self._total = added(self.of_blocks())
        return self._total

    def of_blocks(self):
        """As `total`, of every block."""
        return [self.backend.total_mass(part) for part in self.parts]

    def positive(self):
        """The rows with positive mass, ascending, on the host."""
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        rows = map(self.backend.positive_rows, self.parts)
        return joined([rows + start for rows, start in zip(rows, starts, strict=False)])

    def of_share(self, uniform, share, seed):
        """As `above`, for masses divided by their total, if one call can do both; or None."""
        if self._total is not None or not self.backend.on_device:
            return None
        first, *more = itertools.islice(self.parts, 2)
        codes = self.labels and next(self.labels.beside())[0]
        asked = first, uniform, share, seed, self.numbers, codes
        found = None if more else self.backend.rows_of_share(*asked)
        if found is None:
            return None
        self._total, rows, own, codes = found
        self._passed = rows, own
        if self.labels:
            self.labels.seen = rows, codes
        return rows

    def above(self, scale, even, bar, seed):
        """The rows whose mass·scale + even passes a bar by their hash, ascending, on the host."""
        found, own, start = [], [], self.start
        for part in self.parts:
            numbers = range(start, start + len(part)) if start else self.numbers
            rows, masses = self.backend.rows_above(part, scale, even, bar, seed, numbers)
            found.append(rows + start)
            own.append(masses)  # `at` will be called with these rows
            start += len(part)
        self._passed = joined(found), joined(own)
        return self._passed[0]

    def at(self, rows):
        """The masses of some rows, ascending, on the backend's device or on the host."""
        if rows is self._passed[0]:
            return self._passed[1]
        return at(self.parts, rows, self.backend)

    def halves(self, other):
        """Masses, half of which are proportional to these and half to their product with others."""

        def products():
            return (mass * norm for mass, norm in zip(self.parts, other.parts, strict=True))

        one, both = self.total()[0], Masses(Each(products), self.backend).total()[0]
        return Masses(Each(lambda: mixed(self.parts, other.parts, one, both)), self.backend)


class Each:
    """The results of a function for every block; each iteration calls it again."""

    def __init__(self, function):
        self.function = function

    def __iter__(self):
        return self.function()


def mixed(masses, others, one, both):
    """mass/one + mass·other/both, block by block."""
    for mass, other in zip(masses, others, strict=True):
        real = mass.dtype.type
        yield mass / real(one) + mass * other / real(both)


def joined(parts):
    """The numbers per row of all blocks, joined on their device; None if there are none."""
    parts = list(parts)
    return None if parts[0] is None else parts[0] if len(parts) == 1 else np.concatenate(parts)


def at(parts, rows, backend):
    """The numbers of some ascending rows from arrays of blocks; None if there are none."""
    taken, start = [], 0
    for part in parts:
        if part is None:
            return None
        stop = start + len(part)
        mine = rows[slice(*np.searchsorted(rows, [start, stop]))]
        if len(mine) or not taken:
            taken.append(backend.picked(part, mine - start))
        start = stop
    return joined(taken)


class Labels:
    """Class codes and weights of all rows, as draws ask for them.

    Parameters
    ----------
    beside : function () -> iterator of (y, s)
        Class codes and weights (or None) of every block, on the backend's device.
    backend : Backend
    counts : sequence of int or None
        Rows of each class without weights, where they are known.

    Attributes
    ----------
    seen : (ndarray, ndarray) or None
        Ascending rows that include those that will be needed, and their codes, if known.
    """

    def __init__(self, beside, backend, counts=None):
        self.beside, self.backend, self.counts = beside, backend, counts
        self.seen = None

    def totals(self, n_classes):
        """Rows of each class, and sums of their weights."""
        if self.counts is not None:
            return np.array(self.counts), np.array(self.counts)
        return added(self.of_blocks(n_classes))

    def of_blocks(self, n_classes):
        """As `totals`, of every block."""
        for y, s in self.beside():
            yield self.backend.class_totals(y, s, n_classes)

    def masses(self, each):
        """Masses that are a number of each class, times the weights."""
        return Masses(Each(lambda: self._masses(each)), self.backend, labels=self)

    def _masses(self, each):
        for y, s in self.beside():
            yield self.backend.of_classes(each, y, s)

    def at(self, rows):
        """Codes of some rows, ascending, and their weights or None, on the host."""
        if self.seen is None:
            codes = self.backend.to_host(at((y for y, _ in self.beside()), rows, self.backend))
        else:
            codes = self.seen[1][np.searchsorted(self.seen[0], rows)]
        s = at((s for _, s in self.beside()), rows, self.backend)
        return codes, None if s is None else self.backend.to_host(s)

    def heaviest(self, code):
        """The largest weight of a row of a class, and the first row that has it."""
        best, found, start, xp = -1.0, 0, 0, self.backend.xp
        for y, s in self.beside():
            if len(y):
                weight = (y == code) if s is None else xp.where(y == code, s, -1)
                row = int(weight.argmax())
                if float(weight[row]) > best:
                    best, found = float(weight[row]), start + row
            start += len(y)
        return best, found


def added(pairs):
    """The sums of the first entries and of the second entries."""
    first, second = zip(*pairs, strict=True)
    return sum(first), sum(second)
