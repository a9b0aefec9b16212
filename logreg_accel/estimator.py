"""LogisticRegression: scikit-learn's words in, `coef_` out. No numerics here."""

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from . import advice, driver, fitting, persistence
from .export import Exports
from .history import Record
from .incremental import Incremental
from .interop.callbacks import Steps
from .interop.hooks import FRAMES, CallbackSupportMixin, with_callbacks
from .interop.words import with_hints
from .prediction import Predictor
from .streaming import labelled_rows


class LogisticRegression(
    CallbackSupportMixin, Incremental, Exports, Predictor, ClassifierMixin, BaseEstimator
):
    """Logistic regression trained to the optimum, with one read of X an evaluation.

    Minimises, over w and the intercept b, scikit-learn's objective::

        Σᵢ sᵢ·log(1 + exp(−ỹᵢ·(xᵢ·w + b))) + (1/C)·[(1 − l1_ratio)·½·‖w‖² + l1_ratio·‖w‖₁]        ỹᵢ = ±1

    The intercept bears no penalty. More classes have the loss log Σₖ exp(xᵢ·wₖ + bₖ) − (xᵢ·w_y + b_y).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty; np.inf for none.
    l1_ratio : float from 0 to 1, default 0
        0 is the L2 penalty, 1 the L1 penalty (weights that are exactly zero), between them the elastic net.
    tol : float, default 1e-8
        The fit stops where the relative distance to the optimum, (F − F*)/F, is proven to be at most `tol`,
        or where rounding allows no less.
    fit_intercept : bool, default True
        Whether there is an intercept.
    class_weight : dict, "balanced" or None
        By what the weights of the rows of a class are multiplied; "balanced": n_samples / (n_classes · the
        weight of the class).
    solver : str, or settings, default "auto"
        One of "auto", "gd", "lbfgs", "newton-cholesky", "newton-cg", "newton-subsampled", "row-space",
        "dual", "projected-newton", "working-set", "prox-newton", "fista" and "sgd", or settings of one, as
        `logreg_accel.solvers.gd(step=0.1, momentum=0.9)`.
    max_iter : int, default 1000
        The most steps that the solver may take.
    max_passes : float or None
        The most reads of X.
    max_seconds : float or None
        The most seconds; a read under way is finished.
    warm_start : bool, default False
        Start from the weights of the last fit.
    random_state : int, RandomState or None, default 0
        Seed of a random start; with the default, the same call gives the same bits.
    verbose : int, default 0
        1 prints to stderr what was chosen, and a line for every step.
    callback : callable (record, w) -> bool or None
        Called for every step with a `logreg_accel.history.Record` and [w, b]; the fit stops where it returns
        True.
    backend : "auto", "numpy", "numba" or "cupy"
        What reads X. "auto" takes CuPy when X is on a GPU, or is large and a GPU is usable; Numba when X is
        large; else NumPy. A backend that cannot run raises a RuntimeError that says why.
    n_threads : int or None
        The most CPU threads; None uses all.
    penalty_factor : array (n_features,), dict of names of columns, or None
        What the penalty of each column is multiplied by, at least 0; a column with 0 has no penalty. The
        factors are taken as they are, not rescaled. Columns that a dict does not name have 1.
    standardize : bool, default False
        Whether the penalty is on the weights of columns divided by their standard deviations, as after
        scikit-learn's StandardScaler. X is never changed, and `coef_` is in X's units all the same.
    bounds : (lower, upper), dict of names of columns, or None
        Limits of the weights: numbers or arrays (n_features,), None or infinite for no limit. A dict has
        (lower, upper), "+" or "-" for a column, and columns that it does not name have no limits. They are in
        X's units, and hold for every class.

    Attributes
    ----------
    coef_ : ndarray (1, n_features), or (n_classes, n_features) for more than two classes
        float32 when X is float32, float16 or bfloat16 and there are no bounds, else float64.
    intercept_ : ndarray (1,), or (n_classes,), float64
    classes_ : ndarray (n_classes,)
    class_shares_ : ndarray (2, n_classes), or None after partial_fit
        Shares of the classes in the weights of the fit, and without `class_weight`; see `predict_proba`.
    scale_ : ndarray (n_features,) or None
        With `standardize`, the standard deviations; coef_·scale_ are the weights of standardized columns.
    n_iter_ : ndarray (1,), int32
    n_features_in_ : int
    feature_names_in_ : ndarray, where X has string column names
    backend_, solver_ : str
        What ran; their `.reason` says why.
    n_passes_ : float
        Reads of X; a sample counts its share of the rows.
    suboptimality_ : float
        Estimated (F − F*)/F, never above the bound.
    suboptimality_bound_ : float
        What (F − F*)/F is proven to be at most, by a point of the dual problem and with rounding included; 1
        says nothing.
    status_ : str
        "converged" (the bound is at most tol), "estimated" (the estimate is, and no proof can be had), "noise
        floor", "separable", "max_iter", "max_passes", "max_seconds", "callback", "interrupted", "stalled"
        (sgd no longer improves), "partial" (partial_fit) or "diverged".
    history_ : list of Record, one for every evaluation

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from logreg_accel import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = LogisticRegression(C=1.0).fit(X, y)
    >>> round(clf.score(X, y), 2)
    0.96
    """

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
        bounds: Any = None,
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
            Any real dtype and layout; never changed, and not copied where it can be read as it is. Or what
            `logreg_accel.scan` returns, with labels and weights: rows that need not fit into memory.
        y : (n_samples,) labels of two or more classes
        sample_weight : (n_samples,) or None
        offset : (n_samples,), of more than two classes (n_samples, n_classes), or None
            Added to the margins x·w + b; sums are then made in float64.
        checkpoint : path or None
            A file that keeps sums over the rows: the same call after a kill goes on, to the same bits.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used; non-finite values of X are named by row and column.
        RuntimeError
            A backend that cannot run here.
        KeyboardInterrupt
            Ctrl-C, after the attributes were set to the best model so far.

        Warns
        -----
        ConvergenceWarning
            The fit ended above `tol`.
        """
        fitting.check_parameters(self)
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
        """Solve, and keep what was found."""
        taken = steps and (lambda w: steps.taken(lambda: fitting.coefficients(self, w, labelled)))
        progress = fitting.Progress(self.callback, taken)
        fitted = fitting.solve(self, X, labelled, total_weight, start, progress, continued, checkpoint)
        self._keep(fitted, labelled)
        if steps:
            steps.end(lambda: fitting.coefficients(self, fitted.solution.w, labelled))
        return fitted

    def _finish(self, fitted):
        """Tell of a fit that ended early."""
        if fitted.solution.status == driver.INTERRUPTED:
            raise KeyboardInterrupt
        advice.warn(self, fitted, stacklevel=3 + FRAMES)

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted model to one .npz file, whole or not at all; `logreg_accel.load` reads it.

        Parameters
        ----------
        path : path-like
            Used as it is; no suffix is added. A file that is there is replaced and leaves its permissions to
            the new one. A callback and a RandomState are not kept.

        Raises
        ------
        OSError
            The file cannot be written; what was there before is untouched.
        ValueError
            What `load` would refuse: a parameter that was set to what cannot be used, weights that are not
            finite, labels or settings that have no place in the file. Nothing is written.
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
        Fitted; it predicts on whatever backend is usable here.

    Raises
    ------
    OSError, ValueError
        The file cannot be opened; it is no such file, damaged, cut short, or of a newer version.
    """
    return persistence.load(path, LogisticRegression)
