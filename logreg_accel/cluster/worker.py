"""The work of a worker: it keeps parts of a source as blocks, and answers questions about them.

An answer is a function of the parts and of the question. Blocks and row vectors are only cached: a worker
that lacks a part reads it, and computes a row vector again by the pass that made it. So any worker can answer
at any time, with the same bits.
"""

import collections
import hashlib
import threading

import numpy as np

from ..backends.passes import LossGradient, RowVector
from ..data.checked import Pattern, pieces_of
from ..data.labels import values_of
from ..data.learning import LabelBook, Totals
from ..rows import cache, masses
from ..rows.decode import Decoder, anonymous, kind_of
from ..rows.spill import Parts, Spill
from ..rows.store import Store
from ..rows.stream import VECTORS
from .messages import ClassMasses, Halves, Lacking, Product, Summary
from .part_rows import PartRows

_SHELVES = 3  # number of sources that are kept; a dropped one is read again


_shelves: collections.OrderedDict = collections.OrderedDict()
_lock = threading.RLock()


def work(plan, parts, method, numbers, args, n_threads=None):
    """Answer a question about some parts.

    Parameters
    ----------
    plan : Plan
    parts : dict of int -> (Part, digest or None)
        Parts that the worker probably lacks.
    method : str
        Of Shelf.
    numbers : list of int
        Numbers of the parts in question.
    args : tuple
    n_threads : int or None

    Returns
    -------
    object or Lacking
    """
    with _lock:
        shelf = _shelves.get(plan.token)
        if shelf is None:
            shelf = _shelves[plan.token] = Shelf(plan, n_threads)
            while len(_shelves) > _SHELVES:
                _shelves.popitem(last=False)[1].close()
        _shelves.move_to_end(plan.token)
        for i, part in parts.items():
            shelf.read(i, *part)
        lacking = [i for i in numbers if i not in shelf.summaries]
        return Lacking(lacking) if lacking else getattr(shelf, method)(numbers, *args)


def peek(part, n_threads=None):
    """The first row of a part from which types are known, and its place."""
    pattern = Pattern()
    next(pieces_of(0, part, pattern), None)
    return pattern.first


def forget(token, n_threads=None):
    """Release everything that is kept for a source."""
    with _lock:
        shelf = _shelves.pop(token, None)
        if shelf is not None:
            shelf.close()


class Shelf:
    """Parts of a source, as blocks in one Store."""

    def __init__(self, plan, n_threads):
        self.plan, self.n_threads, self.store = plan, n_threads, None
        self.summaries, self.blocks = {}, {}
        self.vectors = {}
        self.spill = Spill(plan.folder, int(VECTORS * plan.memory))
        self.recomputed = 0

    def close(self):
        if self.store is not None:
            self.store.close()
        self.vectors.clear()

    # -- parts -----------------------------------------------------------------------------------------------

    def read(self, number, part, digest=None):
        """Decode a part, unless it is there already; raise ValueError if it has changed."""
        if number in self.summaries:
            return
        decoder = Decoder(LabelBook(self.plan.classes), Totals())
        first = 0 if self.store is None else len(self.store.sizes)
        for piece in pieces_of(number, part, Pattern(self.plan.first)):
            decoder.store = self.store = self.store or self._store(kind_of(piece.chunk))
            decoder.add(piece)
        decoder.finish()
        stop = 0 if self.store is None else len(self.store.sizes)
        self.blocks[number] = range(first, stop)
        summary = self._summary(decoder, self.blocks[number])
        if digest not in (None, summary.digest):
            raise ValueError(
                f"{part.name!r} has changed since the first read. Fit again once it is complete."
            )
        self.summaries[number] = summary

    def _store(self, kind):
        store = Store(kind, None, anonymous(self.plan.folder))
        memory = self.plan.memory
        store.allow(cache.room_at_first(memory))
        store.allow(cache.room_for_blocks(memory, memory // 5))  # the solver is in another process
        return store

    def _summary(self, decoder, blocks):
        book, known, layouts = decoder.book, hashlib.sha256(), ()
        if len(blocks):
            labels = np.unique(np.concatenate(book.found))
            layouts = tuple(self.store.layouts[i] for i in blocks)
        else:
            labels = np.zeros(0)
        for i in blocks:
            known.update(repr(self.store.layouts[i]).encode() + self.store.sums[i].tobytes())
        codes, rows = (
            np.array([of[label] for label in values_of(labels)], dtype=int) for of in (book.codes, book.rows)
        )
        totals = tuple(values[codes] for values in decoder.totals.in_order_of_coming())
        kind = self.store.kind if len(blocks) else None
        about = decoder.names, kind, decoder.width, layouts
        return Summary(*about, labels, codes, rows, totals, known.digest(), decoder.rounded)

    def summary(self, numbers):
        """The Summary of every part."""
        return {i: self.summaries[i] for i in numbers}

    # -- sums ------------------------------------------------------------------------------------------------

    def sums(self, numbers, shared, view, pass_, key, alive):
        """The nodes of a Tree with the sums of a pass, and how many rows were read again for row vectors.

        Row vectors from the pass are kept under `key`; those not in `alive` are dropped.
        """
        for known in [name for name in self.vectors if name[0] not in alive]:
            del self.vectors[known]
        self.recomputed = 0
        return self._sums(numbers, shared, view, pass_, key), self.recomputed

    def _sums(self, numbers, shared, view, pass_, key):
        numbers = [i for i in numbers if self.blocks[i]]
        if not numbers:
            return {}
        pass_ = pass_._with_vectors(lambda recipe: self._vector(recipe, numbers, shared))
        rows = PartRows(self, numbers, shared, view)
        rows.key = key
        with rows.backend.limit_threads():
            return rows._over_blocks(pass_, rows.blocks if pass_.reads else rows._without_x)

    def _vector(self, recipe, numbers, shared):
        """A row vector over the blocks of some parts; what is missing is computed again."""
        lacking = [i for i in numbers if (recipe.key, i) not in self.vectors]
        if lacking:
            self._sums(lacking, shared, recipe.view, recipe.pass_, recipe.key)
            if isinstance(recipe.pass_, LossGradient):
                self.recomputed += sum(rows for i in lacking for rows, _ in self.summaries[i].layouts)
        return RowVector(Parts([handle for i in numbers for handle in self.vectors[recipe.key, i]]))

    # -- each part by itself ---------------------------------------------------------------------------------

    def each(self, numbers, shared, view, method, own, args):
        """The results of a method below for every part that has rows; own : dict of part -> an argument."""
        there = [i for i in numbers if self.blocks[i]]
        return {i: getattr(self, method)(PartRows(self, [i], shared, view), own.get(i), *args) for i in there}

    def some(self, rows, wanted):
        """Some rows: X, class codes and weights as they were given."""
        start = sum(count for count, _ in self.store.layouts[: rows._numbers[0]])
        X, codes, s = self.store.some(wanted + start)
        return X, next(rows._streams()).places[codes], s

    def beside(self, rows, wanted):
        """Class codes and weights of some rows."""
        return rows._labels_of().at(wanted)

    def class_totals(self, rows, _, n_classes):
        return list(rows._labels_of().of_blocks(n_classes))

    def heaviest(self, rows, start, code):
        best, found = rows._labels_of().heaviest(code)
        return best, found + start

    def numbers(self, rows, wanted, asked):
        """A row vector or masses, for some rows or (None) for all."""
        parts = self._masses(rows, asked).parts
        to_host = rows.backend.to_host
        if wanted is None:
            return np.concatenate([to_host(part) for part in parts])
        return to_host(masses.at(parts, wanted, rows.backend))

    def mass_totals(self, rows, _, asked):
        return self._masses(rows, asked).of_blocks()

    def above(self, rows, start, asked, *bar):
        return self._masses(rows, asked, start).above(*bar)

    def positive(self, rows, start, asked):
        return self._masses(rows, asked).positive() + start

    def _masses(self, rows, asked, start=0):
        if isinstance(asked, ClassMasses):
            parts = list(rows._labels_of().masses(asked.each).parts)
        elif isinstance(asked, Halves | Product):
            pair = [self._masses(rows, of).parts for of in asked[:2]]
            if isinstance(asked, Halves):
                parts = list(masses.mixed(*pair, asked.one, asked.both))
            else:
                parts = [mass * other for mass, other in zip(*pair, strict=True)]
        else:
            parts = self._vector(asked, rows.parts, rows.shared).parts
        return masses.Masses(parts, rows.backend, start=start)
