"""`fit_many`: a model for every column of labels and every C, in shared reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from ..backends.passes import Model
from ..data import encode_labels
from ..estimator import LogisticRegression
from .models import fitted_models, template_of
from .opened import opened
from .table import Spec, class_factors, packed


def fit_many(
    X: Any,
    Y: Any = None,
    *,
    C: float | Sequence[float] = 1.0,
    l1_ratio: float = 0.0,
    sample_weight: Any = None,
    class_weight: dict | str | None = None,
    offset: Any = None,
    **parameters: Any,
) -> list[LogisticRegression]:
    """Fit one LogisticRegression for each column of Y and each C; all of them share their reads of X.

    Parameters
    ----------
    X : array, frame, table or sparse matrix (n_samples, n_features)
        Or the result of `logreg_accel.scan`, whose rows need not fit into memory.
    Y : array or frame (n_samples, n_targets), or (n_samples,); or None for the labels of a source
        Labels, the same set in every column. A label that is nan or None, or -1 beside at least two others,
        is missing: the row does not count for that column.
    C : float or sequence of float
    l1_ratio : float
        With an l1_ratio above 0, with an infinite C, and where shared reads do not pay (X with many columns,
        sparse rows), models are fitted one after the other; those of one column of Y start from their
        neighbours.
    sample_weight : (n_samples,) or None
    class_weight : dict, "balanced" or None
        "balanced" uses the labels of each column of Y.
    offset : (n_samples,), of more than two classes (n_samples, n_classes), or None
        Added to the margins of every model.
    **parameters
        Of `LogisticRegression`: tol, fit_intercept, solver, max_iter, max_passes, max_seconds, random_state,
        verbose, backend, n_threads, penalty_factor, standardize (with the deviations of a model's own
        training rows), bounds (models are then fitted one after the other), and `callback`. The callback gets
        a `logreg_accel.many.solve.Progress` after every read, or after every model if they are fitted one by
        one, and stops all models by returning True. Budgets hold for all models together.

    Returns
    -------
    list of LogisticRegression
        In the order of the columns and, within each, of C. `n_passes_` of a model is the number of reads that
        all models together had taken when it was finished.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As in `LogisticRegression.fit`, before the first read; also if the columns have different labels.

    Warns
    -----
    ConvergenceWarning
        Some models ended above `tol`.

    Examples
    --------
    >>> import numpy as np
    >>> from logreg_accel import fit_many
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> Y = np.array([[0, 1], [0, 0], [1, 1], [1, 0]])
    >>> [model.predict([[3.0]])[0].item() for model in fit_many(X, Y)]
    [1, 0]
    """
    strengths = np.atleast_1d(np.asarray(C, dtype=object)).tolist()
    if not strengths:
        raise ValueError("`C` is empty; expected at least one positive number.")
    template = template_of({**parameters, "l1_ratio": l1_ratio}, strengths)
    with opened(template, X, Y, sample_weight, offset, targets_of) as shared:
        specs = []
        for target in range(shared.codes.shape[1] if shared.codes.ndim == 2 else 1):
            model = Model(target, None if shared.splits is None else target)
            where = "`X`" if Y is None else f"column {target} of `Y`"
            model = model._replace(class_weight=class_factors(shared, model, class_weight, where))
            specs += [Spec(model, strength, l1_ratio) for strength in strengths]
        return fitted_models(template, shared, specs, parameters.get("callback"))[0]


def targets_of(Y, n_samples):
    """Codes (m, targets) of labels, their classes, and split bits that say which labels exist, or None."""
    Y = np.asarray(Y)
    if Y.ndim == 1:
        Y = column_or_1d(Y)[:, None]
    if Y.ndim != 2 or len(Y) != n_samples or not Y.size:
        raise ValueError(
            f"`Y` has shape {Y.shape} and `X` {n_samples} rows; expected ({n_samples}, n_targets): "
            "one label per row in every column."
        )
    known = _known(Y)
    if not known.any():
        raise ValueError("`Y` has only missing labels; expected at least two classes in every column.")
    there = Y[known]
    if there.dtype.kind == "O" and len(set(map(type, there))) == 1:  # as in columns with missing values
        there = np.array(there.tolist())
    classes, found, _ = encode_labels(there)
    codes = np.zeros(Y.shape, dtype=found.dtype)
    codes[known] = found
    for target in range(Y.shape[1]):
        own = np.unique(codes[known[:, target], target])
        if len(own) < len(classes):
            raise ValueError(
                f"`Y` has the labels {classes.tolist()}, its column {target} only {classes[own].tolist()}; "
                "expected every label in every column. Fit columns with other labels by themselves."
            )
    return codes, classes, None if known.all() else packed(known)


def _known(Y):
    """Which labels are not missing."""
    if Y.dtype.kind == "O":
        return np.array([not (v is None or _is_na(v) or v != v) for v in Y.ravel()]).reshape(Y.shape)
    known = ~np.isnan(Y) if Y.dtype.kind in "fmM" else np.ones(Y.shape, dtype=bool)
    if Y.dtype.kind in "if" and (Y == -1).any():
        others = Y[known & (Y != -1)]
        if len(others) and others.min() < others.max():  # -1 and 1 are ordinary labels
            known &= Y != -1
    return known


def _is_na(label):
    """Whether it is pandas' missing value, which cannot be recognised by comparison."""
    return type(label).__name__ == "NAType"
