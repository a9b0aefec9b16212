"""The models of all splits of a cross-validation: fitted together, scored split by split, refitted."""

import itertools
import time

import numpy as np
from sklearn.base import clone

from ..backends import get_backend
from ..backends.passes import Model
from ..losses import loss_of
from ..rows.buffers import trim
from ..rows.spill import joined
from .models import fitted_model
from .scoring import held_out_margins, margins_by_block
from .solve import solve_table
from .table import Spec, class_factors

_MARGINS = 0.25  # share of the memory for margins of held-out rows


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
        Whether the test sets contain every row exactly once.
    """

    def __init__(self, callback, template, shared, split, specs, shape):
        self.callback, self.template, self.shared, self.specs, self.shape = (
            callback,
            template,
            shared,
            specs,
            shape,
        )
        self.split, self.partition, self._absent = split, split.is_partition, {}
        self.k = loss_of(len(shared.classes)).n_outputs
        self.fitted: list = []
        self.n_passes, self.seconds = 0.0, (0.0, 0.0)
        self.backend, _ = get_backend(
            template.backend, shared.X.nbytes, shared.X.on_device, template.n_threads, upload=False
        )

    def fit(self, scoring):
        """Fit all models and score them."""
        scoring.check(self.backend, self.split, self.shared)
        trim()  # scorers of scikit-learn make many arrays
        began = time.perf_counter()
        outcome = solve_table(self.template, self.shared, self.specs, self.callback)
        self.fitted, self.n_passes = outcome.fitted, outcome.n_passes
        between = time.perf_counter()
        by_block = self.shared.streamed and scoring.by_loss
        scores = self._mean_losses(scoring) if by_block else self._scores(scoring)
        self.scores = np.reshape(scores, self.shape)
        self.seconds = between - began, time.perf_counter() - between

    def _scores(self, scoring):
        """The score of every model, from the margins of all rows that its split holds out."""
        scores: list = []
        for first, last in self._rounds():
            columns = self._columns(first, last)
            margins = self._margins(columns)
            for split, W in columns.items():
                test = self.split.test(split)
                scores += scoring.of(self.backend, test, margins.pop(split), W, self.shared.codes)
        return scores

    def _mean_losses(self, scoring):
        """Minus the mean loss of every model, added up block by block: one read, whatever the memory."""
        columns, each = self._columns(0, len(self.specs)), len(self.specs) // self.shape[0]
        sums, weights, start = np.zeros((self.shape[0], each)), np.zeros((self.shape[0], 1)), 0
        for count, parts in self._by_block(columns):
            for split, _, rows, margins in parts:
                losses, s = (
                    scoring.losses(margins, self.shared.codes[rows + start]),
                    scoring.weights(rows + start),
                )
                sums[split] += losses.sum(axis=0) if s is None else s @ losses
                weights[split] += len(rows) if s is None else s.sum()
            start += count
        return -sums / weights

    def _rounds(self):
        """Ranges of models whose margins are computed together: those of a split or, if rows are read block
        by block, as many as there is room for.
        """
        shared, each = self.shared, len(self.specs) // self.shape[0]
        if not shared.streamed:
            return [(first, first + each) for first in range(0, len(self.specs), each)]
        room, taken, bounds = _MARGINS * shared.memory, 0, [0]
        for i in range(len(self.specs)):
            size = 8 * self.k * self.split.sizes[i // each]
            if taken and taken + size > room:
                bounds.append(i)
                taken = 0
            taken += size
        return itertools.pairwise([*bounds, len(self.specs)])

    def _columns(self, first, last):
        """For each split of some models, W (n + 1, models·k), with intercepts in the last row."""
        n, each = self.shared.X.shape[1], len(self.specs) // self.shape[0]
        columns = {}
        for split in range(first // each, -(-last // each)):
            own = self.fitted[max(first, split * each) : min(last, (split + 1) * each)]
            W = columns[split] = np.zeros((n + 1, len(own) * self.k))
            for i, one in enumerate(own):
                w = self._centred(one.solution.w.reshape(-1, self.k))
                W[: len(w), i * self.k : (i + 1) * self.k] = w
        return columns

    def _margins(self, columns):
        """For each split, the margins (rows, columns of W) of all rows that it holds out."""
        if self.shared.streamed:
            margins = {}
            for _, parts in self._by_block(columns):
                for split, places, _, part in parts:
                    if split not in margins:
                        shape = self.split.sizes[split], part.shape[1]
                        margins[split] = np.empty(shape, dtype=part.dtype)
                    margins[split][places] = part
            return margins
        shared, tests = self.shared, [self.split.test(split) for split in columns]
        found = held_out_margins(self.backend, shared.X, tests, list(columns.values()), self.k)
        self.n_passes += sum(map(len, tests)) / shared.X.shape[0]
        if shared.offset is not None:
            copies = [W.shape[1] // shared.offset.shape[1] for W in columns.values()]
            found = [
                own + np.tile(shared.offset[test], count)
                for own, test, count in zip(found, tests, copies, strict=True)
            ]
        for split, own in zip(columns, found, strict=True):
            self._without_lacking(split, own)
        return dict(zip(columns, found, strict=True))

    def _by_block(self, columns):
        """See `margins_by_block`. One read."""
        self.n_passes += 1
        found = margins_by_block(self.backend, self.shared.X, self.split, columns, self.k)
        for count, parts in found:
            for split, _, _, margins in parts:
                self._without_lacking(split, margins)
            yield count, parts

    def _without_lacking(self, split, margins):
        margins.reshape(len(margins), -1, self.k)[:, :, self._lacking(split)] = -np.inf

    def _lacking(self, split):
        """Classes that a split does not train on, for models with an intercept.

        The objective has no minimum: it falls as the intercept of such a class falls. The margins at which a
        solver happened to stop, which scikit-learn scores, would have no meaning.
        """
        if self.k == 1 or not self.template.fit_intercept:
            return []
        if split not in self._absent:
            model = self.specs[split * (len(self.specs) // self.shape[0])].model
            totals = self.shared.class_totals(model)
            factors = 1.0 if model.class_weight is None else np.array(model.class_weight)
            self._absent[split] = np.flatnonzero(totals * factors == 0)
        return self._absent[split]

    def _centred(self, W):
        """Return weights (..., rows, k), with the intercepts of several classes at mean zero, as in a fit.

        The other weights are not shifted: under an L1 penalty, those that are zero would not remain zero.
        """
        if self.k > 1 and self.template.fit_intercept:
            W = np.array(W)
            W[..., -1, :] -= W[..., -1, :].mean(axis=-1, keepdims=True)
        return W

    def of_all(self, what, dtype):
        """A property of every Solution, in the shape of the scores."""
        values = np.empty(len(self.fitted), dtype=dtype)
        values[:] = [what(one.solution) for one in self.fitted]
        return values.reshape(self.shape)

    def points(self):
        """`coefs_paths_`; the intercepts of several classes have a mean of zero."""
        models = np.array([one.solution.w for one in self.fitted])
        W = self._centred(models.reshape(len(models), -1, self.k))
        return W.transpose(0, 2, 1).reshape(*self.shape, self.k, -1)

    def out_of_fold(self, place):
        """Margins of every row by the model of the split that held it out, for one candidate."""
        first = (place[0] * self.shape[2] + place[1]) * self.k
        columns = self._columns(0, len(self.specs))
        columns = {split: W[:, first : first + self.k] for split, W in columns.items()}
        m = self.shared.X.shape[0]
        if self.shared.streamed:
            room = _MARGINS * self.shared.memory
            return joined(self._of_all_rows(columns), (m, self.k), room, self.shared.X.folder)
        parts = self._margins(columns)
        out = np.empty((m, self.k), dtype=parts[0].dtype)
        for split, own in parts.items():
            out[self.split.test(split)] = own
        return out

    def _of_all_rows(self, columns):
        for count, parts in self._by_block(columns):
            block = np.empty((count, self.k), dtype=parts[0][-1].dtype)
            for _, _, rows, margins in parts:
                block[rows] = margins
            yield block

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
