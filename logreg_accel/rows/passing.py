"""Rows that a draw will need, gathered during another read so that they are not read twice.

Which rows a draw takes is decided later, by the masses of all rows: gathering only changes which rows have to
be read again.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ..backends.passes import CurvatureMass
from ..data.packed import collected, interleaved
from .masses import Masses
from .sampling import LEAST_MASS, UNIFORM

_LOWER = 0.75  # share of the expected bar, since the mass of the other blocks is not known yet
_MORE = 1.15  # rows that are gathered per row that a draw is expected to take
_LEAST_BAR = 1e-30
_STEP = 1 << 15  # rows


class Wanted(NamedTuple):
    """The arguments of `sampling.by_mass`.

    Attributes
    ----------
    size : int
    seed : tuple of int
    """

    size: int
    seed: tuple


class Passed(NamedTuple):
    """Rows that were gathered.

    Attributes
    ----------
    numbers : ndarray, ascending
        Numbers of the rows that passed the bar; rows of blocks in memory are not gathered.
    gathered : ndarray, ascending
    parts : sequence of (Matrix, ndarray)
        The gathered rows of each block, as stored, and their codes. They are not joined, since most are let
        go without having been asked for.
    """

    numbers: np.ndarray = np.zeros(0, dtype=np.int64)
    gathered: np.ndarray = np.zeros(0, dtype=np.int64)
    parts: tuple | list = ()

    def taken(self, rows, some):
        """X and codes of some rows, ascending; some(rows) reads those that were not gathered."""
        there = np.isin(rows, self.gathered, assume_unique=True)
        if not there.any():
            return some(rows)
        known = self._picked(np.searchsorted(self.gathered, rows[there]))
        if there.all():
            return known
        others = some(rows[~there])
        codes = np.empty((len(rows), *known[1].shape[1:]), known[1].dtype)
        codes[there], codes[~there] = known[1], others[1]
        places = [np.flatnonzero(there), np.flatnonzero(~there)]
        return interleaved([known[0], others[0]], places), codes

    def _picked(self, places):
        """X and codes of some of the gathered rows, ascending."""
        starts = np.cumsum([0, *(len(codes) for _, codes in self.parts)])
        cuts = np.searchsorted(places, starts).tolist()
        own = [(i, places[a:b] - starts[i]) for i, (a, b) in enumerate(itertools.pairwise(cuts)) if a < b]
        parts = ((self.parts[i][0].take(some), self.parts[i][1][some], None) for i, some in own)
        return collected(parts, len(places))[:2]


class Passing:
    """Gathers the rows that draws will probably take, block by block in any order.

    Parameters
    ----------
    pass_ : LossGradient that keeps margins
    layouts : list of (rows, entries)
        Of the blocks.
    """

    def __init__(self, pass_, layouts):
        self.pass_, self.starts = pass_, np.cumsum([0, *(rows for rows, _ in layouts)])
        self.found = {}

    def look(self, i, backend, block, margins, X, codes):
        """Gather rows of block i from its stored X and codes; X is None if the block stays in memory."""
        start, stop = self.starts[i : i + 2]
        masses = Masses(self._parts(backend, block, margins), backend, start=int(start))
        some = np.zeros(stop - start, dtype=bool)  # marking rows takes less time than sorting their numbers
        for size, seed in self.pass_.wanted:
            some[likely(masses, (stop - start) / self.starts[-1], size, seed) - start] = True
        places = np.flatnonzero(some)
        own = None if X is None else (X.take(places), codes[places])
        self.found[i] = places + start, own

    def _parts(self, backend, block, margins):
        """Masses of the rows, in parts that stay in the cache on a CPU."""
        m, loss, models = len(margins), self.pass_.loss, self.pass_.models
        step = m if backend.on_device else _STEP
        cuts = [slice(first, min(first + step, m)) for first in range(0, m, step)]
        return [backend.run(CurvatureMass(margins[c], loss, models), backend.rows(block, c)) for c in cuts]

    def passed(self):
        """The gathered rows, after all blocks have passed."""
        found = [self.found[i] for i in sorted(self.found)]
        gathered = [(rows, *own) for rows, own in found if own is not None and len(rows)]
        self.found = {}
        numbers = np.concatenate([rows for rows, _ in found])
        if not gathered:
            return Passed(numbers)
        return Passed(numbers, np.concatenate([rows for rows, *_ in gathered]), [own for _, *own in gathered])


def likely(masses, share, size, seed):
    """The rows of a block that a draw by mass from all rows probably takes, and some more.

    Rows of a block with more mass than others may be missed. If a draw takes a large share of all rows, heavy
    rows are certain, which lowers the bar for the others.

    Parameters
    ----------
    masses : Masses
        Of the block.
    share : float
        Of all rows that are in it.
    size, seed
        As of `sampling.by_mass`.
    """
    total, count = masses.total()
    if not LEAST_MASS < total < np.inf:
        return np.zeros(0, dtype=np.int64)
    scale, even, bar = (1 - UNIFORM) * share / total, UNIFORM * share / count, _LOWER / size
    enough = min(_MORE * share * size, count)
    while True:
        rows = masses.above(scale, even, bar, seed)
        if len(rows) >= enough or bar <= _LEAST_BAR:
            return rows
        bar *= _LOWER
