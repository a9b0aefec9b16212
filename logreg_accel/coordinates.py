"""Where the numbers of a point stand: a flat vector for solvers, columns for passes."""

from typing import NamedTuple

import numpy as np


class Coordinates(NamedTuple):
    """Points are [w, b], or [w] without an intercept; of K outputs the rows of (n_features + 1, K), one after the other."""

    n_features: int
    n_outputs: int
    fit_intercept: bool
    dtype: np.dtype
    """Of the arithmetic of the passes."""

    @property
    def size(self):
        """Length of a point."""
        return (self.n_features + self.fit_intercept) * self.n_outputs

    def columns(self, w):
        """w as the passes take it: (n_features + 1, K), the intercept last, 0 without one."""
        w, k = np.asarray(w, dtype=np.float64), self.n_outputs
        if w.shape != (self.size,):
            parts = "n_features weights and the intercept" if self.fit_intercept else "n_features weights"
            classes = ", for each class" if k > 1 else ""
            raise ValueError(f"`w` has shape {w.shape}; expected ({self.size},): {parts}{classes}.")
        W = np.zeros((self.n_features + 1, k))
        W[: self.size // k] = w.reshape(-1, k)
        return W

    def rounded(self, w):
        """`columns`, rounded to the arithmetic of the passes."""
        return self.columns(w).astype(self.dtype).astype(np.float64)

    def flat(self, W):
        """`columns` undone."""
        return W[: self.size // self.n_outputs].ravel()

    def penalised(self, w):
        """w with the intercept, which bears no penalty, set to zero."""
        w = np.array(w, dtype=np.float64)
        if self.fit_intercept:
            w[-self.n_outputs :] = 0
        return w
