"""The Rows of some parts of a worker, for passes and draws."""

import numpy as np

from ..backends import get_backend
from ..rows.base import Rows
from ..rows.stream import StreamRows
from ..rows.tree import ByPart


class PartRows(StreamRows):
    """Rows of some parts on a shelf.

    Parameters
    ----------
    shelf : Shelf
    parts : list of int
        The parts that have rows.
    shared : (Streamed, int)
        Common facts of all parts, without a store; and the number of features.
    view : View
    """

    key = None

    def __init__(self, shelf, parts, shared, view):
        streamed, n_features = shared[0]._replace(store=shelf.store), shared[1]
        shelf.store.n_features = n_features
        backend, _ = get_backend(view.backend, 0, n_threads=shelf.n_threads)
        total = streamed.total_weight / streamed.weight_scale
        m = sum(rows for i in parts for rows, _ in shelf.summaries[i].layouts)
        Rows.__init__(self, backend, m, n_features, view.dtype, total)
        self.store, self.shelf, self.parts, self.shared = shelf.store, shelf, parts, shared
        self.streamed, self._subtracted, self._spill = streamed, view.subtracted, shelf.spill
        self._numbers = [number for i in parts for number in shelf.blocks[i]]

    def _streams(self):
        classes = self.streamed.classes
        for i in self.parts:
            summary = self.shelf.summaries[i]
            places = np.zeros(len(summary.codes), dtype=np.min_scalar_type(len(classes) - 1))
            places[summary.codes] = np.searchsorted(classes, summary.labels)
            for _ in self.shelf.blocks[i]:
                yield self.streamed._replace(places=places)

    def _adding(self, pass_):
        return _Nodes(pass_, (self.store.parts[i] for i in self._numbers))

    def _with(self, nodes, pass_, vectors):
        """Row vectors stay here."""
        if vectors:
            vectors = iter(vectors)
            for i in self.parts:
                self.shelf.vectors[self.key, i] = [next(vectors) for _ in self.shelf.blocks[i]]
        return {place: _on_host(sums, self.backend) for place, sums in nodes.items()}


def _on_host(sums, backend):
    return sums if isinstance(sums, tuple) else backend.to_host(sums)


class _Nodes(ByPart):
    """Sums as nodes of a tree, to which those of other workers are added."""

    def total(self):
        return self.nodes()
