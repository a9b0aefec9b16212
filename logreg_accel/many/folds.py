"""The models of all splits of a cross-validation: fitted together, scored split by split, refitted."""

import time

import numpy as np
from sklearn.base import clone

from ..backends import get_backend
from ..backends.passes import Model
from ..losses import loss_of
from .models import fitted_model
from .scoring import held_out_margins
from .solve import solve_table
from .table import Spec, class_factors


def trains_of(splits, n_samples):
    """Which rows each split trains on, (m, splits) of bool; masks and numbers of rows are both good."""
    if not splits:
        raise ValueError("`cv` gives no split; expected at least one pair of rows to train and to test on.")
    trains = np.zeros((n_samples, len(splits)), dtype=bool)
    for split, (train, test) in enumerate(splits):
        if not len(_numbers(train)) or not len(_numbers(test)):
            raise ValueError(f"Split {split} of `cv` has no rows to train or to test on.")
        train = np.asarray(train)
        trains[train, split] = True
        if train.dtype != bool and len(train) != trains[:, split].sum():
            raise ValueError(
                f"Split {split} of `cv` trains on some rows more than once; give them a `sample_weight`."
            )
    return trains


class Folds:
    """The models of all splits.

    Parameters
    ----------
    callback : callable or None
    template : LogisticRegression
    shared : Shared
    splits : list of (train, test)
    specs : list of Spec
        Splits outside, l1_ratios within them, Cs innermost.
    shape : tuple of int
        Splits, l1_ratios, Cs.

    Attributes
    ----------
    scores : ndarray of that shape
    fitted : list of Fitted
    seconds : tuple of float
        That fitting took, and scoring.
    n_passes : float
    partition : bool
        Whether the test sets hold every row once.
    """

    def __init__(self, callback, template, shared, splits, specs, shape):
        self.callback, self.template, self.shared, self.specs, self.shape = (
            callback,
            template,
            shared,
            specs,
            shape,
        )
        m = shared.X.shape[0]
        self.tests = [_numbers(test) for _, test in splits]
        held_out = np.bincount(np.concatenate(self.tests), minlength=m)
        self.partition = bool((held_out == 1).all())
        self.k = loss_of(len(shared.classes)).n_outputs
        self.fitted: list = []
        self.n_passes, self.seconds = 0.0, (0.0, 0.0)
        self.backend, _ = get_backend(
            template.backend, shared.X.nbytes, shared.X.on_device, template.n_threads, upload=False
        )

    def fit(self, scoring):
        """Fit all models and score them."""
        scoring.check(self.backend, self.tests[0], self.shared.X.shape[1])
        began = time.perf_counter()
        outcome = solve_table(self.template, self.shared, self.specs, self.callback)
        self.fitted, self.n_passes = outcome.fitted, outcome.n_passes
        between = time.perf_counter()
        self.scores = np.array(
            [
                scoring.of(self.backend, test, self._margins(split, W), W, self.shared.codes)
                for split, (test, W) in enumerate(zip(self.tests, self._columns(), strict=True))
            ]
        ).reshape(self.shape)
        self.seconds = between - began, time.perf_counter() - between

    def _columns(self):
        """Of every split W (n + 1, candidates·k), the intercepts in the last row."""
        n, each = self.shared.X.shape[1], len(self.specs) // self.shape[0]
        for first in range(0, len(self.specs), each):
            W = np.zeros((n + 1, each * self.k))
            for i, one in enumerate(self.fitted[first : first + each]):
                own = one.solution.w.reshape(-1, self.k)
                W[: len(own), i * self.k : (i + 1) * self.k] = own
            yield W

    def _margins(self, split, W):
        self.n_passes += len(self.tests[split]) / self.shared.X.shape[0]
        offset, test = self.shared.offset, self.tests[split]
        margins = held_out_margins(self.backend, self.shared.X, test, W, self.k)
        if offset is None:
            return margins
        return margins + np.tile(offset[test], W.shape[1] // offset.shape[1])

    def of_all(self, what, dtype):
        """A property of every Solution, in the shape of the scores."""
        values = np.empty(len(self.fitted), dtype=dtype)
        values[:] = [what(one.solution) for one in self.fitted]
        return values.reshape(self.shape)

    def points(self):
        """`coefs_paths_`; of several classes with the mean over the classes at zero."""
        models = np.array([one.solution.w for one in self.fitted])
        W = models.reshape(len(models), -1, self.k)
        if self.k > 1:
            W = W - W.mean(axis=2, keepdims=True)
        return W.transpose(0, 2, 1).reshape(*self.shape, self.k, -1)

    def out_of_fold(self, place):
        """Margins of every row by the model of the split that held it out, for one candidate."""
        first = (place[0] * self.shape[2] + place[1]) * self.k
        parts = [
            self._margins(split, W[:, first : first + self.k]) for split, W in enumerate(self._columns())
        ]
        out = np.empty((self.shared.X.shape[0], self.k), dtype=parts[0].dtype)
        for test, own in zip(self.tests, parts, strict=True):
            out[test] = own
        return out if self.k > 1 else out[:, 0]

    def refit(self, place, C, l1_ratio, class_weight):
        """The model of all rows, from the mean of the splits' own."""
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


def _numbers(test):
    test = np.asarray(test)
    return np.flatnonzero(test) if test.dtype == bool else test
