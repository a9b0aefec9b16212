"""Rows on workers, which compute sums, draws and row vectors; drawn rows are sent to the client."""

import contextlib
import itertools
import uuid
import weakref
from collections import Counter
from types import SimpleNamespace

import numpy as np

from ..backends.passes import LossGradient, RowVector
from ..data import packed as p
from ..data.learning import LabelBook, Totals
from ..data.scan import SoFar, nothing
from ..rows import masses
from ..rows.decode import factored
from ..rows.stream import StreamRows
from ..rows.streamed import Streamed
from ..rows.tree import Tree
from .messages import ClassMasses, Halves, Plan, Product, Recipe, View
from .parts import PartsOnWorkers


@contextlib.contextmanager
def opened(source, class_weight=None, check=nothing):
    """A context with the parts of a source on its workers: a Streamed.

    `check` and errors are those of `rows.opened`.
    """
    source.learn(check)
    pool, own = pool_of(source.client)
    plan = Plan(uuid.uuid4().hex, None, source.classes, source.memory, source.cache)
    there = PartsOnWorkers(pool, plan, source.parts_to_read())
    try:
        there.plan = plan._replace(first=there.first())
        yield factored(_streamed(source, there, check), class_weight)
    finally:
        with contextlib.suppress(Exception):
            there.forget()
        if own:
            pool.close()


def pool_of(client):
    """The pool of a Dask client or of a number of processes, and whether to close it."""
    if isinstance(client, int):
        from .processes import Processes

        return Processes(client), True
    if hasattr(client, "scheduler_info"):
        from .dask import DaskPool

        return DaskPool(client), False
    return client, False


def _so_far(source, first, summaries):
    """What the first row and the parts that were read show; `first` as in `Plan`."""
    full = [summary for summary in summaries if summary.kind is not None]
    width = max([0 if first is None else first[1].X.shape[1], *(summary.width for summary in full)])
    blocks = [(summary.kind, layout) for summary in full for layout in summary.layouts]
    nbytes = sum(kind.sections(width, *layout)[1] for kind, layout in blocks)
    labels = {label for summary in full for label in summary.labels.tolist()}
    n_classes = len(labels if source.classes is None else source.classes)
    return SoFar(sum(rows for _, (rows, _) in blocks), width, nbytes, n_classes)


def _streamed(source, there, check):
    """The combined facts about all parts."""
    summaries, due = {}, 1
    check(_so_far(source, there.plan.first, []))
    for answer in there.ask("summary"):
        summaries.update(answer)
        if len(summaries) >= due:
            check(_so_far(source, there.plan.first, summaries.values()))
            due = 2 * len(summaries)
        if source.progress is not None:
            source.progress(answer)
    found = [summaries[i] for i in range(len(there.parts))]
    there.digests = {i: summary.digest for i, summary in summaries.items()}
    full = [summary for summary in found if summary.kind is not None]
    if not full:
        raise ValueError(f"the source has no rows: {there.parts[0].name!r} and {len(found) - 1} more parts.")
    book, totals = LabelBook(source.classes), Totals()
    for i, summary in enumerate(found):
        if summary.kind is not None:
            piece = SimpleNamespace(part=i, where=there.parts[i].name, start=0)
            totals.merge(book.codes_of(summary.labels, piece, summary.rows), summary.totals)
    classes, places = book.classes()
    store = StoreOfParts(there, found, max(summary.width for summary in full), full[0].kind)
    own = np.arange(len(classes), dtype=places.dtype)
    whole = sum((summary.rounded for summary in found), Counter())
    known = store, full[0].names, classes, own, totals.of_classes(places), source.memory
    return Streamed(*known, rounded=dict(whole))


class StoreOfParts:
    """Takes the place of a Store: facts about the blocks on workers, and access to some of their rows.

    Parameters
    ----------
    there : PartsOnWorkers
    summaries : list of Summary
    n_features : int
    kind : packed.Kind
    """

    on_device, stored, folder = False, None, None

    def __init__(self, there, summaries, n_features, kind):
        self.there, self.kind, self.dtype, self.n_features = there, kind, kind.dtype, n_features
        counts = [sum(rows for rows, _ in summary.layouts) for summary in summaries]
        self.starts = np.cumsum([0, *counts])
        self.shape = int(self.starts[-1]), n_features
        self.layouts = [summary.layouts for summary in summaries]
        self.sums = [np.frombuffer(summary.digest, dtype=np.uint8) for summary in summaries]
        self.nbytes = sum(
            kind.sections(n_features, *layout)[1] for layouts in self.layouts for layout in layouts
        )
        self.shared = None

    @property
    def work(self):
        """See `Matrix.work`."""
        return self.nbytes * (4 if self.kind.sparse else 1)

    def bytes_of(self, rows):
        """The approximate number of bytes that `some` moves."""
        return len(rows) * self.nbytes / max(self.shape[0], 1)

    def close(self):
        """Workers keep the blocks until they are told to forget."""

    def some(self, rows):
        """A Matrix of some rows, ascending, their class codes, and their weights or None."""
        view = View(np.dtype(np.float64), None, "numpy")
        return p.collected(iter(self.each("some", view, self.by_part(rows))), len(rows))

    def by_part(self, rows):
        """Some ascending rows, split by part, and counted from the first row of the part."""
        cuts = np.searchsorted(rows, self.starts)
        spans = enumerate(itertools.pairwise(cuts.tolist()))
        return {i: rows[a:b] - self.starts[i] for i, (a, b) in spans if a < b}

    def each(self, method, view, own=None, args=()):
        """The results of a method for every part, or for those with their own argument, in order."""
        numbers = [i for i, layouts in enumerate(self.layouts) if layouts and (own is None or i in own)]
        found: dict = {}
        for answer in self.there.ask("each", (self.shared, view, method, own or {}, args), numbers):
            found.update(answer)
        return [found[i] for i in numbers]

    def numbered(self):
        """The number of the first row of every part, for methods that take it as an argument."""
        return dict(enumerate(self.starts[:-1].tolist()))


class ClusterRows(StreamRows):
    """Rows of parts on workers; row vectors stay there, and the client has their recipes.

    Attributes
    ----------
    read_again : float
        Reads of all rows that were needed to compute lost row vectors again.
    """

    read_again = 0.0
    keeps_vectors = False
    gathers = False  # workers send only rows that are drawn

    def __init__(self, streamed, backend, centring=None):
        store = streamed.store
        store.shared = streamed._replace(store=None, memory=0), store.n_features
        self._keys, self._alive = itertools.count(), weakref.WeakValueDictionary()
        super().__init__(streamed, backend, centring)

    @property
    def _view(self):
        return View(self.dtype, self._subtracted, self.backend.name)

    def blocks(self):
        raise TypeError("The rows of a cluster stay on its workers.")

    def _beside(self):
        raise TypeError("The labels of a cluster stay on its workers.")

    def _over_blocks(self, pass_, blocks):
        pass_ = pass_._with_vectors(lambda vector: vector.parts)
        keeps = isinstance(pass_, LossGradient) and pass_.keep_margins
        vector = self._to_come(pass_) if pass_.of_rows or keeps else None
        if pass_.of_rows:
            return vector
        tree, key = Tree(pass_), None if vector is None else vector.parts.key
        args = self.store.shared, self._view, pass_, key, frozenset(self._alive)
        for nodes, again in self.store.there.ask("sums", args):
            self.read_again += again / self.n_rows
            for (level, i), sums in nodes.items():
                tree.add(sums, i, level)
        total = tree.total()
        return total._replace(margins=vector) if keeps else total

    def _to_come(self, pass_):
        """A row vector that workers compute, and compute again if it is lost, while it is referenced here."""
        key = next(self._keys)
        vector = self._alive[key] = RowVector(Recipe(key, self._view, pass_))
        return vector

    def wanted(self, draws):
        return ()

    def to_host(self, vector, rows=None):
        """See `StreamRows.to_host`."""
        return self._numbers_of(vector.parts, rows)

    def _numbers_of(self, asked, rows):
        own = None if rows is None else self.store.by_part(rows)
        return np.concatenate(self.store.each("numbers", self._view, own, (asked,)))

    def _has_targets(self):
        return False

    def _labels_of(self):
        return _Labels(self)

    def _masses(self, vector):
        return _Masses(self, vector.parts)

    def _weighted(self, rows, weights):
        s = self._labels_of().at(rows)[1]
        return weights if s is None else weights * s


class _Labels:
    """As `masses.Labels`, on workers."""

    def __init__(self, rows):
        self.rows = rows

    def _each(self, method, *args, own=None):
        return self.rows.store.each(method, self.rows._view, own, args)

    def totals(self, n_classes):
        return masses.added(pair for pairs in self._each("class_totals", n_classes) for pair in pairs)

    def masses(self, each):
        return _Masses(self.rows, ClassMasses(each))

    def at(self, rows):
        codes, s = zip(*self._each("beside", own=self.rows.store.by_part(rows)), strict=True)
        return np.concatenate(codes), None if s[0] is None else np.concatenate(s)

    def heaviest(self, code):
        return max(self._each("heaviest", code, own=self.rows.store.numbered()), key=lambda found: found[0])


class _Masses(masses.Masses):
    """As `masses.Masses`, on workers."""

    numbers = None

    def __init__(self, rows, asked):
        super().__init__(None, rows.backend)
        self.rows, self.asked = rows, asked

    def _each(self, method, *args, own=None):
        return self.rows.store.each(method, self.rows._view, own, (self.asked, *args))

    def total(self):
        return masses.added(pair for pairs in self._each("mass_totals") for pair in pairs)

    def of_share(self, uniform, share, seed):
        return None

    def above(self, *bar):
        return np.concatenate(self._each("above", *bar, own=self.rows.store.numbered()))

    def positive(self):
        return np.concatenate(self._each("positive", own=self.rows.store.numbered()))

    def at(self, rows):
        return self.rows._numbers_of(self.asked, rows)

    def halves(self, other):
        pair = self.asked, other.asked
        both = _Masses(self.rows, Product(*pair)).total()[0]
        return _Masses(self.rows, Halves(*pair, self.total()[0], both))
