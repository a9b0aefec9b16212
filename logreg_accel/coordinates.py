"""The two layouts of a point: a flat vector for solvers, columns for passes."""

from typing import NamedTuple

import numpy as np


class Coordinates(NamedTuple):
    """Converts points between the two layouts.

    A flat point is [w, b], or [w] without an intercept; with K outputs it is the (n_features + 1, K) matrix
    of the passes in row-major order.
    """

    n_features: int
    n_outputs: int
    fit_intercept: bool
    dtype: np.dtype
    """The dtype of the arithmetic of the passes."""

    @property
    def size(self):
        """The length of a flat point."""
        return (self.n_features + self.fit_intercept) * self.n_outputs

    def columns(self, w):
        """Lay w out for the passes: (n_features + 1, K), the intercept last, 0 if there is none."""
        w, k = np.asarray(w, dtype=np.float64), self.n_outputs
        if w.shape != (self.size,):
            parts = "n_features weights and the intercept" if self.fit_intercept else "n_features weights"
            classes = ", for each class" if k > 1 else ""
            raise ValueError(f"`w` has shape {w.shape}; expected ({self.size},): {parts}{classes}.")
        W = np.zeros((self.n_features + 1, k))
        W[: self.size // k] = w.reshape(-1, k)
        return W

    def rounded(self, w):
        """w as float64, rounded to the arithmetic of the passes."""
        return np.asarray(w, dtype=np.float64).astype(self.dtype).astype(np.float64)

    def flat(self, W):
        """Undo `columns`."""
        return W[: self.size // self.n_outputs].ravel()

    def penalised(self, w):
        """Return w with the intercept, which is not penalised, set to zero."""
        w = np.array(w, dtype=np.float64)
        if self.fit_intercept:
            w[-self.n_outputs :] = 0
        return w
