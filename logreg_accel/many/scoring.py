"""Scores on held-out rows; one read of these rows gives the margins of all models of a split."""

import contextlib
import copy
import inspect

import numpy as np
from sklearn.metrics import check_scoring, make_scorer
from sklearn.utils import _safe_indexing

from ..estimator import LogisticRegression
from ..losses import loss_of
from ..margins import margins_of
from .rates import RATES

_CHUNK = 1 << 18
"""The number of held-out rows that are gathered at once."""


class HeldOut(LogisticRegression):
    """A model with known margins of some rows, which is scored without reading these rows again."""

    def __init__(self, backend, rows, margins, classes, coef, intercept):
        super().__init__()
        self._known = backend, rows, margins
        self.classes_, self.coef_, self.intercept_ = classes, coef, intercept
        self.n_features_in_ = coef.shape[1]

    def _margins(self, X, offset=None):
        backend, rows, margins = self._known
        return (backend, margins) if X is rows and offset is None else super()._margins(X, offset)


def held_out_margins(backend, X, tests, columns, n_outputs):
    """Margins (len(test), k) on the host of held-out rows of a matrix, each test set with its own W (n + 1,
    k)."""
    margins: list = [None] * len(tests)
    with backend.limit_threads():
        for i, test in enumerate(tests):
            step = max(_CHUNK // max(X.shape[1], 1), 1)
            for start in range(0, len(test), step):
                rows = X.take(test[start : start + step].astype(np.intp))
                part = backend.to_host(margins_of(backend, rows, columns[i], n_outputs))
                if margins[i] is None:
                    margins[i] = np.empty((len(test), part.shape[1]), dtype=part.dtype)
                margins[i][start : start + len(part)] = part
    return margins


def margins_by_block(backend, store, split, columns, n_outputs):
    """Yield, for every block of a store, its number of rows, and for each split that holds out some of them:
    the split, their positions in its test set, their places in the block, and their margins by the split's W
    (n + 1, k) in `columns`."""
    counts = [rows for rows, _ in store.layouts]
    with contextlib.closing(store.blocks()) as blocks, backend.limit_threads():
        for (X, *_), held_out in zip(blocks, split.of_blocks(counts, columns), strict=True):
            yield (
                X.shape[0],
                [
                    (
                        i,
                        places,
                        rows,
                        backend.to_host(margins_of(backend, X.take(rows), columns[i], n_outputs)),
                    )
                    for i, places, rows in held_out
                ],
            )


class Scoring:
    """How models are scored on the rows that a split holds out.

    Parameters
    ----------
    scoring : str, callable or None
        As in scikit-learn; None is accuracy.
    classes : ndarray
    X, y : what the user gave; None for rows that are read block by block, and for labels that come with them
    parameters : dict
        Further arguments of the scorer; entries with one number per row are cut to the held-out rows.
    """

    def __init__(self, scoring, classes, X, y, parameters):
        self.given, self.classes, self.X, self.y, self.parameters = scoring, classes, X, y, parameters
        plain = (scoring is None or isinstance(scoring, str)) and set(parameters) <= {"sample_weight"}
        self.by_loss = plain and scoring == "neg_log_loss"
        self.rate = RATES.get(scoring) if plain else None
        self.scorer = _of_all_classes(scorer_of(scoring), classes)

    def of(self, backend, test, margins, W, codes):
        """The score of every model of a split, from its columns of margins (rows, k) and W (n + 1, k)."""
        k = loss_of(len(self.classes)).n_outputs
        columns = [slice(first, first + k) for first in range(0, W.shape[1], k)]
        if self.by_loss:
            losses = self.losses(margins, _at(test, codes))
            return (-np.average(losses, axis=0, weights=self.weights(test))).tolist()
        if self.rate is not None:
            mine = _at(test, codes), self.weights(test)
            found = [self.rate(margins[:, own], *mine) for own in columns]
            if None not in found:
                return found
        test = test.astype(np.intp)
        # A user's own scorer may read the rows; the others only use labels and margins.
        seen = callable(self.given) and self.X is not None
        rows = _safe_indexing(self.X, test) if seen else np.empty((len(test), 0))
        y = self.classes[codes[test]] if self.y is None else _safe_indexing(self.y, test)
        beside = self._parameters_of(test, len(codes))
        scores = []
        for own in columns:
            z = margins[:, own] if k > 1 else margins[:, own.start]
            model = HeldOut(backend, rows, z, self.classes, W[:-1, own].T.copy(), W[-1, own].copy())
            scores.append(self._score(model, rows, y, beside))
        return scores

    def losses(self, margins, y):
        """The losses (rows, models) whose mean is minus the score, for scores that are such a mean.

        Probabilities are clipped as scikit-learn's log_loss clips them.
        """
        k, eps = loss_of(len(self.classes)).n_outputs, np.finfo(np.float64).eps
        losses = np.empty((len(margins), margins.shape[1] // k))
        for i in range(losses.shape[1]):
            z = margins[:, i * k : (i + 1) * k].astype(np.float64)
            loss = loss_of(len(self.classes)).value_residual(z, y)[0][:, 0]
            losses[:, i] = np.clip(loss, -np.log1p(-eps), -np.log(eps))
        return losses

    def weights(self, rows):
        """The weights of some rows in their score, or None."""
        weights = self.parameters.get("sample_weight")
        return None if weights is None else _at(rows, np.asarray(weights))

    def _score(self, model, rows, y, beside):
        score = self.scorer(model, rows, y, **beside)
        try:
            return float(score)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`scoring` is {self.given!r} and returned {score!r}; expected one number for each model."
            ) from error

    def _parameters_of(self, test, m):
        return {
            name: _safe_indexing(value, test) if np.ndim(value) and len(value) == m else value
            for name, value in self.parameters.items()
            if value is not None
        }

    def check(self, backend, split, shared):
        """Call the scorer on a model without information before anything is fitted, so that its errors come
        early."""
        if not self.by_loss:
            k, copied, test = loss_of(len(self.classes)).n_outputs, copy.copy(self), split.test(0)
            copied.scorer = copy.deepcopy(self.scorer)  # the state of a scorer must not contain this call
            try:
                zeros = np.zeros((len(test), k)), np.zeros((shared.X.shape[1] + 1, k))
                copied.of(backend, test, *zeros, shared.codes)
            except Exception as error:
                error.add_note(f"`scoring` is {self.given!r}; it failed before any model was fitted.")
                raise


def _at(rows, values):
    """values[rows], without all row numbers in the wider type that NumPy takes at once."""
    found = np.empty(len(rows), dtype=values.dtype)
    for start in range(0, len(rows), _CHUNK):
        some = slice(start, start + _CHUNK)
        found[some] = values[rows[some]]
    return found


def score_of_source(model, source):
    """The score of a LogisticRegressionCV on the rows of a source, whose margins are made chunk by chunk."""
    backend, margins, labels, weights = None, [], [], []
    for piece in source.pieces():
        backend, part = model._margins(model._like_fitted(piece))
        margins.append(backend.to_host(part))
        labels.append(np.array(piece.chunk.y))  # a callable may write its next chunk over this one
        weights += [] if piece.chunk.weight is None else [np.array(piece.chunk.weight)]
    y = np.concatenate(labels)
    rows = np.empty((len(y), 0))
    known = HeldOut(backend, rows, np.concatenate(margins), model.classes_, model.coef_, model.intercept_)
    return scorer_of(model.scoring)(
        known, rows, y, **({"sample_weight": np.concatenate(weights)} if weights else {})
    )


def scorer_of(scoring):
    """scikit-learn's scorer; None is accuracy."""
    return check_scoring(LogisticRegression(), scoring="accuracy" if scoring is None else scoring)


def _of_all_classes(scorer, classes):
    """A scorer that passes all classes to its function if it accepts them: a split may hold out only some."""
    function = getattr(scorer, "_score_func", None)
    if function is None or "labels" not in inspect.signature(function).parameters:
        return scorer
    more = {**getattr(scorer, "_kwargs", {}), "labels": classes}
    if len(classes) == 2 and "pos_label" in inspect.signature(function).parameters:
        more.setdefault("pos_label", classes[-1])
    return make_scorer(
        function, greater_is_better=scorer._sign == 1, response_method=scorer._response_method, **more
    )
