"""Sums over the rows at the coefficients of a fit, in float64, for the free parameters."""

import contextlib
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..backends import get_backend, moments, unusable
from ..data import as_labelled
from ..data.convert import to_host
from ..data.scan import Source
from ..losses import loss_of
from ..rows import MemoryRows, StreamRows, opened


class Layout(NamedTuple):
    """Which parameters a model has, and in which order.

    The order is that of the tables: all classes but the base, each with its intercept first and then its
    features. With more than two classes, parameters are differences from those of the base.

    Attributes
    ----------
    n_features, n_outputs : int
    intercept : bool
    base : int or None
        The code of the base class; None for two classes, which have a single margin.
    centre : ndarray (n_features,) or None
        The vector that is subtracted from every row in the sums.
    """

    n_features: int
    n_outputs: int
    intercept: bool
    base: int | None
    centre: Any

    @property
    def outputs(self):
        """The codes of the classes that have parameters."""
        return [a for a in range(self.n_outputs) if a != self.base]

    @property
    def each(self):
        """How many parameters a class has."""
        return self.n_features + self.intercept

    def of_output(self, a):
        """The places of the parameters of one class in W.ravel()."""
        rows = np.arange(self.n_features)
        return (np.append(self.n_features, rows) if self.intercept else rows) * self.n_outputs + a

    @property
    def places(self):
        """The places of all parameters in W.ravel()."""
        return np.concatenate([self.of_output(a) for a in self.outputs])

    def contrasts(self):
        """The matrix that maps W.ravel() to the parameters, (free, all)."""
        D = np.zeros((len(self.places), (self.n_features + 1) * self.n_outputs))
        D[np.arange(len(D)), self.places] = 1
        if self.base is not None:
            less = np.concatenate([self.of_output(self.base) for _ in self.outputs])
            D[np.arange(len(D)), less] -= 1
        return D

    def original(self, covariance):
        """The covariance of parameters for the original rows, from that for centred ones: b = b_c − cᵀw."""
        if self.centre is None or not self.intercept:
            return covariance
        each, C = self.each, np.array(covariance)
        for i in range(0, len(C), each):
            C[i] -= self.centre @ C[i + 1 : i + each]
        for i in range(0, len(C), each):
            C[:, i] -= C[:, i + 1 : i + each] @ self.centre
        return C


class Evidence(NamedTuple):
    """The sums at one point, in the user's weights.

    Attributes
    ----------
    rows : Rows
        In float64.
    loss : Logistic or Multinomial
    W : ndarray (n + 1, k)
        The point, for the rows of the sums.
    layout : Layout
    scale : float
        The factor that turns the weights of the rows into the user's.
    value : float
        Σ s·ℓ.
    gradient : ndarray (p,)
    information, meat : ndarray (size, size)
        Matrices over W.ravel(); the meat is None if it was not requested.
    totals : ndarray (2, classes)
        Σ s and the number of rows of positive weight of each class.
    """

    rows: Any
    loss: Any
    W: Any
    layout: Layout
    scale: float
    value: float
    gradient: Any
    information: Any
    meat: Any
    totals: Any

    @property
    def n_rows(self):
        """Rows of positive weight."""
        return int(self.totals[1].sum())

    @property
    def weight(self):
        """Σ s."""
        return float(self.totals[0].sum())

    def of_free(self, H):
        """The part of a matrix over all of W.ravel() that belongs to the free parameters."""
        places = self.layout.places
        return H[np.ix_(places, places)]


def weighed(clf, X, y, sample_weight, offset=None, about_means=False):
    """Labelled rows of a fitted model, and the rows of its backend, whose sums are made in float64.

    With `about_means` all columns are centred, not only those that are far from zero.
    """
    if isinstance(X, Source):
        return _streamed(clf, X, {"y": y, "sample_weight": sample_weight, "offset": offset}, about_means)
    matrix = clf._matrix(X, reset=False)
    labelled = as_labelled(matrix, y, sample_weight, clf.class_weight, clf.classes_, offset)
    n_outputs = loss_of(len(clf.classes_)).n_outputs
    backend, _ = get_backend(
        _usable(clf),
        matrix.nbytes,
        matrix.on_device,
        clf.n_threads,
        n_rows=matrix.shape[0],
        n_outputs=n_outputs,
    )
    with backend.limit_threads():
        made = partial(MemoryRows, [labelled.block], backend, len(clf.classes_))
        return labelled, _exact(made, bool(clf.fit_intercept), about_means)


def _exact(made, intercept, about_means):
    """Rows in float64 from `made`, a function of the columns to centre."""
    if about_means:
        return made(centring=None).about_means(intercept)
    rows = made(centring=intercept)
    return rows.in_float64(intercept) or rows


def _streamed(clf, source, given, about_means):
    """The same for a source, which stays open as long as the rows are used."""
    for name, values in given.items():
        if values is not None:
            raise TypeError(
                f"`{name}` is given beside a source, which has its own labels and weights; expected None."
            )
    with contextlib.ExitStack() as undo:
        labelled = undo.enter_context(opened(source, clf.class_weight))
        _refuse_other_columns(clf, labelled)
        matrix = labelled.block.X
        where = {"n_rows": matrix.shape[0], "n_outputs": loss_of(len(clf.classes_)).n_outputs}
        backend, _ = get_backend(
            _usable(clf), matrix.nbytes, matrix.on_device, clf.n_threads, upload=False, **where
        )
        with backend.limit_threads():
            rows = _exact(partial(StreamRows, labelled, backend), bool(clf.fit_intercept), about_means)
        weakref.finalize(rows, undo.pop_all().close)
    return labelled, rows


def _refuse_other_columns(clf, labelled):
    """Raise ValueError if a source has other classes or columns than the fit had."""
    if labelled.classes.tolist() != clf.classes_.tolist():
        raise ValueError(
            f"The source has the classes {labelled.classes.tolist()[:10]}, and the fit had "
            f"{clf.classes_.tolist()[:10]}. Give the data of the fit."
        )
    names = getattr(clf, "feature_names_in_", None)
    other = labelled.names is not None and names is not None and list(names) != list(labelled.names)
    if other or labelled.block.X.shape[1] != clf.n_features_in_:
        raise ValueError("The source has other columns than the fit had, or in another order.")


def _usable(clf):
    """The backend of a model, or "auto" if it cannot be used here."""
    return clf.backend if clf.backend == "auto" or unusable(clf.backend) is None else "auto"


def gather(clf, rows, scale, base, meat):
    """The Evidence at the coefficients of a model; one read.

    Parameters
    ----------
    clf : fitted LogisticRegression
    rows : Rows
    scale : float
        The factor that takes the weights of the rows to the user's.
    base : int or None
    meat : bool
        Whether the sums of a sandwich are wanted.
    """
    loss, intercept = loss_of(len(clf.classes_)), bool(clf.fit_intercept)
    W = np.vstack([clf.coef_.T, clf.intercept_[None]]).astype(np.float64)
    if rows.centre is not None and intercept:
        W[-1] += rows.centre.astype(np.longdouble) @ W[:-1]  # for columns far from zero, products cancel
    layout = Layout(rows.n_features, loss.n_outputs, intercept, base, rows.centre)
    with rows.backend.limit_threads():
        sums = rows.sum(moments.Moments(W, loss, meat=meat))
        totals = rows.sweep(moments.ClassTotals(len(clf.classes_)))
    if not (np.isfinite(sums.value).all() and np.isfinite(sums.information).all()):
        rows.refuse_nonfinite()
        rows.refuse_overflow()
    return Evidence(
        rows,
        loss,
        W,
        layout,
        scale,
        float(sums.value[0]) * scale,
        sums.gradient.ravel()[layout.places] * scale,
        sums.information * scale,
        None if sums.meat is None else sums.meat * scale**2,
        totals * [[scale], [1]],
    )


def by_groups(evidence, groups):
    """Σ s·r·x over the rows of every group that has a weight, of the free parameters: (groups, p). One read.

    Raises
    ------
    ValueError
        A single group has rows of positive weight.
    MemoryError
        The sums would be larger than X itself.
    """
    codes, labels = groups
    rows, layout = evidence.rows, evidence.layout
    asked = moments.GroupScores(evidence.W, evidence.loss, rows.row_vector(codes), len(labels))
    most = max(rows.nbytes, _SMALL_SUMS)
    if asked.nbytes > most:
        raise MemoryError(
            f"`vcov` has {len(labels)} groups, and a score of each for {evidence.W.size} parameters takes "
            f"{asked.nbytes / 1e9:.3g} GB, more than {'X itself' if most == rows.nbytes else 'is worth it'}. "
            "Use groups of more rows, or vcov='HC1', which is the same where each row is a group of its own."
        )
    with rows.backend.limit_threads():
        _, counts = rows.sweep(moments.ClassTotals(len(labels), asked.groups))
        _refuse_single(labels[counts > 0], " of positive weight")
        sums = rows.sum(asked) * evidence.scale
    return sums.reshape(len(labels), -1)[np.ix_(counts > 0, layout.places)]


_SMALL_SUMS = 1 << 26
"""Bytes of sums by group that are taken beside any X."""


def codes_of_groups(groups, n_rows):
    """Codes and labels of groups of rows.

    Raises
    ------
    ValueError
        The wrong length, missing labels, or a single group.
    """
    groups = np.asarray(to_host(groups))
    if groups.shape != (n_rows,):
        raise ValueError(
            f"The groups of `vcov` have shape {groups.shape}; expected one per row, ({n_rows},)."
        )
    missing = [i for i, label in enumerate(groups.tolist()) if label is None or label != label]
    if missing:
        raise ValueError(
            f"The groups of `vcov` have no label in row {missing[0]}; expected one for every row."
        )
    try:
        labels, codes = np.unique(groups, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"The groups of `vcov` cannot be told apart: {error}.") from error
    _refuse_single(labels)
    return codes, labels


def _refuse_single(labels, which=""):
    if len(labels) < 2:
        raise ValueError(
            f"`vcov` has a single group{which}, {labels.tolist()[0]!r}: clustered errors need two groups or "
            "more, and are reliable from some forty on. Use vcov='HC1' for rows that are independent."
        )
