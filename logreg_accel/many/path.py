"""`logistic_regression_path`: one model for every C, in shared reads."""

from typing import Any, NamedTuple

import numpy as np

from ..backends.passes import Model
from .models import fitted_models, strengths_of, template_of
from .opened import opened
from .table import Spec, class_factors


class RegularizationPath(NamedTuple):
    """Models from the strongest to the weakest penalty, or in the order of the `Cs` that were given.

    Attributes
    ----------
    Cs : ndarray (n_cs,)
    coef : ndarray (n_cs, n_features), or (n_cs, n_classes, n_features) for more than two classes
    intercept : ndarray (n_cs,), or (n_cs, n_classes)
    suboptimality, suboptimality_bound : ndarray (n_cs,)
        Estimated and proven (F − F*)/F of each model.
    n_passes : float
        Reads of X for all of them together.
    models : list of LogisticRegression
    """

    Cs: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    suboptimality: np.ndarray
    suboptimality_bound: np.ndarray
    n_passes: float
    models: list

    def plot(self, ax: Any = None) -> Any:
        """Draw every coefficient against C; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None

        Returns
        -------
        matplotlib.axes.Axes
        """
        from ..report import PathDisplay

        return PathDisplay.from_path(self, ax=ax).ax_


def logistic_regression_path(
    X: Any,
    y: Any = None,
    *,
    Cs: Any = 10,
    l1_ratio: float = 0.0,
    sample_weight: Any = None,
    class_weight: dict | str | None = None,
    offset: Any = None,
    **parameters: Any,
) -> RegularizationPath:
    """Fit a path of penalties: one model for every C, in shared reads of X.

    Parameters
    ----------
    X : array, frame, table or sparse matrix (n_samples, n_features)
        Or the result of `logreg_accel.scan`, which has labels and weights, and whose rows need not fit into
        memory.
    y : (n_samples,) labels of two or more classes
    Cs : int or sequence of float
        The number of values from 1e-4 to 1e4, or the values.
    l1_ratio : float
        With an l1_ratio above 0, and where shared reads do not pay (X with many columns, sparse rows), models
        are fitted one after the other, each starting from those with stronger penalties. With an L1 penalty,
        columns that will not matter are left out of the fits (`solvers.working_set`).
    sample_weight : (n_samples,) or None
    class_weight : dict, "balanced" or None
    offset : (n_samples,), of more than two classes (n_samples, n_classes), or None
        Added to the margins of every model.
    **parameters
        As for `fit_many`.

    Returns
    -------
    RegularizationPath

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As in `LogisticRegression.fit`, before the first read.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from logreg_accel import logistic_regression_path
    >>> path = logistic_regression_path(*load_breast_cancer(return_X_y=True), Cs=[0.01, 1.0])
    >>> path.coef.shape
    (2, 30)
    """
    strengths = strengths_of(Cs)
    template = template_of({**parameters, "l1_ratio": l1_ratio}, strengths)
    with opened(template, X, y, sample_weight, offset) as shared:
        model = Model()
        model = model._replace(class_weight=class_factors(shared, model, class_weight, "`y`"))
        specs = [Spec(model, strength, l1_ratio) for strength in strengths]
        models, n_passes = fitted_models(template, shared, specs, parameters.get("callback"))
    first = 0 if len(shared.classes) == 2 else slice(None)
    return RegularizationPath(
        np.array(strengths),
        np.array([model.coef_[first] for model in models]),
        np.array([model.intercept_[first] for model in models]),
        np.array([model.suboptimality_ for model in models]),
        np.array([model.suboptimality_bound_ for model in models]),
        n_passes,
        models,
    )
