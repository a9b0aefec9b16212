"""Coordinate descent as an objective sees it: the model of a step, and its minimum over columns of X."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import clock
from .backends import columns
from .backends.passes import CurvatureMass

_DTYPES = np.float32, np.float64
_SETTLED = 4  # sweeps in a row that change no sign: what is left is a linear system


@dataclass(frozen=True, eq=False)
class ColumnModel:
    """F near a point: its gradient, and XᵀDX + ridge for its Hessian, of which the diagonal is known alone.

    Attributes
    ----------
    diagonal : ndarray (size,)
    """

    A: Any
    D: np.ndarray
    diagonal: np.ndarray
    l1: np.ndarray
    ridge: np.ndarray
    intercept: bool
    sweep: Any

    def minimum(self, here, enough, sweeps):
        """About the u that minimises the model plus Σ l1·|u|, or one whose signs have settled.

        Parameters
        ----------
        here : Point
        enough : float
            Largest change of a slope in a sweep with which it may end.
        sweeps : int
            The most of them.
        """
        u, q, same = here.w.copy(), np.zeros(len(self.D)), 0
        away = (u != 0) | (self.l1 == 0) | (abs(here.gradient) > self.l1)
        which = np.flatnonzero(away[: len(u) - self.intercept])
        known = self.D, self.diagonal, self.l1, self.ridge, here.gradient, here.w
        for _ in range(sweeps):
            clock.check()
            before = np.sign(u)
            off = self.sweep(self.A, which, self.intercept, *known, u, q)
            same = same + 1 if (np.sign(u) == before).all() else 0
            if off <= enough or same == _SETTLED:
                break
        return u


def model(objective, question):
    """The answer to a Curvature by columns: a ColumnModel, or None where columns cannot be walked."""
    rows, margins = objective.rows, question.margins
    X = rows.columns_in_memory()
    plain = objective.loss.n_outputs == 1 and objective.models is None and margins is not None
    if X is None or not plain or X.centre is not None or X.dtype not in _DTYPES:
        return None
    mass = rows.to_host(rows.sweep(CurvatureMass(margins, objective.loss))).astype(np.float64)
    D, penalised = mass / objective.weight_sum, objective.at.penalised(np.ones(objective.size))
    squares = X.squared().transposed_product(D[:, None])[:, 0]
    diagonal = np.append(squares, D.sum())[: objective.size] + objective._ridge
    l1 = objective.penalty.l1 * penalised
    ridge = np.broadcast_to(objective._ridge, diagonal.shape)
    sweep = rows.backend.column_sweep or columns.sweep
    return ColumnModel(X.walked(), D, diagonal, l1, ridge, objective.fit_intercept, sweep)
