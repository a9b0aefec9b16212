"""Predictions of a fitted linear classifier: margins, labels, probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from .backends import get_backend
from .backends.threads import looked_up
from .data import Matrix, as_labels, as_matrix, as_offset, as_weights
from .data.convert import named, to_table
from .data.rounded import rounded, warn_rounded
from .data.scan import Source
from .interop.hooks import array_api_dispatches, in_namespace_of
from .losses import loss_of
from .margins import margins_of


class Predictor:
    """The predictions of an estimator with `coef_`, `intercept_`, `classes_` and `n_threads`."""

    classes_: Any
    n_threads: Any

    def decision_function(self, X: Any, *, offset: Any = None) -> Any:
        """Return the margins x·w + b of each row: positive for classes_[1] of two classes, or one per class.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
            If X comes from `logreg_accel.scan`, this and the other predictions return an iterator over
            arrays, one for each chunk.
        offset : (n_samples,), (n_samples, n_classes) for more than two classes, or None
            Added to the margins, as in `fit`, also in the other predictions.

        Returns
        -------
        ndarray (n_samples,), or (n_samples, n_classes) for more than two
            float32 or float64, depending on the dtype of X. Under scikit-learn's `array_api_dispatch`, this
            and the other predictions return an array of the same library and on the same device as X.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            Wrong shape or names of features, or non-finite values, whose row and column the error names.
        """
        if isinstance(X, Source):
            return self._each(X, self.decision_function, offset=offset)
        return self._told(X, *self._margins(X, offset))

    def predict(self, X: Any, *, offset: Any = None) -> Any:
        """Return the class of each row: that of the largest margin; of two, classes_[1] if it is positive.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
        offset : (n_samples,), (n_samples, n_classes) or None
            As in `decision_function`.

        Returns
        -------
        ndarray (n_samples,) of labels

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As in `decision_function`.
        """
        if isinstance(X, Source):
            return self._each(X, self.predict, offset=offset)
        backend, codes = self._codes(X, offset)
        if array_api_dispatches(X) and self.classes_.dtype.kind in "biuf":
            return in_namespace_of(X, backend.xp.asarray(self.classes_)[codes])
        return looked_up(self.classes_, backend.to_host(codes), self.n_threads)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None, *, offset: Any = None) -> float:
        """Return the accuracy of `predict` on X: the share of the rows, by weight, whose label is predicted.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features), or a source with labels
        y : (n_samples,) labels; None for a source
        sample_weight : (n_samples,) or None
        offset : (n_samples,), (n_samples, n_classes) or None
            As in `decision_function`.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As in `decision_function`; also labels or weights that cannot be used.
        """
        from sklearn.metrics import accuracy_score

        if isinstance(X, Source):
            _refuse_offset(offset)
            return self._accuracy(X)
        backend, codes = self._codes(X, offset)
        labels = looked_up(self.classes_, backend.to_host(codes), self.n_threads)
        return float(accuracy_score(as_labels(y), labels, sample_weight=as_weights(sample_weight, len(y))))

    def predict_proba(self, X: Any, *, prior: Any = None, offset: Any = None) -> Any:
        """Return the probabilities of the classes, (n_samples, n_classes), in the order of `classes_`.

        Class weights, and sampling of rows by class, change the shares of the classes in the fit, and so the
        probabilities. With `prior`, the probabilities are those for classes with these shares: margins zₖ are
        corrected to zₖ + log(priorₖ/seenₖ), where seenₖ is the share of class k in the row weights of the fit
        (`class_shares_`). The correction is exact if the model is correct.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
        prior : "data", float, array (n_classes,) or None
            Shares of the classes among the rows to predict: "data" stands for those of the fit without
            `class_weight`, a number for the share of classes_[1] of two classes; None makes no correction.
        offset : (n_samples,), (n_samples, n_classes) or None
            As in `decision_function`.

        Returns
        -------
        ndarray (n_samples, n_classes)

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As in `decision_function`; also shares that are not positive or do not add up to 1, or a model
            without `class_shares_`.

        References
        ----------
        King and Zeng (2001), Logistic regression in rare events data, Political Analysis 9, § 4.1.
        """
        if isinstance(X, Source):
            return self._each(X, self.predict_proba, prior=prior, offset=offset)
        return self._of_loss(X, "probabilities", prior, offset)

    def predict_log_proba(self, X: Any, *, prior: Any = None, offset: Any = None) -> Any:
        """Return the logarithms of `predict_proba`, accurate even where a probability underflows.

        Parameters
        ----------
        X, prior, offset
            As in `predict_proba`.

        Returns
        -------
        ndarray (n_samples, n_classes)

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As in `predict_proba`.
        """
        if isinstance(X, Source):
            return self._each(X, self.predict_log_proba, prior=prior, offset=offset)
        return self._of_loss(X, "log_probabilities", prior, offset)

    # -- rows of a source ------------------------------------------------------------------------------------

    def _each(self, source, method, **options):
        """The results of a method for every chunk of a source."""
        check_is_fitted(self)
        _refuse_offset(options.get("offset"))
        return (method(self._like_fitted(piece), **options) for piece in source.pieces(labelled=False))

    def _like_fitted(self, piece):
        """The Matrix of a chunk, with the columns that the model was fitted to, in their order."""
        X, names, known = piece.chunk.X, piece.chunk.names, getattr(self, "feature_names_in_", None)
        if names is not None and known is not None:
            missing = [name for name in known if name not in names]
            if missing:
                raise ValueError(f"{piece.where!r} lacks columns of the fit: {', '.join(missing[:5])}.")
            X = X[:, [names.index(name) for name in known]]
        if piece.chunk.open_ended and X.shape[1] < self.n_features_in_:
            X.resize(X.shape[0], self.n_features_in_)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{piece.where!r} has {X.shape[1]} features, and the fit had {self.n_features_in_}."
            )
        matrix = as_matrix(X)
        matrix.names = known
        return matrix

    def _accuracy(self, source):
        right = total = 0.0
        for piece in source.pieces():
            hits = self.predict(self._like_fitted(piece)) == np.asarray(piece.chunk.y)
            s = np.ones(len(hits)) if piece.chunk.weight is None else np.asarray(piece.chunk.weight)
            right, total = right + float(s @ hits), total + float(s.sum())
        return right / total

    # -- the pieces ------------------------------------------------------------------------------------------

    def _matrix(self, X, reset):
        """X as a Matrix, its number of columns and their names checked or, with `reset`, remembered."""
        if isinstance(X, Matrix) and not reset and X.names is getattr(self, "feature_names_in_", ""):
            return X  # from a source, whose columns were compared
        X = to_table(X)
        if reset:
            warn_rounded(rounded(X))
        matrix = as_matrix(X)
        if isinstance(X, Matrix) and reset and X.names is not None:
            self._remember_features(X.names, X.shape[1])
            return matrix
        nameless = type(X) is np.ndarray and not hasattr(self, "feature_names_in_")
        looked_at = named(X, matrix)
        encoded = looked_at is matrix and hasattr(self, "encoder_") and not reset  # it gives no names
        if nameless and reset:  # like validate_data, which looks for names in frames of all kinds
            self.n_features_in_ = matrix.shape[1]
        elif not ((nameless or encoded) and matrix.shape[1] == getattr(self, "n_features_in_", None)):
            validate_data(self, looked_at, reset=reset, skip_check_array=True)
        matrix.names = getattr(self, "feature_names_in_", matrix.names)
        return matrix

    def _remember_features(self, names, count):
        """The attributes about columns that scikit-learn expects."""
        self.n_features_in_ = count
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _codes(self, X, offset=None):
        """The backend, and the class code of each row, on the backend's device."""
        backend, margins = self._margins(X, offset)
        return backend, backend.likeliest(margins, len(self.classes_))

    def _of_loss(self, X, what, prior, offset):
        shift = None if prior is None else prior_shift(self, prior)
        backend, margins = self._margins(X, offset)
        if shift is not None:
            shift = shift if margins.ndim == 2 else shift[1] - shift[0]
            margins = margins + backend.xp.asarray(shift, dtype=margins.dtype)
        margins = margins if margins.ndim == 2 else margins[:, None]
        return self._told(X, backend, backend.probabilities(what, loss_of(len(self.classes_)), margins))

    def _told(self, X, backend, result):
        """A result of a backend for the caller: on the device of X, or on the host."""
        return in_namespace_of(X, result if array_api_dispatches(X) else backend.to_host(result))

    def _margins(self, X, offset=None):
        """The backend, and the margins (m, k), or (m,) for two classes, on the backend's device."""
        check_is_fitted(self)
        matrix = self._matrix(X, reset=False)
        offset = as_offset(offset, matrix.shape[0], len(self.classes_))
        W = np.vstack([self.coef_.T, self.intercept_[None]]).astype(np.float64)
        backend, _ = get_backend("auto", matrix.nbytes, matrix.on_device, self.n_threads, upload=False)
        with backend.limit_threads():
            margins = margins_of(backend, matrix, W)
        if offset is not None:
            margins = margins + backend.xp.asarray(offset, dtype=margins.dtype)
        return backend, margins if margins.shape[1] > 1 else margins[:, 0]


def _refuse_offset(offset):
    if offset is not None:
        raise TypeError("`offset` is given together with a source, which takes none; expected None.")


def prior_shift(model, prior):
    """Return log(priorₖ/seenₖ) of every class, (n_classes,).

    Raises
    ------
    ValueError
        See `Predictor.predict_proba`.
    """
    check_is_fitted(model)
    seen, K = getattr(model, "class_shares_", None), len(model.classes_)
    if seen is None:
        raise ValueError(
            "`prior` needs the shares of the classes in the fit, which this model does not know: set "
            f"`class_shares_` to a row of weighted shares and a row without `class_weight`, (2, {K})."
        )
    if isinstance(prior, str):
        if prior != "data":
            raise ValueError(f"`prior` is {prior!r}; expected 'data' or numbers.")
        shares = seen[1]
    else:
        by_name = isinstance(prior, Mapping)  # not offered: classes may be left out
        shares = np.full(K, np.nan) if by_name else np.asarray(prior, dtype=np.float64)
        if shares.ndim == 0 and K == 2:
            shares = np.array([1 - shares, shares])
    right = shares.shape == (K,) and (shares > 0).all() and abs(shares.sum() - 1) <= 1e-6
    if not right:
        raise ValueError(
            f"`prior` is {prior!r}; expected a list with the share of each class of "
            f"{model.classes_.tolist()}, positive and 1 together."
        )
    return np.log(shares) - np.log(seen[0])
