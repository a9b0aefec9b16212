"""LogisticRegression, the estimator: parameters and attributes, but no numerics."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from . import advice, driver, fitting, persistence
from .backends import Choice
from .export import Exports
from .history import Record
from .incremental import Incremental
from .interop.callbacks import Steps
from .interop.hooks import FRAMES, CallbackSupportMixin, with_callbacks
from .interop.words import with_hints
from .parameters import check_parameters
from .prediction import Predictor
from .streaming import labelled_rows


class LogisticRegression(
    CallbackSupportMixin, Incremental, Exports, Predictor, ClassifierMixin, BaseEstimator
):
    """Logistic regression trained to the optimum, with one read of X per evaluation.

    Minimises, over w and the intercept b, scikit-learn's objective::

        Σᵢ sᵢ·log(1 + exp(−ỹᵢ·(xᵢ·w + b))) + (1/C)·[(1 − l1_ratio)·½·‖w‖² + l1_ratio·‖w‖₁]        ỹᵢ = ±1

    The intercept is not penalised. With more than two classes the loss is log Σₖ exp(xᵢ·wₖ + bₖ) − (xᵢ·w_y +
    b_y).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty; np.inf for none.
    l1_ratio : float from 0 to 1, default 0
        0 is the L2 penalty, 1 the L1 penalty (which makes some weights exactly zero), and the elastic net is
        in between.
    tol : float, default 1e-8
        The fit stops where the relative distance to the optimum, (F − F*)/F, is proven to be at most `tol`,
        or where rounding allows no less.
    fit_intercept : bool, default True
        Whether there is an intercept.
    class_weight : dict, "balanced" or None
        Factors of the weights of the rows of each class; "balanced": n_samples / (n_classes · the weight of
        the class).
    solver : str, or settings, default "auto"
        One of "auto", "gd", "lbfgs", "newton-cholesky", "newton-cg", "newton-subsampled", "row-space",
        "dual", "projected-newton", "working-set", "prox-newton", "fista" and "sgd", or one of them with
        settings, such as `logreg_accel.solvers.gd(step=0.1, momentum=0.9)`.
    max_iter : int, default 1000
        Largest number of steps of the solver.
    max_passes : float or None
        Largest number of reads of X.
    max_seconds : float or None
        Time limit in seconds; a read in progress is finished.
    warm_start : bool, default False
        Start from the weights of the last fit.
    random_state : int, RandomState or None, default 0
        Seed of a random start; with the default, the same call gives the same bits.
    verbose : int, default 0
        1 prints to stderr which solver and backend were chosen, and a line for every step.
    callback : callable (record, w) -> bool or None
        Called for every step with a `logreg_accel.history.Record` and [w, b]; the fit stops if it returns
        True.
    backend : "auto", "numpy", "numba" or "cupy"
        "auto" uses CuPy when X is on a GPU, or is large and a GPU is usable; Numba when X is large; otherwise
        NumPy. A backend that cannot run raises a RuntimeError that says why.
    n_threads : int or None
        Largest number of CPU threads; None uses all.
    penalty_factor : array (n_features,), dict of names of columns, or None
        Factors of the penalty of each column, at least 0; a column with factor 0 has no penalty. The factors
        are not rescaled. Columns that a dict does not name have factor 1.
    standardize : bool, default False
        Whether the penalty applies to the weights of columns divided by their standard deviations, as after
        scikit-learn's StandardScaler. X is never changed, and `coef_` is still in the units of X.
    bounds : (lower, upper), dict of names of columns, or None
        Limits of the weights: numbers or arrays (n_features,), None or infinite for no limit. A dict has
        (lower, upper), "+" or "-" for each column that it names; other columns have no limits. Limits are in
        the units of X and hold for every class.

    Attributes
    ----------
    coef_ : ndarray (1, n_features), or (n_classes, n_features) for more than two classes
        float32 when X is float32, float16 or bfloat16 and there are no bounds, otherwise float64.
    intercept_ : ndarray (1,), or (n_classes,), float64
    classes_ : ndarray (n_classes,)
    class_shares_ : ndarray (2, n_classes), or None after partial_fit
        Shares of the classes in the row weights of the fit, with and without `class_weight`; see
        `predict_proba`.
    scale_ : ndarray (n_features,) or None
        With `standardize`, the standard deviations; coef_·scale_ are the weights of standardized columns.
    n_iter_ : ndarray (1,), int32
    n_features_in_ : int
    feature_names_in_ : ndarray, where X has string column names
    backend_, solver_ : str
        The backend and the solver that were used; their `.reason` says why.
    n_passes_ : float
        Reads of X; a read of a sample counts as its share of the rows.
    suboptimality_ : float
        Estimated (F − F*)/F, never above the bound.
    suboptimality_bound_ : float
        Proven upper bound of (F − F*)/F, from a point of the dual problem and including rounding; a bound of
        1 says nothing.
    status_ : str
        "converged" (the bound is at most tol), "estimated" (the estimate is at most tol, but no proof was
        possible), "noise floor", "separable", "max_iter", "max_passes", "max_seconds", "callback",
        "interrupted", "stalled" (sgd no longer improves), "partial" (partial_fit) or "diverged".
    history_ : list of Record
        One for every evaluation.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from logreg_accel import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = LogisticRegression(C=1.0).fit(X, y)
    >>> round(clf.score(X, y), 2)
    0.96
    """

    coef_: np.ndarray
    intercept_: np.ndarray
    backend_: Choice
    solver_: Choice
    status_: str
    history_: list[Record]

    @with_hints
    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        tol: float = 1e-8,
        fit_intercept: bool = True,
        class_weight: dict | str | None = None,
        solver: Any = "auto",
        max_iter: int = 1000,
        max_passes: float | None = None,
        max_seconds: float | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        verbose: int = 0,
        callback: Callable[[Record, np.ndarray], bool | None] | None = None,
        backend: str = "auto",
        n_threads: int | None = None,
        penalty_factor: Any = None,
        standardize: bool = False,
        bounds: Sequence[Any] | np.ndarray | dict[str, Any] | None = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.max_iter = max_iter
        self.max_passes = max_passes
        self.max_seconds = max_seconds
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.backend = backend
        self.n_threads = n_threads
        self.penalty_factor = penalty_factor
        self.standardize = standardize
        self.bounds = bounds

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @with_callbacks
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, offset: Any = None, checkpoint: Any = None
    ) -> Self:
        """Fit to data.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
            Any real dtype and layout; never changed, and not copied where it can be read in place. Or the
            result of `logreg_accel.scan`, which has labels and weights, and whose rows need not fit into
            memory.
        y : (n_samples,) labels of two or more classes
        sample_weight : (n_samples,) or None
        offset : (n_samples,), of more than two classes (n_samples, n_classes), or None
            Added to the margins x·w + b; sums are then computed in float64.
        checkpoint : path or None
            A file for the sums over the rows: after a kill, the same call continues and ends with the same
            bits.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used; the error names row and column of non-finite values of X.
        RuntimeError
            A backend that cannot run here.
        KeyboardInterrupt
            Ctrl-C, after the attributes were set to the best model so far.

        Warns
        -----
        ConvergenceWarning
            The fit ended above `tol`.
        """
        check_parameters(self)
        steps = Steps.begun_for(self, X, y, sample_weight)
        rows = labelled_rows(self, X, y, sample_weight, offset)
        with fitting.unchanged_where_refused(self), rows as labelled:
            start = fitting.start_of(self, labelled.block.X.shape[1], len(labelled.classes))
            fitted = self._run(X, labelled, labelled.total_weight, start, steps, checkpoint=checkpoint)
        self._state, self._weight_fitted = None, labelled.total_weight
        self._rows_fitted, self.class_shares_ = labelled.block.X.shape[0], labelled.class_shares
        self._finish(fitted)
        return self

    def _run(self, X, labelled, total_weight, start, steps, continued=None, checkpoint=None):
        """Solve, and set the fitted attributes."""
        taken = steps and (lambda w: steps.taken(lambda: fitting.coefficients(self, w, labelled)))
        progress = fitting.Progress(self.callback, taken)
        fitted = fitting.solve(self, X, labelled, total_weight, start, progress, continued, checkpoint)
        self._keep(fitted, labelled)
        if steps:
            steps.end(lambda: fitting.coefficients(self, fitted.solution.w, labelled))
        return fitted

    def _finish(self, fitted):
        """Warn about a fit that ended early."""
        if fitted.solution.status == driver.INTERRUPTED:
            raise KeyboardInterrupt
        advice.warn(self, fitted, stacklevel=3 + FRAMES)

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted model to one .npz file, whole or not at all; `logreg_accel.load` reads it.

        Parameters
        ----------
        path : path-like
            No suffix is added. An existing file is replaced, and the new one gets its permissions. A callback
            and a RandomState are not saved.

        Raises
        ------
        OSError
            The file cannot be written; an existing file is unchanged.
        ValueError
            `load` would refuse the model: an invalid parameter, weights that are not finite, or labels or
            settings that the file format cannot represent. Nothing is written.
        """
        check_is_fitted(self)
        persistence.save(path, LogisticRegression, self)

    def _keep(self, fitted, labelled):
        vars(self).pop("inference_", None)  # of the fit before
        solution = fitted.solution
        for name, value in fitting.coefficients(self, solution.w, labelled).items():
            setattr(self, name, value)
        self.n_iter_ = np.array([max(solution.n_iter, 1)], dtype=np.int32)
        self.backend_, self.solver_ = fitted.backend, fitted.solver
        self.n_passes_, self.suboptimality_ = float(solution.n_passes), float(solution.suboptimality)
        self.suboptimality_bound_ = float(solution.bound)
        self.status_, self.history_, self.scale_ = solution.status, solution.history, fitted.scale
        self._separating = advice.separating(self, solution)


def load(path: str | os.PathLike) -> LogisticRegression:
    """Read a model that `LogisticRegression.save` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    LogisticRegression
        A fitted model; it predicts on a backend that is usable here.

    Raises
    ------
    OSError, ValueError
        The file cannot be opened, or it is not a model file, damaged, truncated, or of a newer version.
    """
    return persistence.load(path, LogisticRegression)
