"""Rows in memory: blocks that are used in place, samples gathered from them, batches as views."""

import copy
import functools

import numpy as np

from ..backends.moments import ColumnMoments
from ..backends.passes import RowSquares
from ..data import centre_of, centred, compute_dtype, is_on_device, look_at, positive_rows, weighed
from .base import Rows
from .drawn import DrawnRows, in_float64, in_long_double
from .masses import Labels, Masses, joined

_FEW = 1 << 19  # terms of products in long double, which take some hundredths of a second


class MemoryRows(DrawnRows):
    """Blocks that the backend has uploaded once.

    Parameters
    ----------
    blocks : sequence of Block
        As they came; labels and weights on the host or, like X, on a device.
    backend : Backend
    n_classes : int
    centring : bool or None
        Whether columns far from zero are centred, which needs an intercept, or only read in float64; None
        does not change the arithmetic.
    counts : sequence of int (n_classes,) or None
        Rows of each class, where they are known.

    Attributes
    ----------
    least_weight : float
        The smallest positive sᵢ.
    """

    in_memory = keeps_vectors = True
    counts = None

    def __init__(self, blocks, backend, n_classes=2, centring=None, counts=None):
        blocks = list(blocks)
        first = blocks[0]
        weights = [block.sample_weight for block in blocks]
        n_rows = sum(block.X.shape[0] for block in blocks)
        weighted = first.sample_weight is not None
        looks = [weighed(s) for s in weights] if weighted else []
        total = sum(look.total for look in looks) if weighted else float(n_rows)
        super().__init__(backend, n_rows, first.X.shape[1], compute_dtype(first.X.dtype), total)
        self.least_weight = min(look.least for look in looks) if weighted else 1.0
        self.n_classes = n_classes
        if first.offset is not None:
            self.offset_scale = float(np.sqrt(np.mean([float((b.offset * b.offset).mean()) for b in blocks])))
        self.counts = None if weighted else counts
        self.nbytes = sum(block.X.nbytes for block in blocks)
        self._labels, self._weights = joined([block.y for block in blocks]), joined(weights)
        self._given = blocks
        backend.expect(first.X, n_classes)
        self._blocks = [backend.kept(backend.upload(block)) for block in blocks]
        self.entries = sum(block.X.entries for block in self._blocks)
        if centring is not None and self._columns is not None:
            self._centre(centring)

    @functools.cached_property
    def _columns(self):
        """The Columns of the largest block, on the host if the block came from there; None if unknown."""
        if not self.n_rows:
            return None
        i = int(np.argmax([block.X.shape[0] for block in self._given]))
        if not self._given[i].X.on_device:
            return look_at(self._given[i].X)
        return look_at(self._blocks[i].X, self.backend.xp, self.backend.to_host)

    def _centre(self, intercept):
        """Subtract the centre of the columns from now on."""
        self.centre = centre_of(self._columns, self.dtype, intercept)
        if self.centre is None and self.offset_scale is not None and self.dtype != np.float64:
            self.centre = np.zeros(self.n_features)  # float32 would round a large offset
        if self.centre is not None:
            self._blocks = self._exactly_weighted()
            self._blocks = self._less(self.centre)
            self.rounds_to, self.dtype = self.dtype, np.dtype(np.float64)

    def in_float64(self, intercept):
        """See `Rows.in_float64`; with an intercept, columns are centred."""
        return None if self.dtype == np.float64 else self.about_means(intercept)

    def deviations(self, intercept):
        rows = self if self.centre is not None and self.centre.any() else self.about_means(True)
        with np.errstate(invalid="ignore", over="ignore"):  # the first evaluation refuses such rows
            sums, squares = rows.sum(ColumnMoments()) / rows.weight_sum
            variance = squares - sums * sums
            rounding = 64 * np.finfo(np.float64).eps * abs(rows.centre)
            return np.sqrt(np.where(variance > rounding * rounding, variance, 1.0))

    def finer(self):
        """See `Rows.finer`."""
        many = self.n_rows * self.n_features * self.n_classes > _FEW
        return None if many or self.backend.on_device else in_long_double(self._exactly())

    def about_means(self, intercept):
        """All rows in float64; with an intercept, the means of all columns are subtracted."""
        rows, centre = copy.copy(self), np.zeros(self.n_features)
        if intercept and self._columns is not None:
            centre[self._columns.which] = self._columns.mean
        rows.centre, rows._norms, rows._blocks = centre, None, self._exactly_weighted()
        rows._blocks = rows._less(centre)
        rows.rounds_to, rows.dtype = self.rounds_to, np.dtype(np.float64)
        return rows

    def _less(self, centre):
        """The blocks with a vector subtracted from every row, in float64."""
        c = self.backend.xp.asarray(centre)
        return [block._replace(X=centred(block.X, c)) for block in self._blocks]

    @property
    def piled(self):
        return 1.0 if self.dtype == np.float64 else self._blocks[0].X.piled

    def blocks(self):
        return iter(self._blocks)

    def offers(self, kind, loss):
        alone = len(self._blocks) == 1 and self.offset_scale is None
        return alone and self.backend.has_kernel(kind, loss, self._blocks[0].X)

    def columns_in_memory(self):
        return self._blocks[0].X if len(self._blocks) == 1 and not self.backend.on_device else None

    def exactly_weighted(self):
        if self._weights is None:
            return self
        rows = copy.copy(self)
        rows._blocks = self._exactly_weighted()
        return rows

    def first_nonfinite(self):
        """See `Rows.first_nonfinite`; X is examined on the host if it came from there."""
        start = 0
        for given, block in zip(self._given, self._blocks, strict=True):
            found = (block if given.X.on_device else given).X.first_nonfinite()
            if found is not None:
                row, column, value = found
                return start + row, column, value
            start += given.X.shape[0]
        return None

    # -- some of the rows ------------------------------------------------------------------------------------

    def _beside(self):
        return ((block.y, block.sample_weight) for block in self._blocks)

    def _masses(self, vector):
        return Masses([joined(vector.parts)], self.backend)

    def _labels_of(self):
        return Labels(self._beside, self.backend, self.counts)

    def _gathered(self, blocks, share=0.0, cost=0.0):
        return SomeRows(self, blocks, share, cost)

    def _exactly(self):
        return in_float64(SomeRows(self, self._exactly_weighted(), share=1.0))

    def _exactly_weighted(self):
        """The blocks with weights that are not rounded to the arithmetic of the passes."""
        if self._weights is None:
            return self._blocks
        exact = (self.backend.xp.asarray(given.sample_weight) for given in self._given)
        return [block._replace(sample_weight=s) for block, s in zip(self._blocks, exact, strict=True)]

    def batch(self, numbers, n_batches):
        backend = self.backend
        blocks = [
            part
            for block in self._blocks
            for number in numbers
            for part in backend.batch(block, number, n_batches)
        ]
        return SomeRows(self, blocks, share=sum(part.X.shape[0] for part in blocks) / self.n_rows)

    # -- small parts of the rows, for callers that need their values -----------------------------------------

    def evenly_spaced(self, most):
        """The numbers of at most `most` rows of positive weight, evenly spaced."""
        there = None if self._weights is None else positive_rows(self._weights)
        total = self.n_rows if there is None else len(there)
        count = min(total, most)
        places = (np.arange(count) * total + total // 2) // max(count, 1)
        return places if there is None else self._some(there, places)

    def labels(self, rows=slice(None)):
        """Class codes of some rows, on the host."""
        return self._some(self._labels, rows)

    def weights(self, rows=slice(None)):
        """Weights of some rows, on the host; None if all weights are one."""
        return None if self._weights is None else self._some(self._weights, rows)

    def _some(self, array, rows):
        """Some rows of an array on the host or on a device, on the host."""
        if not is_on_device(array):
            return array[rows]
        some = array[rows] if isinstance(rows, slice) else self.backend.picked(array, rows)
        return self.backend.to_host(some)

    def to_host(self, vector, rows=None):
        """A row vector, or some rows of it, in the order of the rows."""
        whole = joined(vector.parts)
        return self.backend.to_host(whole if rows is None else self.backend.picked(whole, rows))

    def combination(self, rows, a):
        """Σ xᵢ·aᵢ over some rows, ascending, for a (len(rows), k) on the host: float64 (n_features, k)."""
        start, total = 0, np.zeros((self.n_features, a.shape[1]))
        for block in self._take(rows, np.ones(len(rows))):
            stop = start + block.X.shape[0]
            total += self.backend.combination(block.X, a[start:stop])
            start = stop
        return total

    # -- the pieces ------------------------------------------------------------------------------------------

    def _take(self, rows, weights):
        """Blocks of some rows, ascending, with weights of their own."""
        taken, start = [], 0
        for block in self._blocks:
            stop = start + block.X.shape[0]
            mine = slice(*np.searchsorted(rows, [start, stop]))
            if mine.stop > mine.start:
                taken.append(self.backend.take(block, rows[mine] - start, weights[mine]))
            start = stop
        return taken


class SomeRows(MemoryRows):
    """Some of the rows: a sample whose sums estimate those of all, or a batch that stands for its share.

    Parameters
    ----------
    drawn_from : DrawnRows
    blocks : list of Block
        As the backend has them.
    share : float
        Of a read of all rows, what one sum costs; 0 for rows that were gathered.
    cost : float
        Reads of all rows that drawing these took.
    """

    in_memory = False  # labels are where the backend keeps them

    def __init__(self, drawn_from, blocks, share=0.0, cost=0.0):
        n_rows = sum(block.X.shape[0] for block in blocks)
        weight_sum = drawn_from.weight_sum * (share or 1)
        Rows.__init__(
            self, drawn_from.backend, n_rows, drawn_from.n_features, drawn_from.dtype, weight_sum, share
        )
        self.least_weight, self.n_classes = drawn_from.least_weight, drawn_from.n_classes
        self.drawn_from, self.cost, self._blocks = drawn_from, cost, blocks
        self._columns = None  # the statistics of all rows are used
        self._of_models = {}

    def first_nonfinite(self):
        """In all rows."""
        return self.drawn_from.first_nonfinite()

    def of_model(self, model):
        """These gathered rows for one of several models: with the labels and weights of that model.

        All questions about one model are then answered as in a single fit.
        """
        if model not in self._of_models:
            if not self._of_models:  # these rows will be read many times: they are centred once
                self._blocks = [b._replace(X=self.backend.written_out(b.X)) for b in self._blocks]
            rows = copy.copy(self)
            rows._of_models, rows.numbers = {}, None  # a reference cycle would keep all of them
            rows._blocks = [self.backend.of_model(block, model) for block in self._blocks]
            self._of_models[model] = rows
        return self._of_models[model]

    def scaled_norms(self):
        """See `DrawnRows.scaled_norms`; on a device, the sums of squares that scale the norms stay there."""
        if self.backend.on_device and len(self._blocks) == 1 and not self.share:
            return self.sum(RowSquares())
        return super().scaled_norms()

    @property
    def gathered_bytes(self):
        """The bytes of the gathered X, and of the labels and weights of each model."""
        labels = [block for rows in self._of_models.values() for block in rows._blocks]
        beside = sum(a.nbytes for block in labels for a in (block.y, block.sample_weight) if a is not None)
        return beside + (0 if self.share else sum(block.X.nbytes for block in self._blocks))
