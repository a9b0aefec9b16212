"""Rows of which some can be drawn and gathered into memory."""

import numpy as np

from ..backends.passes import ColumnSquares, RowSquares
from ..data import IN_UNITS, finer
from . import sampling
from .base import Rows, _closing
from .masses import Labels, Masses, at, joined
from .passing import Wanted

_CONVERTED = 1 << 23  # bytes of gathered rows up to which a copy in float64 is held for a proof


class DrawnRows(Rows):
    """Rows from which some can be drawn.

    A subclass gives labels and weights (`_beside`), gathers chosen rows (`_take`), gives all rows in float64
    (`_exactly`), and the Columns of X (`_columns`) if it knows them.

    Attributes
    ----------
    n_classes : int
    keeps_vectors : bool
        Whether the parts of row vectors are at hand, block by block.
    gathered_bytes : int
        The memory of these rows in addition to the rows they were drawn from.
    """

    keeps_vectors = False
    gathered_bytes = 0

    _norms = _columns = None

    def _beside(self):
        """(y, weights or None) of every block, on the backend's device; a new iterator on each call."""
        raise NotImplementedError

    def _take(self, rows, weights):
        """Blocks of some rows, ascending, with weights of their own."""
        raise NotImplementedError

    def _gathered(self, blocks, share=0.0, cost=0.0):
        """Rows made of blocks of these."""
        raise NotImplementedError

    def _exactly(self):
        """All rows in float64, with weights that are not rounded to the arithmetic of the passes."""
        raise NotImplementedError

    def _masses(self, vector):
        """A row vector as masses, by which rows are drawn."""
        return Masses(vector.parts, self.backend)

    def _reads_of(self, rows):
        """The cost of gathering some rows, in reads of all rows."""
        return len(rows) / self.n_rows

    @property
    def scale(self):
        if self._columns is None:
            return 1.0
        centre = 0 if self.centre is None else self.centre
        return np.sqrt(np.maximum(self._columns.scale**2 - centre * centre, 0))

    # -- numbers of every row --------------------------------------------------------------------------------

    def each(self, function, *vectors):
        """function(codes, weights or None, *parts) of every block, with its parts of row vectors. No read."""
        with _closing(self._beside()) as beside:
            for (y, s), *parts in zip(beside, *(vector.parts for vector in vectors), strict=False):
                yield function(y, s, *parts)

    def vector(self, parts):
        """A row vector of the numbers of every block, kept where those of a pass are."""
        return self._vector([self._held(part) for part in parts])

    # -- draws -----------------------------------------------------------------------------------------------

    def draw(self, size, seed, mass=None, by_norms=False):
        """See `Rows.draw`. Norms are those of rows with scaled columns; otherwise a large column would
        dominate them.

        Without the norms of all rows, twice as many candidates are drawn by mass, and their norms are used,
        so that norms cost no read. With the norms of all rows, half of the rows are still drawn by mass
        alone, because of rare columns such as pixels of images.
        """
        if (1 if by_norms else 2) * size >= self.n_rows:
            return None
        rows = self._drawn(("draw", size, seed, mass, by_norms), self._choice(size, seed, mass, by_norms))
        if by_norms and self._norms is None:  # the draw was in a checkpoint, so no norms were computed
            self._norms = self.scaled_norms()
        return rows

    def witnesses(self, size, seed, mass=None):
        """See `Rows.witnesses`."""
        if 2 * size >= self.n_rows:
            return None if self.rounds_to == np.float64 else self._exactly()
        rows = self._drawn(("witnesses", size, seed, mass), lambda: self._witnesses(size, seed, mass))
        return in_float64(rows)

    def of_sample(self, sample, size):
        """As `witnesses`, but evenly spaced among the rows of a sample that was drawn from these."""
        places = np.arange(int(size)) * sample.n_rows // int(size)
        weights = self._weighted(sample.numbers[places], np.ones(len(places)))
        return in_float64(self._gathered(sample._take(places, weights)))

    def reads_to_draw(self, size, by_norms=False):
        norms = 2 if by_norms and self._norms is None and size < self.n_rows else 0
        return super().reads_to_draw(size, by_norms) + norms

    def scaled_norms(self):
        """‖xᵢ‖² in columns divided by their root mean squares, a row vector. Two reads."""
        columns = self.sum(ColumnSquares()) / self.n_rows
        scale = np.divide(1, columns, out=np.zeros_like(columns), where=columns > 0)
        return self.sum(RowSquares(scale))

    def _drawn(self, asked, choose):
        """Rows in memory, from chosen rows, weights and cost and, if available, their blocks."""
        if self.log is not None:
            rows, weights, cost = self.log.drawn(asked, self._about(), choose)
            blocks = []  # so that a fit with a log and a resumed fit gather rows in the same way
        else:
            rows, weights, cost, *blocks = choose()
        found = self._gathered(blocks[0] if blocks else self._take(rows, weights), cost=cost)
        found.numbers = rows if self.in_memory else None
        return found

    def _choice(self, size, seed, mass, by_norms):
        seeds = [seed, int(size)]
        if mass is None:
            return lambda: self._by_class(size, seeds)
        return lambda: (self._by_norms if by_norms else self._by_mass)(mass, size, seeds)

    def _by_class(self, size, seeds):
        if self._has_targets():
            rows, weights = sampling.by_targets(self._beside, size, self.n_classes, seeds, self.backend)
        else:
            rows, weights = sampling.by_class(self._labels_of(), size, self.n_classes, seeds, self.backend)
        return rows, weights, self._reads_of(rows)

    def _has_targets(self):
        """Whether rows have codes of several targets."""
        return next(self._beside())[0].ndim == 2

    def _labels_of(self):
        """Class codes and weights, as used by draws."""
        return Labels(self._beside, self.backend)

    def _by_mass(self, mass, size, seeds):
        masses = self._masses(mass)
        rows, weights = sampling.by_mass(masses, *candidates(size, seeds[0]), self.backend)
        looked_at = self._gathered(self._take(rows, np.ones(len(rows))))
        norms = joined(looked_at.scaled_norms().parts)
        likely = self.backend.product(weights, masses.at(rows), norms)
        kept, again = sampling.by_mass(likely, size, [*seeds, 1], self.backend, rows)
        chosen, weights = rows[kept], self._weighted(rows[kept], weights[kept] * again)
        return chosen, weights, self._reads_of(rows), looked_at._take(kept, weights)

    def _by_norms(self, mass, size, seeds):
        cost = 0.0
        if self._norms is None:
            self._norms, cost = self.scaled_norms(), 2.0
        with np.errstate(invalid="ignore"):  # no mass at all: rows are drawn evenly
            rows, weights = sampling.by_mass(
                self._masses(mass).halves(self._masses(self._norms)), size, seeds, self.backend
            )
        return rows, self._weighted(rows, weights), cost + self._reads_of(rows)

    def _witnesses(self, size, seed, mass):
        m = self.n_rows
        if mass is None:
            rows = np.arange(int(size)) * m // int(size)
        else:
            rows, _ = sampling.by_mass(self._masses(mass), *moved(size, seed), self.backend)
        return rows, self._weighted(rows, np.ones(len(rows))), self._reads_of(rows)

    def _weighted(self, rows, weights):
        """Weights of a draw times those of the rows drawn, on the host."""
        s = at((s for _, s in self._beside()), rows, self.backend)
        return weights if s is None else weights * self.backend.to_host(s)


def candidates(size, seed):
    """The candidates of a draw by mass, `Wanted`: twice as many rows as it takes."""
    return Wanted(2 * int(size), (seed, int(size)))


def moved(size, seed):
    """The rows that a proof moves, `Wanted`: a larger set contains each smaller one, so that one announcement
    suffices."""
    return Wanted(int(size), (seed, 3))


def in_float64(rows):
    """The same rows in memory, with sums in float64.

    A few gathered rows are converted once instead of by every pass. So are all rows of a small sparse X,
    whose products are so fast that the conversion would be most of a pass. Other rows are not, because a copy
    in float64 may take twice their memory, and a source has only what its budget leaves.
    """
    if rows.dtype != np.float64:
        if _is_few(rows):
            rows._blocks = [block._replace(X=block.X.astype(np.dtype(np.float64))) for block in rows._blocks]
            rows.backend = rows.backend.in_array_code()
        else:
            rows._blocks = rows._less(np.zeros(rows.n_features))
        rows.rounds_to = rows.dtype = np.dtype(np.float64)
    return rows


def in_long_double(rows):
    """Rows in host memory with products in long double; None where that is no finer than float64."""
    if not IN_UNITS < 1:
        return None
    rows._blocks = [block._replace(X=finer(block.X)) for block in rows._blocks]
    rows.backend, rows.fineness = rows.backend.in_array_code(), IN_UNITS
    return rows


def _is_few(rows):
    if not rows.drawn_from.in_memory or rows.backend.on_device:
        return False
    if rows.share:
        return all(block.X.keeps_copies for block in rows.blocks())
    return rows.gathered_bytes <= _CONVERTED
