"""LogisticRegression: scikit-learn's words in, `coef_` out. No numerics here."""

import dataclasses
import math
import numbers
import sys
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted, validate_data

from . import driver, model_io, solvers
from .backends import Choice, get_backend
from .callbacks import FRAMES, CallbackSupportMixin, Steps, with_callbacks
from .data import Block, as_dataset, as_labels, as_matrix, in_namespace_of, storage_dtype
from .data.convert import as_weights, first_nonfinite, is_on_device, to_table
from .data.sparse import conversion, is_sparse, stored_bytes
from .losses import loss_of
from .objective import Objective
from .penalty import Penalty
from .plain import from_plain, to_plain
from .solvers import questions as ask
from .solvers import resolve_solver


def _by_batches(estimator):
    """Whether the solver makes epochs that a later call can go on from."""
    if estimator.solver == "sgd" or isinstance(estimator.solver, solvers.sgd):
        return True
    raise AttributeError(f"`partial_fit` needs solver='sgd' or logreg_accel.solvers.sgd(...); `solver` is {estimator.solver!r}.")


class LogisticRegression(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Logistic regression trained to the optimum, with one read of X an evaluation.

    Minimises, over w and the intercept b, scikit-learn's objective::

        Σᵢ sᵢ·log(1 + exp(−ỹᵢ·(xᵢ·w + b))) + (1/C)·[(1 − l1_ratio)·½·‖w‖² + l1_ratio·‖w‖₁]        ỹᵢ = ±1

    The intercept bears no penalty. More than two classes have the softmax loss log Σₖ exp(xᵢ·wₖ + bₖ) − (xᵢ·w_y + b_y).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty; np.inf for none.
    l1_ratio : float from 0 to 1, default 0
        0 is the L2 penalty, 1 the L1 penalty (weights that are exactly zero), between them the elastic net.
    tol : float, default 1e-8
        Estimated relative suboptimality (F − F*)/F to stop at; in effect max(tol, the arithmetic's rounding).
    fit_intercept : bool, default True
    class_weight : dict, "balanced" or None
    solver : "auto", "gd", "lbfgs", "newton-cholesky", "newton-cg", "newton-subsampled", "row-space", \
            "prox-newton", "fista", "sgd", or settings
        Settings such as `logreg_accel.solvers.gd(step=0.1, momentum=0.9)`.
    max_iter : int, default 1000
        Steps at most.
    max_passes : float or None
        Reads of X at most.
    max_seconds : float or None
        Time at most; a read under way is finished.
    warm_start : bool, default False
        Start from the weights of the last fit.
    random_state : int, RandomState or None, default 0
        Seed of a random start; with the default, the same call gives the same bits.
    verbose : int, default 0
        1 prints what was chosen and a line for every step, to stderr.
    callback : callable (record, w) -> bool or None
        Called at every step with a `logreg_accel.driver.Record` and [w, b]; True stops the fit.
    backend : "auto", "numpy", "numba" or "cupy"
        Where X is read. "auto": CuPy when X is on a GPU, or large and a GPU is usable; Numba when X is large; else NumPy.
        One that cannot run raises RuntimeError and says why.
    n_threads : int or None
        CPU threads at most.

    Attributes
    ----------
    coef_ : ndarray (1, n_features), or (n_classes, n_features) for more than two classes
        float32 when X is float32, float16 or bfloat16, else float64.
    intercept_ : ndarray (1,), or (n_classes,)
    classes_ : ndarray (n_classes,)
    n_iter_ : ndarray (1,), int32
    n_features_in_ : int
    feature_names_in_ : ndarray
        Where X has string column names.
    backend_, solver_ : str
        What ran; their `.reason` says why.
    n_passes_ : float
        Reads of X; a sample counts its share of the rows.
    suboptimality_ : float
        Estimated (F − F*)/F.
    suboptimality_bound_ : float
        Rigorous bound on it, but for rounding (`Objective.suboptimality_bound`); inf where there is none (no penalty).
    status_ : str
        "converged", "noise floor", "separable", "max_iter", "max_passes", "max_seconds", "callback", "interrupted",
        "stalled" (sgd no longer improves), "partial" (partial_fit) or "diverged".
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

    def __init__(
        self, *, C=1.0, l1_ratio=0.0, tol=1e-8, fit_intercept=True, class_weight=None, solver="auto", max_iter=1000,
        max_passes=None, max_seconds=None, warm_start=False, random_state=0, verbose=0, callback=None, backend="auto",
        n_threads=None,
    ):
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit to data.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
            Any real dtype and layout; never changed, and not copied where it can be read as it is.
        y : (n_samples,) labels of two or more classes
        sample_weight : (n_samples,) or None

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
        self._check_parameters()
        self._state = None
        X = to_table(X)
        matrix = as_matrix(X)
        validate_data(self, X if hasattr(X, "columns") else matrix, skip_check_array=True)
        dataset = as_dataset(matrix, y, sample_weight, self.class_weight)
        start = self._start(dataset.n_features, loss_of(len(dataset.classes)).n_outputs)
        self._weight_fitted = dataset.total_weight
        self._run(X, matrix, dataset, dataset.total_weight, start, Steps.of(self, X, y, sample_weight))
        return self

    @available_if(_by_batches)
    @with_callbacks
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One epoch of mini-batches over these rows, from where the last call ended; for solver="sgd".

        The penalty is 1/C beside the sum over all rows seen so far, those of an earlier `fit` included. `save` keeps the model,
        not how many rows it has seen nor the averages and steps that the next call would go on from.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
        y : (n_samples,) labels
        classes : array (n_classes,) or None
            All labels that will ever come; needed in the first call.
        sample_weight : (n_samples,) or None

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`; no `classes` in the first call, other ones in a later call, or labels not among them.
        """
        before = vars(self).copy()
        try:
            return self._partial_fit(X, y, classes, sample_weight)
        except Exception:  # a part that is refused leaves no trace
            vars(self).clear()
            vars(self).update(before)
            raise

    def _partial_fit(self, X, y, classes, sample_weight):
        self._check_parameters()
        if isinstance(self.class_weight, str):
            raise ValueError(f"`class_weight` is {self.class_weight!r}, which partial_fit cannot know from a part of the rows; "
                             "expected a dict or None.")
        steps_of = Steps.of(self, X, y, sample_weight)
        X = to_table(X)
        matrix = as_matrix(X)
        first = _check_partial_fit_first_call(self, classes)
        if first and len(self.classes_) < 2:
            raise ValueError(f"`classes` is {list(classes)}; expected two labels or more.")
        validate_data(self, X if hasattr(X, "columns") else matrix, reset=first, skip_check_array=True)
        dataset = as_dataset(matrix, y, sample_weight, self.class_weight, self.classes_)
        state, rows = getattr(self, "_state", None), dataset.n_features + bool(self.fit_intercept)
        if state is None:
            start = np.zeros(rows * loss_of(len(self.classes_)).n_outputs) if first else self._stored(rows)
            state = solvers.sgd.State(start, weight_seen=getattr(self, "_weight_fitted", 0.0))
        elif not dataset.weight_sum:  # classes of no weight: nothing to learn from
            return self
        state = dataclasses.replace(state, weight_seen=state.weight_seen + dataset.total_weight)
        self._run(X, matrix, dataset, state.weight_seen, state.w, steps_of, state)
        self._state = state
        self.n_iter_ = np.array([state.epochs], dtype=np.int32)
        return self

    def _run(self, X, matrix, dataset, total_weight, start, steps, state=None):
        """Solve, and keep what was found; X as it was given and as a matrix, `state` that of a run to go on with."""
        loss = loss_of(len(dataset.classes))
        backend, backend_choice = get_backend(self.backend, dataset.nbytes, dataset.on_device, self.n_threads,
                                              n_rows=dataset.n_rows, n_outputs=loss.n_outputs)
        solver, name, reason = resolve_solver(
            self.solver, dataset.n_features, dataset.n_rows, dataset.nbytes, self.C < math.inf, loss.n_outputs,
            l1=self.l1_ratio > 0 and self.C < math.inf)
        if self.verbose:
            _say(f"{dataset.n_rows} x {dataset.n_features} {dataset.dtype}; backend {backend_choice} "
                 f"({backend_choice.reason}); solver {name} ({reason})")
        with backend.limit_threads():
            penalty = Penalty.of_strength(self.C, total_weight, self.l1_ratio)
            objective = Objective(dataset, loss, penalty, backend, self.fit_intercept)
            if self.verbose:
                for line in (conversion(X, matrix), *backend.notes, driver.HEADINGS):
                    if line:
                        _say(line)
            solution = driver.run(
                solver.continued(state) if state else solver,
                objective, start, tol=self.tol, max_iter=self.max_iter,
                max_passes=self.max_passes, max_seconds=self.max_seconds, callback=self._callback(dataset, steps),
                seed=self._seed(),
            )
        self._keep(solution, dataset, backend_choice, Choice(name, reason))
        if steps:
            steps.end(lambda: self._coefficients(solution.w, dataset))
        if solution.status == driver.INTERRUPTED:
            raise KeyboardInterrupt
        self._warn(solution)

    def decision_function(self, X):
        """Margins x·w + b: of two classes positive for classes_[1], of more one a class.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples,), or (n_samples, n_classes) for more than two
            float32 or float64, after the arithmetic of X. Under scikit-learn's `array_api_dispatch` an array of X's kind,
            where X lies; so do the other predictions.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            Wrong shape or names of features, or non-finite values, named by row and column.
        """
        return in_namespace_of(X, self._margins(X))

    def predict(self, X):
        """The likeliest class of each row: that of the largest margin, of two classes_[1] where it is positive.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples,) of labels

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As `decision_function`.
        """
        return in_namespace_of(X, self._labels(X))

    def score(self, X, y, sample_weight=None):
        """Accuracy of `predict` on X against the labels y, which may be on a GPU as X may."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(as_labels(y), self._labels(X), sample_weight=as_weights(sample_weight, len(y))))

    def predict_proba(self, X):
        """Probabilities of the classes, (n_samples, n_classes), in the order of `classes_`."""
        return in_namespace_of(X, self._loss_and_margins(X, "probabilities"))

    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`, exact where the probability itself underflows."""
        return in_namespace_of(X, self._loss_and_margins(X, "log_probabilities"))

    def save(self, path):
        """Write the fitted model to one .npz file, whole or not at all; `logreg_accel.load` reads it.

        A callback and a RandomState are not kept.

        Parameters
        ----------
        path : path-like
            Used as it is; no suffix is added.

        Raises
        ------
        OSError
            The file cannot be written; what was there before is untouched.
        """
        check_is_fitted(self)
        model_io.save_arrays(path, *to_plain(self))

    # -- the pieces -----------------------------------------------------------------------------------------------------

    def _labels(self, X):
        margins = self._margins(X)
        return self.classes_[margins.argmax(axis=1) if margins.ndim == 2 else (margins > 0).astype(np.intp)]

    def _loss_and_margins(self, X, what):
        margins = self._margins(X)
        return getattr(loss_of(len(self.classes_)), what)(margins if margins.ndim == 2 else margins[:, None])

    def _margins(self, X):
        check_is_fitted(self)
        X = to_table(X)
        matrix = as_matrix(X)
        validate_data(self, X if hasattr(X, "columns") else matrix, reset=False, skip_check_array=True)
        W = np.vstack([self.coef_.T, self.intercept_[None]]).astype(np.float64)
        nbytes = stored_bytes(matrix, storage_dtype(matrix))
        backend, _ = get_backend("auto", nbytes, is_on_device(matrix), self.n_threads, upload=False)
        with backend.limit_threads():
            block = backend.upload(Block(matrix, None))
            margins = backend.to_host(backend.margins(block, W))
        overflowed = ~np.isfinite(margins).all(axis=1)
        if overflowed.any():
            self._refuse_nonfinite(block.X)
            rows = block.X[backend.xp.asarray(np.flatnonzero(overflowed))]
            margins[overflowed] = _huge_margins(backend.to_host(rows.toarray() if is_sparse(rows) else rows), W)
        return margins if margins.shape[1] > 1 else margins[:, 0]

    def _check_parameters(self):
        _check_number("C", self.C, "a positive number, or np.inf for no penalty", lambda v: v > 0)
        _check_number("l1_ratio", self.l1_ratio, "a number from 0 (L2) to 1 (L1)", lambda v: 0 <= v <= 1)
        _check_number("tol", self.tol, "a number of at least 0", lambda v: 0 <= v < np.inf)
        _check_number("max_iter", self.max_iter, "an integer of at least 1", lambda v: v >= 1, numbers.Integral)
        if self.max_passes is not None:
            _check_number("max_passes", self.max_passes, "a positive number or None", lambda v: v > 0)
        if self.max_seconds is not None:
            _check_number("max_seconds", self.max_seconds, "a positive number or None", lambda v: v > 0)
        if self.n_threads is not None:
            _check_number("n_threads", self.n_threads, "an integer of at least 1, or None", lambda v: v >= 1, numbers.Integral)
        if not isinstance(self.fit_intercept, bool | np.bool_):
            raise ValueError(f"`fit_intercept` is {self.fit_intercept!r}; expected True or False.")
        if not (self.callback is None or callable(self.callback)):
            raise ValueError(f"`callback` is {self.callback!r}; expected a callable (record, w) or None.")

    def _start(self, n_features, n_outputs):
        rows = n_features + bool(self.fit_intercept)
        if not (self.warm_start and hasattr(self, "coef_")):
            return np.zeros(rows * n_outputs)
        if self.coef_.shape[1] != n_features:
            raise ValueError(
                f"`warm_start=True` and the last fit had {self.coef_.shape[1]} features, this one {n_features}. "
                "Use warm_start=False or clone the estimator."
            )
        if self.coef_.shape[0] != n_outputs:
            raise ValueError("`warm_start=True` and the last fit had another number of classes. "
                             "Use warm_start=False or clone the estimator.")
        return self._stored(rows)

    def _stored(self, rows):
        """coef_ and intercept_ as a point of the objective."""
        return np.vstack([self.coef_.T, self.intercept_[None]]).astype(np.float64)[:rows].ravel()

    def _seed(self):
        from sklearn.utils import check_random_state

        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _callback(self, dataset, steps):
        if not self.verbose and steps is None:
            return self.callback

        def tell(record, w):
            if self.verbose:
                _say(driver.format_record(record))
            stop = self.callback is not None and self.callback(record, w)
            return (steps is not None and steps.taken(lambda: self._coefficients(w, dataset))) or stop

        return tell

    def _coefficients(self, w, dataset):
        """The attributes that a point of the objective makes."""
        dtype = np.float32 if dataset.dtype.itemsize <= 4 and dataset.dtype.kind not in "iub" else np.float64
        n, k = dataset.n_features, 1 if len(dataset.classes) == 2 else len(dataset.classes)
        W = np.array(w).reshape(-1, k)
        if k > 1:  # classes may be shifted together: of all such solutions that with the mean at zero
            free = slice(0 if self.C == np.inf else n, None)
            W[free] -= W[free].mean(axis=1, keepdims=True)
        intercept = W[n].astype(dtype) if self.fit_intercept else np.zeros(k, dtype=dtype)
        return {"coef_": W[:n].T.astype(dtype), "intercept_": intercept, "classes_": dataset.classes}

    def _keep(self, solution, dataset, backend_choice, solver_choice):
        for name, value in self._coefficients(solution.w, dataset).items():
            setattr(self, name, value)
        self.n_iter_ = np.array([max(solution.n_iter, 1)], dtype=np.int32)
        self.backend_, self.solver_ = backend_choice, solver_choice
        self.n_passes_ = float(solution.n_passes)
        self.suboptimality_ = float(solution.suboptimality)
        self.suboptimality_bound_ = float(solution.bound)
        self.status_ = solution.status
        self.history_ = solution.history

    def _warn(self, solution):
        if solution.status == driver.SEPARABLE:
            warnings.warn(
                "The classes are separable and C is inf: the loss falls towards 0 without a minimum, and the weights "
                "returned are only one of the directions that separate them. Use a finite C.",
                ConvergenceWarning, stacklevel=4 + FRAMES,
            )
            return
        high_floor = solution.status == ask.NOISE_FLOOR and not solution.suboptimality <= max(self.tol, driver.HIGH_FLOOR)
        if high_floor or solution.status not in driver.SATISFIED:
            advice = {
                ask.NOISE_FLOOR: "Lower the step of gd, or leave it out: 1/L is safe." if self.solver_ == "gd" else
                                 "Rounding hides any further descent from it: scale the columns, pass float64 or use "
                                 "solver='newton-cholesky'.",
                ask.STALLED: "Raise `n_iter_no_change`, lower `step`, or use solver='auto': it takes a handful of reads.",
                driver.MAX_ITER: f"Raise `max_iter` (now {self.max_iter}), scale the columns, or try another solver.",
                driver.MAX_PASSES: f"Raise `max_passes` (now {self.max_passes}).",
                driver.MAX_SECONDS: f"Raise `max_seconds` (now {self.max_seconds}).",
            }.get(solution.status, f"Lower the step of {self.solver_!s}, or leave it out: 1/L is safe.")
            warnings.warn(
                f"Solver {self.solver_!s} stopped ({solution.status}) after {solution.n_passes:.4g} passes at an estimated "
                f"relative suboptimality of {solution.suboptimality:.2g}, above `tol`={self.tol:g}. {advice}",
                ConvergenceWarning, stacklevel=4 + FRAMES,
            )

    def _refuse_nonfinite(self, X):
        found = first_nonfinite(X)
        if found is not None:
            raise ValueError(f"Input `X` contains {found[2]}: first at row {found[0]}, column {found[1]}; NaN and inf "
                             "cannot be classified.")


def load(path):
    """Read a model that `LogisticRegression.save` wrote.

    Returns
    -------
    LogisticRegression
        Fitted; it predicts on whatever backend is usable here.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It is no such file, is damaged or cut short, or was written by a newer version.
    """
    return from_plain(LogisticRegression, *model_io.load_arrays(path))


def _huge_margins(X, W):
    """Margins that overflow X's arithmetic, in float64 and scaled: ±inf at worst, never nan.

    Of several classes they come less the largest one's, which changes no probability.
    """
    X = X.astype(np.float64)
    scale = np.abs(X).max(axis=1, keepdims=True)
    z = X / scale @ W[:-1]
    if z.shape[1] > 1:
        z -= z.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        return z * scale + W[-1]


def _check_number(name, value, expected, holds, kind=numbers.Real):
    if isinstance(value, bool | np.bool_) or not isinstance(value, kind) or not holds(value):
        raise ValueError(f"`{name}` is {value!r}; expected {expected}.")


def _say(line):
    print(line, file=sys.stderr, flush=True)
