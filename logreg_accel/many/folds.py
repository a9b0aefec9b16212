"""The models of all splits of a cross-validation: fitted together, scored split by split, refitted."""

import itertools
import time
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from ..backends import get_backend
from ..backends.passes import Model
from ..losses import loss_of
from .models import fitted_model
from .scoring import held_out_margins
from .solve import solve_table
from .table import Spec, class_factors

_MARGINS = 0.25  # of the memory, for margins of held-out rows


class Split(NamedTuple):
    """The training and test rows of a cross-validation.

    Attributes
    ----------
    bits : ndarray (m, ⌈splits/8⌉) of uint8
        As in `Block`: which rows each split trains on.
    tests : list of ndarray
        Numbers of the rows that each split holds out.
    """

    bits: np.ndarray
    tests: list

    @property
    def is_partition(self):
        """Whether the test sets contain every row once."""
        m = len(self.bits)
        if sum(map(len, self.tests)) != m:
            return False
        there = np.zeros(m, dtype=bool)
        for test in self.tests:
            there[test] = True
        return bool(there.all())


def split_by(splits, n_samples):
    """The Split from pairs (train, test) of masks or of row numbers."""
    columns, tests = [], []
    for split, pair in enumerate(splits):
        try:
            train, test = (np.asarray(rows) for rows in pair)
            held_out, trains = np.empty(0), np.zeros(n_samples, dtype=bool)
            if train.size and test.size:  # an empty list is one of floats
                trains[train] = True
                held_out = np.arange(n_samples, dtype=np.min_scalar_type(n_samples))[test]
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"Split {split} of `cv` cannot be used: {error}; expected a pair (train, test) of numbers of "
                f"rows from 0 to {n_samples - 1}, or of masks with {n_samples} entries."
            ) from error
        if not (trains.any() and held_out.size):
            raise ValueError(f"Split {split} of `cv` has no rows to train or to test on.")
        if train.dtype != bool and len(train) != trains.sum():
            raise ValueError(
                f"Split {split} of `cv` trains on some rows more than once; give them a `sample_weight`."
            )
        if split % 8 == 0:
            columns.append(np.zeros(n_samples, dtype=np.uint8))
        columns[-1] |= trains.view(np.uint8) << (split % 8)
        tests.append(held_out)
    if not tests:
        raise ValueError("`cv` gives no split; expected at least one pair of rows to train and to test on.")
    return Split(np.stack(columns, axis=1), tests)


def models_of(shared, n_splits, class_weight):
    """The Model of each split, with the class weights for its training rows."""
    models = [Model(0, split) for split in range(n_splits)]
    return [
        model._replace(class_weight=class_factors(shared, model, class_weight, f"split {split} of `cv`"))
        for split, model in enumerate(models)
    ]


class Folds:
    """The models of all splits.

    Parameters
    ----------
    callback : callable or None
    template : LogisticRegression
    shared : Shared
    split : Split
    specs : list of Spec
        Ordered by splits, then l1_ratios, then Cs.
    shape : tuple of int
        Splits, l1_ratios, Cs.

    Attributes
    ----------
    scores : ndarray of that shape
    fitted : list of Fitted
    seconds : tuple of float
        The time of fitting and of scoring.
    n_passes : float
    partition : bool
        Whether the test sets hold every row once.
    """

    def __init__(self, callback, template, shared, split, specs, shape):
        self.callback, self.template, self.shared, self.specs, self.shape = (
            callback,
            template,
            shared,
            specs,
            shape,
        )
        self.tests, self.partition = split.tests, split.is_partition
        self.k = loss_of(len(shared.classes)).n_outputs
        self.fitted: list = []
        self.n_passes, self.seconds = 0.0, (0.0, 0.0)
        self.backend, _ = get_backend(
            template.backend, shared.X.nbytes, shared.X.on_device, template.n_threads, upload=False
        )

    def fit(self, scoring):
        """Fit all models and score them."""
        scoring.check(self.backend, self.tests[0], self.shared)
        began = time.perf_counter()
        outcome = solve_table(self.template, self.shared, self.specs, self.callback)
        self.fitted, self.n_passes = outcome.fitted, outcome.n_passes
        between = time.perf_counter()
        scores: list = []
        for first, last in self._rounds():
            splits, columns = zip(*self._columns(first, last), strict=True)
            margins = self._margins(splits, columns)
            for split, W in zip(splits, columns, strict=True):
                scores += scoring.of(self.backend, self.tests[split], margins.pop(0), W, self.shared.codes)
        self.scores = np.array(scores).reshape(self.shape)
        self.seconds = between - began, time.perf_counter() - between

    def _rounds(self):
        """Ranges of models whose margins are computed together: those of a split or, if rows are read block
        by block, as many as there is room for.
        """
        shared, each = self.shared, len(self.specs) // self.shape[0]
        if not shared.streamed:
            return [(first, first + each) for first in range(0, len(self.specs), each)]
        room, taken, bounds = _MARGINS * shared.memory, 0, [0]
        for i in range(len(self.specs)):
            size = 8 * self.k * len(self.tests[i // each])
            if taken and taken + size > room:
                bounds.append(i)
                taken = 0
            taken += size
        return itertools.pairwise([*bounds, len(self.specs)])

    def _columns(self, first, last):
        """For each split of some models, its number and W (n + 1, models·k), with intercepts in the last
        row."""
        n, each = self.shared.X.shape[1], len(self.specs) // self.shape[0]
        for split in range(first // each, -(-last // each)):
            own = self.fitted[max(first, split * each) : min(last, (split + 1) * each)]
            W = np.zeros((n + 1, len(own) * self.k))
            for i, one in enumerate(own):
                w = self._centred(one.solution.w.reshape(-1, self.k))
                W[: len(w), i * self.k : (i + 1) * self.k] = w
            yield split, W

    def _margins(self, splits, columns):
        """Margins of the rows that some splits hold out, (rows, columns of W) for each."""
        shared, tests = self.shared, [self.tests[split] for split in splits]
        margins = held_out_margins(self.backend, shared, tests, columns, self.k)
        self.n_passes += 1 if shared.streamed else sum(map(len, tests)) / shared.X.shape[0]
        if shared.offset is not None:
            copies = [W.shape[1] // shared.offset.shape[1] for W in columns]
            margins = [
                own + np.tile(shared.offset[test], count)
                for own, test, count in zip(margins, tests, copies, strict=True)
            ]
        for split, own in zip(splits, margins, strict=True):
            own.reshape(len(own), -1, self.k)[:, :, self._lacking(split)] = -np.inf
        return margins

    def _lacking(self, split):
        """Classes that a split does not train on, for models with an intercept.

        The objective has no minimum: it falls as the intercept of such a class falls. The margins at which a
        solver happened to stop, which scikit-learn scores, would have no meaning.
        """
        if self.k == 1 or not self.template.fit_intercept:
            return []
        model = self.specs[split * (len(self.specs) // self.shape[0])].model
        totals = self.shared.class_totals(model)
        factors = 1.0 if model.class_weight is None else np.array(model.class_weight)
        return np.flatnonzero(totals * factors == 0)

    def _centred(self, W):
        """Weights (..., k); those of several classes, which may be shifted together, get a mean of zero."""
        return W - W.mean(axis=-1, keepdims=True) if self.k > 1 else W

    def of_all(self, what, dtype):
        """A property of every Solution, in the shape of the scores."""
        values = np.empty(len(self.fitted), dtype=dtype)
        values[:] = [what(one.solution) for one in self.fitted]
        return values.reshape(self.shape)

    def points(self):
        """`coefs_paths_`; for several classes with a mean of zero over the classes."""
        models = np.array([one.solution.w for one in self.fitted])
        W = self._centred(models.reshape(len(models), -1, self.k))
        return W.transpose(0, 2, 1).reshape(*self.shape, self.k, -1)

    def out_of_fold(self, place):
        """Margins of every row by the model of the split that held it out, for one candidate."""
        first = (place[0] * self.shape[2] + place[1]) * self.k
        splits, columns = zip(*self._columns(0, len(self.specs)), strict=True)
        parts = self._margins(splits, [W[:, first : first + self.k] for W in columns])
        out = np.empty((self.shared.X.shape[0], self.k), dtype=parts[0].dtype)
        for test, own in zip(self.tests, parts, strict=True):
            out[test] = own
        return out if self.k > 1 else out[:, 0]

    def refit(self, place, C, l1_ratio, class_weight):
        """The model of all rows, started from the mean of the models of the splits."""
        shape = (self.shape[0], -1, self.fitted[0].solution.w.size)
        own = np.array([one.solution.w for one in self.fitted]).reshape(shape)
        start = own[:, place[0] * self.shape[2] + place[1]].mean(axis=0)
        model = Model(0, None, class_factors(self.shared, Model(0, None), class_weight, "`y`"))
        template = self.template
        if template.max_passes is not None:
            template = clone(template).set_params(max_passes=max(template.max_passes - self.n_passes, 1.0))
        outcome = solve_table(template, self.shared, [Spec(model, C, l1_ratio)], starts=[start])
        self.n_passes += outcome.n_passes
        self.fitted = self.fitted + outcome.fitted
        return fitted_model(self.template, self.shared, Spec(model, C, l1_ratio), outcome.fitted[0])
