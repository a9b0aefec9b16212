"""Which rows to draw, and what each of them then counts: priority sampling, whose weighted sums are unbiased.

Row i with mass mᵢ has the priority mᵢ/uᵢ, where uᵢ in (0, 1] is a hash of the seed and of the row's number.
The k rows of largest priority are drawn, and each counts max(1, τ/mᵢ), where τ is the largest priority that
was left out (Duffield, Lund and Thorup 2007, J. ACM 54, § 2). That needs no total; samples of parts of the
rows are merged by keeping the largest priorities of all; and the same rows are drawn however they are cut
into blocks, on any backend.
"""

import numpy as np

from ..backends.drawing import uniforms

_UNIFORM = 0.1  # of a sample is spread evenly, so that no row's weight grows beyond bounds
_LEAST_MASS = 1e-25  # of all rows: less says nothing, and its inverse may overflow float32
_SURE = 8  # times the mass of others: what makes the rows of a rare class certain
_MARGIN = 1 + 1e-5  # above a bar, a priority is not there by rounding


class Masses:
    """A number of at least 0 for every row, in one array or block by block.

    Parameters
    ----------
    parts : iterable of arrays (rows of a block,) of the backend's, anew on every iteration
    backend : Backend
    numbers : ndarray (m,) or None
        Of the rows, where these are some of them in one array; None counts them.
    start : int
        Number of the first row.
    """

    def __init__(self, parts, backend, numbers=None, start=0):
        self.parts, self.backend, self.numbers, self.start = parts, backend, numbers, start
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
        """The rows that have any, ascending, on the host."""
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        rows = (self.backend.to_host(self.backend.xp.flatnonzero(part > 0)) for part in self.parts)
        return joined([rows + start for rows, start in zip(rows, starts, strict=False)])

    def above(self, scale, even, bar, seed):
        """The rows whose mass·scale + even passes a bar by their hash, ascending, on the host."""
        found, own, start = [], [], self.start
        for part in self.parts:
            numbers = self.numbers
            if start:
                stop = start + len(part)
                numbers = np.arange(start, stop, dtype=np.uint32 if stop <= 2**32 else np.int64)
            rows = self.backend.rows_above(part, scale, even, bar, seed, numbers)
            rows, masses = self.backend.together(rows, part[rows])  # `at` is asked for them next
            found.append(rows + start)
            own.append(masses)
            start += len(part)
        self._passed = joined(found), joined(own)
        return self._passed[0]

    def at(self, rows):
        """Those of some rows, ascending, where the backend has them, or on the host."""
        if rows is self._passed[0]:
            return self._passed[1]
        return at(self.parts, rows, self.backend)

    def halves(self, other):
        """Masses, a half of which are as these, and a half as their product with others."""

        def products():
            return (mass * norm for mass, norm in zip(self.parts, other.parts, strict=True))

        one, both = self.total()[0], Masses(_Each(products), self.backend).total()[0]
        return Masses(_Each(lambda: mixed(self.parts, other.parts, one, both)), self.backend)


class _Each:
    """What a function gives for every block, anew on every iteration."""

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
    """What blocks have a number a row of, for all rows, left where it is; None where there is none."""
    parts = list(parts)
    return None if parts[0] is None else parts[0] if len(parts) == 1 else np.concatenate(parts)


def at(parts, rows, backend):
    """Some of the numbers that blocks have one a row of, for ascending rows; None where there are none."""
    taken, start = [], 0
    for part in parts:
        if part is None:
            return None
        stop = start + len(part)
        mine = rows[slice(*np.searchsorted(rows, [start, stop]))]
        if len(mine) or not taken:
            taken.append(part[backend.xp.asarray(mine - start)])
        start = stop
    return joined(taken)


class Labels:
    """Class codes and weights of all rows, as draws ask for them.

    Parameters
    ----------
    beside : function () -> iterator of (y, s)
        Class codes and weights (or None) of every block, where the backend has them.
    backend : Backend
    """

    def __init__(self, beside, backend):
        self.beside, self.backend = beside, backend

    def totals(self, n_classes):
        """Rows of each class, and sums of their weights."""
        return added(self.of_blocks(n_classes))

    def of_blocks(self, n_classes):
        """As `totals`, of every block."""
        for y, s in self.beside():
            those = [y == code for code in range(n_classes)]
            own = self._sums(those)
            yield own, own if s is None else self._sums([s[of] for of in those], np.float64)

    def _sums(self, vectors, dtype=None):
        """The sums of vectors, which come to the host together."""
        return self.backend.to_host(np.concatenate([v.sum(dtype=dtype, keepdims=True) for v in vectors]))

    def masses(self, each):
        """Masses that are a number of each class, times the weights."""
        return Masses(_Each(lambda: self._masses(each)), self.backend)

    def _masses(self, each):
        for y, s in self.beside():
            mass = self.backend.xp.asarray(each, dtype=np.float32 if s is None else np.float64)[y]
            yield mass if s is None else mass * s

    def at(self, rows):
        """Codes of some rows, ascending, and their weights or None, on the host."""
        codes, s = (at((pair[i] for pair in self.beside()), rows, self.backend) for i in (0, 1))
        return self.backend.to_host(codes), None if s is None else self.backend.to_host(s)

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
    """The sums of the first and of the second ones."""
    first, second = zip(*pairs, strict=True)
    return sum(first), sum(second)


def by_class(labels, size, n_classes, seed, backend):
    """As many rows from every class, or all that a rare one has; within a class in proportion to the weights
    s.

    Parameters
    ----------
    labels : Labels
    size : int
    n_classes : int
    seed : sequence of int
    backend : Backend

    Returns
    -------
    rows : ndarray (k,), ascending, k about `size`
    weights : ndarray (k,), float64
        Their sum over a class is the class's own sum of weights, s included.
    """
    counts, whole = labels.totals(n_classes)
    share = np.minimum(size / n_classes, counts)
    spare = counts - share
    share = share + max(size - share.sum(), 0) * spare / max(spare.sum(), 1)
    each = share / np.where(whole > 0, whole, 1)
    each[spare <= 0] *= _SURE
    rows, weights = draw(labels.masses(each), size, seed, backend)
    codes, s = labels.at(rows)
    if s is not None:
        weights = weights * s
    drawn = np.bincount(codes, weights, n_classes)
    missed = np.flatnonzero((drawn == 0) & (whole > 0))
    if len(missed):  # tiny weights beside a small size: the heaviest row stands for its class
        rows = np.append(rows, [labels.heaviest(code)[1] for code in missed])
        weights, codes = np.append(weights, whole[missed]), np.append(codes, missed)
        drawn[missed] = whole[missed]
    order = np.argsort(rows, kind="stable")
    return rows[order], (weights * (whole / np.where(drawn > 0, drawn, 1))[codes])[order]


def by_targets(beside, size, n_classes, seed, backend):
    """Rows for several targets: one has the more mass the rarer its classes are, in the mean over targets.

    As `by_class`, but that `beside` is what Labels are made of, with y (rows, targets), and that no class has
    its own sum of weights.
    """
    xp, counts = backend.xp, 0
    for y, _ in beside():
        counts = counts + np.array([backend.to_host(xp.bincount(own, minlength=n_classes)) for own in y.T])
    rarity = xp.asarray(1 / np.maximum(counts, 1))

    def masses():
        for y, s in beside():
            mass = sum(own[codes] for own, codes in zip(rarity, y.T, strict=True))
            yield mass if s is None else mass * s

    rows, weights = by_mass(Masses(_Each(masses), backend), size, seed, backend)
    s = at((s for _, s in beside()), rows, backend)
    return rows, weights if s is None else weights * backend.to_host(s)


def by_mass(mass, size, seed, backend, numbers=None):
    """Rows drawn with a probability that grows with their mass, mixed with an even share.

    Parameters
    ----------
    mass : Masses, or array (m,) of the backend's, at least 0
    size : int
    seed : sequence of int
    backend : Backend
    numbers : ndarray (m,) or None
        Of the rows, where these are some of them.

    Returns
    -------
    rows : ndarray (k,)
        Places in `mass`, ascending.
    weights : ndarray (k,), float64
        What each counts: 1 for rows that are certain.
    """
    masses = _masses(mass, backend, numbers)
    total, count = masses.total()
    if not _LEAST_MASS < total < np.inf:
        ones = _Each(lambda: (backend.xp.full(len(part), 1, dtype=np.float32) for part in masses.parts))
        return draw(Masses(ones, backend, masses.numbers), size, seed, backend)
    return draw(masses, size, seed, backend, (1 - _UNIFORM) / total, _UNIFORM / count)


def _masses(mass, backend, numbers=None):
    return mass if isinstance(mass, Masses) else Masses([mass], backend, numbers)


def draw(mass, size, seed, backend, scale=1.0, even=0.0):
    """The `size` rows of largest priority, ascending, and what each counts; none without mass is drawn.

    The mass of a row is mass·scale + even. Few priorities are looked at: those above a bar that somewhat more
    than `size` rows can be expected to pass, lowered until so many do.
    """
    masses = _masses(mass, backend)
    total, count = masses.total()
    size = min(int(size), count)
    if size == count:
        rows = masses.positive()
        return rows, np.ones(len(rows))
    bar = (total * scale + count * even) / (size + 4 * np.sqrt(size) + 16)
    while True:
        passed = masses.above(scale, even, bar, seed)
        if len(passed) > size:
            own = backend.to_host(masses.at(passed)).astype(np.float64) * scale + even
            of_these = passed if masses.numbers is None else masses.numbers[passed]
            priorities = own / uniforms(of_these, seed)
            order = np.argpartition(-priorities, size)
            threshold = priorities[order[size]]
            if threshold > bar * _MARGIN or bar == 0:
                break
        bar = bar / 2 if bar > np.finfo(np.float32).tiny else 0.0
    chosen = np.sort(order[:size])
    return passed[chosen], np.maximum(threshold / own[chosen], 1.0)
