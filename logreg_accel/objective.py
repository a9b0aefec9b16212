"""The objective: the mean loss, from the sums of passes over the rows, plus the penalty."""

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import between, elimination, metric, unsummed
from .backends import get_backend, passes
from .coordinates import Coordinates
from .data import as_labelled
from .losses import loss_of
from .penalty import Penalty
from .rows import MemoryRows
from .solvers import quadratic
from .solvers import questions as ask

_KINDS = dict(zip(ask.IN_PARTS, (passes.Diagonal, passes.MeanHessian, passes.OwnHessians), strict=True))


class Objective:
    """F(w, b) = (1/Σᵢ sᵢ)·Σᵢ sᵢ·ℓ(xᵢ·w + b, yᵢ) + (λ/2)·‖w‖² + λ₁·‖w‖₁, with λ = (1 − l1_ratio)/(C·Σᵢ sᵢ).

    This is scikit-learn's objective C·Σᵢ sᵢ·ℓᵢ + ½‖w‖² divided by C·Σᵢ sᵢ: it has the same minimum, and a
    tolerance means the same for any number of rows. Points are flat float64 vectors [w, b] of shape
    (n_features + 1,), or [w] without an intercept; with K outputs (softmax) they are the rows of a matrix
    (n_features + 1, K), one after the other. Two calls at one point give the same bits.

    Parameters
    ----------
    rows : Rows
    loss : Logistic, Multinomial or another loss
    penalty : Penalty
    fit_intercept : bool
    model : passes.Model or None
        The target and the split of this model; None where the rows have one target and no splits.
    weight_sum : float or None
        Σᵢ sᵢ of the rows that the model trains on, where it is known.
    """

    def __init__(self, rows, loss, penalty, fit_intercept=True, model=None, weight_sum=None):
        self.rows = rows
        self.loss = loss
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.at = Coordinates(rows.n_features, loss.n_outputs, fit_intercept, rows.rounds_to, rows.centre)
        self._ridge = penalty.l2 * self.at.penalised(np.ones(self.size))
        self.models = None if model is None else (model,)
        if weight_sum is None and model is not None:
            weight_sum = float(rows.sweep(passes.WeightSum(self.models))[0])
        self.weight_sum = rows.weight_sum if weight_sum is None else weight_sum

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: dict | str | None = None,
        backend: str = "auto",
        n_threads: int | None = None,
        offset: Any = None,
    ) -> "Objective":
        """Return the logistic objective of some arrays, for an optimiser of your own.

        Parameters
        ----------
        X : array, frame or table (n_samples, n_features)
        y : labels (n_samples,); of two, the larger one is the positive class; more have the softmax loss
        sample_weight, offset : (n_samples,) or None; offset (n_samples, n_classes) for more than two classes
        C : float, inverse strength of the penalty on w, as in scikit-learn; np.inf for none
        fit_intercept : bool
        class_weight : dict, "balanced" or None
        backend : "auto", "numpy", "numba" or "cupy"
        n_threads : int or None

        Returns
        -------
        Objective

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As in `LogisticRegression.fit`.

        Examples
        --------
        >>> import numpy as np, scipy.optimize
        >>> from logreg_accel import Objective
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1])
        >>> objective = Objective.from_arrays(X, y, C=1.0)
        >>> result = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(2), jac=True)
        >>> bool(result.success)
        True
        """
        labelled = as_labelled(X, y, sample_weight, class_weight, offset=offset)
        loss, X = loss_of(len(labelled.classes)), labelled.block.X
        size = {"n_rows": X.shape[0], "n_outputs": loss.n_outputs}
        chosen, _ = get_backend(backend, X.nbytes, X.on_device, n_threads, **size)
        rows = MemoryRows([labelled.block], chosen, len(labelled.classes))
        return cls(rows, loss, Penalty.of_strength(C, labelled.total_weight), fit_intercept)

    @property
    def size(self) -> int:
        """Length of a point."""
        return self.at.size

    def value_and_gradient(self, w: ArrayLike) -> tuple[float, np.ndarray]:
        """F and its gradient at w, in one read of X.

        Where the arithmetic is float32 (float32, 16-bit and 8-bit X), w is rounded to float32 first: F is
        then a function of the rounded w, and relative changes of a weight below 1e-7 have no effect.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        value : float
        gradient : ndarray (size,), float64

        Raises
        ------
        ValueError
            X has a value that is not finite (the message says where), or w has the wrong shape.
        """
        point = self.answer(ask.Evaluate(np.asarray(w)))
        return point.value, point.gradient

    def hessian_vector(self, w: ArrayLike, v: ArrayLike) -> np.ndarray:
        """∇²F(w)·v, in one read of X: (1/Σᵢ sᵢ)·Σᵢ sᵢ·pᵢ·(1 − pᵢ)·xᵢ·(xᵢ·v) + λ·v with two classes.

        Here xᵢ ends in 1 for the intercept, which has no λ.

        Parameters
        ----------
        w, v : array (size,)

        Returns
        -------
        ndarray (size,), float64

        Raises
        ------
        ValueError
            As `value_and_gradient`; also if a sum of squares of X overflows.
        """
        return self.answer(ask.HessianVector(np.asarray(w), np.asarray(v)))

    def diagonal(self, w: ArrayLike) -> np.ndarray:
        """The diagonal of ∇²F(w), in one read of X: (1/Σᵢ sᵢ)·Σᵢ sᵢ·pᵢ·(1 − pᵢ)·xᵢ² + λ with two classes.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        ndarray (size,), float64

        Raises
        ------
        ValueError
            As `hessian_vector`.
        """
        return self.answer(ask.Curvature(np.asarray(w), ask.DIAGONAL))

    def hessian(self, w: ArrayLike) -> np.ndarray:
        """∇²F(w), in one read of X: (1/Σᵢ sᵢ)·Σᵢ sᵢ·pᵢ·(1 − pᵢ)·xᵢxᵢᵀ + λ·I with two classes.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        ndarray (size, size), float64

        Raises
        ------
        ValueError
            As `hessian_vector`.
        """
        return self.answer(ask.Curvature(np.asarray(w), ask.MATRIX))

    def margins(self, w: ArrayLike) -> np.ndarray:
        """The margins xᵢ·w + b of all rows, with the offset if there is one, in one read of X.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        ndarray (n_samples,), or (n_samples, K) for K > 2 classes
            float32 where the arithmetic is (float32, 16-bit and 8-bit X), otherwise float64.
        """
        with self.rows.backend.limit_threads():
            z = self.rows.to_host(self.rows.sum(passes.Margins(self.at.columns(w))))
        return z[:, 0] if self.loss.n_outputs == 1 else z

    def start(self, w, seed=0):
        """The facts that a solver starts with: a `questions.Start`."""
        rows, l1 = self.rows, self.penalty.l1 * self.at.penalised(np.ones(self.size))
        sweeps, levels = rows.backend.lasso_sweeps, functools.partial(elimination.worth, self)
        lasso = functools.partial(quadratic.lasso, l1=l1, rounding=metric.rounding(self), sweeps=sweeps)
        free = self.models is None and rows.reads(passes.LossGradient, self.loss, True) <= 1
        known = rows.offset_scale or 0.0, self.at.blur, rows.piled, 0.0, self.loss.n_outputs, rows.n_features
        about = w, seed, rows.n_rows, l1, self._ridge, lasso, self.at.of_columns(rows.scale)
        return ask.Start(*about, *known, free, rows.gathers, levels, rows.entries, rows.backend.cholesky)

    def answer(self, question):
        """The answer to a question about these rows: `from_sums` of `to_pass`, or `unsummed.answer`.

        Parameters
        ----------
        question : one of the types in `solvers/questions.py`, which say what their answers are

        Raises
        ------
        ValueError
            X has a value that is not finite, or sums over it overflow.
        TypeError
            Not a question about rows.
        """
        with self.rows.backend.limit_threads():
            if unsummed.is_sum(question):
                return self.from_sums(question, self.rows.sum(self.to_pass(question)))
            return unsummed.answer(self, question)

    def reads(self, question):
        """Reads of all rows that the answer costs; for a Sample, approximately."""
        if isinstance(question, ask.Evaluate):
            return self.rows.reads(passes.LossGradient, self.loss, question.diagonal)
        if isinstance(question, ask.HessianVector | ask.Curvature):
            return self.rows.reads(passes.HessianVector)
        return unsummed.reads(self, question)

    def to_pass(self, question):
        """The pass whose sums answer a question."""
        loss, models = self.loss, self.models
        if isinstance(question, ask.Evaluate):
            keep = self.rows.share in (0, 1)  # a batch gets only one question
            W = self.at.columns(self.at.rounded(question.w))
            on_the_way = self.rows.backend.on_device and question.since is not None
            since = question.since.margins if on_the_way else None
            wanted = self.rows.wanted((d.size, d.seed, isinstance(d, ask.Witnesses)) for d in question.likely)
            return passes.LossGradient(W, loss, keep, question.diagonal, models, since, wanted)
        W = self.at.columns(question.w)
        if isinstance(question, ask.HessianVector):
            known = question.margins, models, metric.curvatures(self, question.margins)
            return passes.HessianVector(W, self.at.columns(question.v), loss, *known)
        return _KINDS.get(question.form, passes.Hessian)(W, loss, models, question.margins)

    def from_sums(self, question, sums):
        """The answer to a question, from the sums of its pass over all rows."""
        if isinstance(question, ask.Evaluate):
            point = self._point(self.at.rounded(question.w), sums)
            if question.since is None:
                return point
            return point._replace(change=between.change(self, question.since, point, sums.change))
        if isinstance(question, ask.HessianVector):
            return self._mean(sums) + self.penalty.gradient(self.at.penalised(question.v))
        if question.form == ask.DIAGONAL:
            return self._mean(sums) + self._ridge
        self._check_sums(metric.diagonals(self, sums))
        if question.form in ask.IN_PARTS:
            return metric.solve_by_class(self, sums, self._ridge)
        H = metric.hessian(self, sums, self._ridge)
        return self.rows.backend.to_host(H) if question.form == ask.MATRIX else metric.solve(self, H)

    def _point(self, w, sums):
        value, gradient = float(sums.value[0]), self.at.flat(sums.gradient)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            self.rows.refuse_nonfinite()
            if not w.any():
                self.rows.refuse_overflow()
            value = np.inf
        penalised = self.at.penalised(w)
        value = value / self.weight_sum + self.penalty.value(penalised)
        gradient = gradient / self.weight_sum + self.penalty.gradient(penalised)
        known = sums.diagonal is not None and np.isfinite(value)
        diagonal = self._mean(sums.diagonal) + self._ridge if known else None
        return ask.Point(w, value, gradient, metric.rounding(self) * abs(value), sums.margins, diagonal)

    def _mean(self, total):
        self._check_sums(total)
        return self.at.flat(total) / self.weight_sum

    def _check_sums(self, sums):
        """Sums of squares of finite X overflow before sums of X do."""
        if not bool(np.isfinite(sums).all()):
            self.rows.refuse_nonfinite()
            self.rows.refuse_overflow()
