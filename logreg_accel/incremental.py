"""Incremental fits: `partial_fit`, which continues from call to call."""

import dataclasses
from typing import Any, Self

import numpy as np
from sklearn.utils.metaestimators import available_if

from . import fitting
from .data import as_labelled
from .interop.callbacks import Steps
from .interop.hooks import first_partial_fit, with_callbacks
from .parameters import check_parameters
from .solvers import sgd


def _by_batches(estimator):
    """Whether the solver makes epochs that a later call can continue."""
    if estimator.solver == "sgd" or isinstance(estimator.solver, sgd):
        return True
    raise AttributeError(
        "`partial_fit` needs solver='sgd' or logreg_accel.solvers.sgd(...); "
        f"`solver` is {estimator.solver!r}."
    )


class Incremental:
    """`partial_fit`, for an estimator with `_matrix`, `_run` and `_finish`."""

    class_weight: Any
    standardize: Any
    classes_: Any
    _matrix: Any
    _run: Any
    _finish: Any

    @available_if(_by_batches)
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Run one epoch of mini-batches over these rows, continuing from the last call; for solver="sgd".

        The penalty has the factor 1/C beside the sum over all rows seen so far, including those of an earlier
        `fit`. `save` keeps the model, but neither the number of rows it has seen nor the averages and steps
        from which the next call would continue.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
        y : (n_samples,) labels
        classes : array (n_classes,) or None
            All labels that can occur; required in the first call.
        sample_weight : (n_samples,) or None

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As in `fit`; also if the first call has no `classes`, a later call has other ones, or `y` has a
            label that is not among them.
        """
        check_parameters(self)
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"`class_weight` is {self.class_weight!r}, which partial_fit cannot know "
                "from a part of the rows; expected a dict or None."
            )
        if self.standardize:
            raise ValueError(
                "`standardize` is True, and partial_fit sees only a part of the rows; scale the columns."
            )
        steps = Steps.begun_for(self, X, y, sample_weight)
        with fitting.unchanged_where_refused(self):
            first = first_partial_fit(self, classes)
            if first and len(self.classes_) < 2:
                raise ValueError(f"`classes` is {list(classes)}; expected two labels or more.")
            matrix = self._matrix(X, reset=first)
            labelled = as_labelled(matrix, y, sample_weight, self.class_weight, self.classes_)
            state = fitting.state_of(self, matrix.shape[1], first)
            if not first and not labelled.total_weight and getattr(self, "_state", None) is not None:
                return self  # classes without weight: nothing to learn from
            state = dataclasses.replace(state, weight_seen=state.weight_seen + labelled.total_weight)
            seen = state.weight_seen
            if not seen:
                raise ValueError(
                    "`class_weight` is 0 for every label of the first rows, which teach nothing then; "
                    "expected a row of positive weight in the first call. Begin with other rows."
                )
            fitted = self._run(X, labelled, seen, state.w, steps, lambda solver: solver.continued(state))
        self._state, self._rows_fitted, self.class_shares_ = state, None, None
        self.n_iter_ = np.array([state.epochs], dtype=np.int32)
        self._finish(fitted)
        return self
