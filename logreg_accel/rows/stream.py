"""Rows that every pass reads from blocks on disk; blocks that fit stay in memory."""

import contextlib
import copy
import itertools

import numpy as np

from ..backends.passes import RowVector
from ..data import Block, centre_of, centred, compute_dtype, look_at
from ..data.packed import PIECE
from .buffers import trim
from .drawn import DrawnRows, candidates, moved
from .masses import at
from .memory import SomeRows
from .passing import Passed, Passing
from .spill import Parts, Spill
from .store import AT_ONCE
from .tree import ByPart

WITNESSES = 16_000_000
"""Bytes that the rows of a proof may always take; with fewer rows it is looser, and may cost a step."""

_OF_ALL, _OF_MEMORY = 120, 24  # beyond that, divisors of the source and of the memory that limit the rows

GATHERED = 1_000_000
"""Bytes of rows that are gathered for a proof during a pass."""

_LOOKED_AT = 512  # rows from which statistics of columns are computed
VECTORS = 0.125  # share of the memory for row vectors, such as margins
KEPT = 0.125  # share of the memory for drawn rows that many models keep


def evenly(m, most):
    """At most `most` of the numbers below m, evenly spaced."""
    count = min(m, most)
    return (np.arange(count) * m + m // 2) // max(count, 1)


def most_of_proof(nbytes, memory):
    """Largest size in bytes of the rows of a proof, which grows with the source, as for rows in memory.

    It is the same for any memory above a fifth of the source.
    """
    return max(WITNESSES, min(nbytes // _OF_ALL, memory // _OF_MEMORY))


def most_kept(nbytes, memory):
    """Largest size in bytes of the drawn rows that many models keep for each other: in float64, those of a
    proof at least."""
    return max(2 * most_of_proof(nbytes, memory), int(KEPT * memory))


class StreamRows(DrawnRows):
    """Blocks that a Store yields in a fixed order; sums over them are added in that order.

    Parameters
    ----------
    streamed : Streamed or Relabelled
    backend : Backend
    centring : bool or None
        As in `MemoryRows`.
    """

    in_memory = True  # a few rows at a time are
    gathers = keeps_vectors = True
    _numbers = None  # of the blocks; None for all
    _passed = Passed()
    _seen = np.zeros(0, dtype=int), None  # rows that were looked at last, and their block

    def __init__(self, streamed, backend, centring=None):
        store = self.store = streamed.store
        m, n = store.shape
        total = streamed.total_weight / streamed.weight_scale
        super().__init__(backend, m, n, compute_dtype(store.dtype), total)
        self.streamed, self.n_classes = streamed, len(streamed.classes)
        self.nbytes = store.nbytes
        self.least_weight = streamed.least_weight if streamed.weighted else 1.0
        self.most_kept = most_kept(store.nbytes, streamed.memory)
        self._spill = Spill(store.folder, int(VECTORS * streamed.memory))
        self._subtracted = None
        self._columns = look_at(store.some(evenly(m, _LOOKED_AT))[0])
        if centring is not None:
            self._centre(centring)

    def _centre(self, intercept):
        self.centre = self._subtracted = centre_of(self._columns, self.dtype, intercept)
        if self.centre is not None:
            self.rounds_to, self.dtype = self.dtype, np.dtype(np.float64)

    def in_float64(self, intercept):
        """See `Rows.in_float64`; with an intercept, columns are centred."""
        return None if self.dtype == np.float64 else self.about_means(intercept)

    def about_means(self, intercept):
        """All rows in float64; with an intercept, the means of all columns are subtracted."""
        rows, centre = copy.copy(self), np.zeros(self.n_features)
        if intercept:
            centre[self._columns.which] = self._columns.mean
        rows.centre = rows._subtracted = centre
        rows._norms, rows.rounds_to, rows.dtype = None, self.dtype, np.dtype(np.float64)
        return rows

    def _exactly(self):
        rows = copy.copy(self)
        rows._subtracted = np.zeros(self.n_features) if self._subtracted is None else self._subtracted
        rows.centre, rows.rounds_to = None, np.dtype(np.float64)
        rows.dtype = rows.rounds_to
        return rows

    @property
    def piled(self):
        return 1.0 if self.dtype == np.float64 else self.store.kind.piled

    def first_nonfinite(self):
        return None  # the first read has refused them

    # -- blocks ----------------------------------------------------------------------------------------------

    def blocks(self):
        with contextlib.closing(self.store.blocks(self._numbers)) as blocks:
            for streamed, (X, codes, s) in zip(self._streams(), blocks, strict=False):
                yield self._block(X, *streamed.beside(codes, s))

    def _parts(self, pass_, blocks):
        """Process several blocks at a time if the backend can, and gather rows for draws in passing."""
        if not pass_.reads:
            yield from super()._parts(pass_, blocks)
            return
        several = self.backend.beside(pass_, AT_ONCE)
        backend = several or self.backend
        count = len(self.store.sizes if self._numbers is None else self._numbers)
        streams = list(itertools.islice(self._streams(), count))
        passing = Passing(pass_, self.store.layouts) if getattr(pass_, "wanted", ()) else None

        def part(place, X, codes, s):
            block = self._block(X, *streams[place].beside(codes, s))
            sums = backend.run(pass_.for_block(place), block)
            if passing is not None:
                kept = place in self.store.resident
                passing.look(place, backend, block, sums.margins, None if kept else X, codes)
            return sums

        if several is not None:
            yield from self.store.each(part, self._numbers)
        else:
            with contextlib.closing(self.store.blocks(self._numbers)) as found:
                yield from (part(place, *block) for place, block in enumerate(found))
        self.store.let_go()  # proofs between reads need the memory, and what was gathered is copied
        if passing is not None:
            trim()
            self._passed = passing.passed()
        trim()

    def _streams(self):
        """For every block, the Streamed or Relabelled that knows the labels of its rows."""
        return self.streamed.of_blocks()

    def _block(self, X, *beside):
        if self._subtracted is not None:
            X = centred(X, self.backend.xp.asarray(self._subtracted))
        return self.backend.upload(Block(X, *beside))

    def _without_x(self):
        with contextlib.closing(self.store.beside(self._numbers)) as beside:
            for streamed, (codes, s) in zip(self._streams(), beside, strict=False):
                y, s, *more = streamed.beside(codes, s)
                yield Block(None, y, None if s is None else s.astype(self.dtype), *more)

    def _beside(self):
        with contextlib.closing(self._without_x()) as blocks:
            for block in blocks:
                yield block.y, block.sample_weight

    def _about(self):
        return self.dtype.name, self._subtracted, self.left_out

    def _adding(self, pass_):
        """Sums are added in the order of a tree over parts, as on any number of workers."""
        return ByPart(pass_, self.store.parts)

    def _held(self, part):
        return self._spill.keep(part)

    def _vector(self, parts):
        return RowVector(Parts(parts))

    def row_vector(self, values):
        ends = np.cumsum([rows for rows, _ in self.store.layouts])[:-1]
        parts = (np.ascontiguousarray(part) for part in np.split(values, ends))  # a broadcast vector is not
        return self._vector([self._held(self.backend.xp.asarray(part)) for part in parts])

    def to_host(self, vector, rows=None):
        """A row vector, or some rows of it, in the order of the rows."""
        if rows is None:
            return super().to_host(vector)
        return self.backend.to_host(at(vector.parts, rows, self.backend))

    # -- some of the rows ------------------------------------------------------------------------------------

    def _take(self, rows, weights):
        X, codes = self._passed.taken(rows, lambda others: self.store.some(others)[:2])
        trim()
        y, _, *more = self.streamed.at(rows).beside(codes, None)
        block = self._block(X, y, None, *more)
        return [self.backend.take(block, np.arange(len(rows)), weights)]

    # -- a few rows that are gathered once, for callers that need their values -------------------------------

    def evenly_spaced(self, most):
        """The numbers of evenly spaced rows, up to a count; rows without weight are left out."""
        rows = evenly(self.n_rows, most)
        s = self.weights(rows)
        return rows if s is None else rows[s > 0]

    def _looked_at(self, rows):
        """The block of some rows, kept if the same rows were used last."""
        known, block = self._seen
        places = np.minimum(np.searchsorted(known, rows), max(len(known) - 1, 0))
        if block is None or not np.array_equal(known[places], rows):
            X, codes, s = self.store.some(rows)
            block, places = Block(X, *self.streamed.at(rows).beside(codes, s)), np.arange(len(rows))
            self._seen = rows, block
        s = block.sample_weight
        return Block(block.X.take(places), block.y[places], s if s is None else s[places])

    def labels(self, rows):
        """Class codes of some rows."""
        return self._looked_at(rows).y

    def weights(self, rows):
        """Weights of some rows; None if all weights are one."""
        return self._looked_at(rows).sample_weight

    def combination(self, rows, a):
        """Σ xᵢ·aᵢ over some rows, ascending, for a (len(rows), k): float64 (n_features, k)."""
        return self.backend.combination(self._block(self._looked_at(rows).X, None, None).X, a)

    def _gathered(self, blocks, share=0.0, cost=0.0):
        return SomeRows(self, blocks, share, cost)

    def witnesses(self, size, seed, mass=None):
        """See `Rows.witnesses`; fewer rows if these would take too much memory."""
        return super().witnesses(self.rows_of_proof(size), seed, mass)

    def rows_of_proof(self, size):
        allowed = most_of_proof(self.nbytes, self.streamed.memory)
        most = max(allowed * self.n_rows // self.nbytes, 8 * self.n_features)
        return size if 2 * size >= self.n_rows else min(size, most)

    def draw(self, size, seed, mass=None, by_norms=False):
        """See `Rows.draw`. Rows gathered for it are released afterwards, unless all rows are used."""
        rows = super().draw(size, seed, mass, by_norms)
        if rows is not None:
            self._passed = Passed()
        return rows

    def wanted(self, draws):
        """See `Rows.wanted`."""
        some = [draw for draw in draws if 2 * draw[0] < self.n_rows]
        most = GATHERED * self.n_rows // self.nbytes  # proofs mostly take fewer rows than they might
        return tuple(moved(min(m, most), i) if proof else candidates(m, i) for m, i, proof in some)

    def _reads_of(self, rows):
        """Gathered rows cost nothing, nor do rows of blocks in memory, which count as gathered."""
        others = rows[~np.isin(rows, self._passed.numbers, assume_unique=True)]
        return self.store.bytes_of(others) / max(self.nbytes, 1)

    def reads_to_draw(self, size, by_norms=False):
        pieces = max(PIECE / max(self.nbytes / self.n_rows, 1), 1)
        if len(self._passed.numbers) >= size:
            pieces = 0
        norms = 2 if by_norms and self._norms is None and size < self.n_rows else 0
        return min((1 if by_norms else 2) * size * pieces / self.n_rows, 1) + norms
