"""The layouts of a point: a flat vector for solvers, columns for passes; centred, or in the user's
coordinates."""

from typing import Any, NamedTuple

import numpy as np


class Coordinates(NamedTuple):
    """Converts points between the layouts.

    A flat point is [w, b], or [w] without an intercept; with K outputs it is the (n_features + 1, K) matrix
    of the passes in row-major order. If c is subtracted from the rows, b is the intercept for the centred
    rows; that for the original rows is b − cᵀw.
    """

    n_features: int
    n_outputs: int
    fit_intercept: bool
    dtype: np.dtype
    """The dtype that weights are rounded to."""
    centre: Any = None

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
        """w as float64, rounded as the coefficients will be; intercepts of centred rows keep their digits."""
        w = np.asarray(w, dtype=np.float64)
        if self.dtype == np.float64:
            return w.copy()
        most = float(np.finfo(self.dtype).max)  # a line search shortens a long step, but not an infinite one
        rounded = np.minimum(np.maximum(w, -most), most).astype(self.dtype).astype(np.float64)
        if self.centre is not None and self.fit_intercept:
            rounded[-self.n_outputs :] = w[-self.n_outputs :]
        return rounded

    def flat(self, W):
        """Undo `columns`."""
        return W[: self.size // self.n_outputs].ravel()

    def of_columns(self, scale):
        """Lay out a number per column, the same for every class, as a flat point; 1 for intercepts."""
        W = np.ones((self.size // self.n_outputs, self.n_outputs))
        W[: self.n_features] = np.reshape(scale, (-1, 1))
        return W.ravel()

    def numbers_of(self, features):
        """The positions in a flat point of the weights of some features, and of the intercepts."""
        numbers, n = np.arange(self.size), self.n_features * self.n_outputs
        return np.append(numbers[:n].reshape(-1, self.n_outputs)[features].ravel(), numbers[n:])

    def penalised(self, w):
        """Return w with the intercept, which is not penalised, set to zero."""
        w = np.array(w, dtype=np.float64)
        if self.fit_intercept:
            w[-self.n_outputs :] = 0
        return w

    def original(self, w):
        """The same model for the original rows, from which nothing is subtracted."""
        return self._shifted(w, -1)

    def centred(self, w):
        """Undo `original`."""
        return self._shifted(w, 1)

    def blur(self, w, gradient, value):
        """Bound the rise of F when the intercepts of `original(w)` are rounded.

        No curvature is above 1/4, and no loss rises by more than a factor exp(2t) if margins change by t.

        An intercept is a sum over the columns whose terms may be far larger than it. The intercepts of
        several classes are rounded once more, when their mean is subtracted.
        """
        if self.centre is None or not self.fit_intercept:
            return 0.0
        W = abs(np.reshape(w, (-1, self.n_outputs)))
        rounding = abs(self.original(w)[-self.n_outputs :]).max() * np.finfo(np.float64).eps
        rounding += (W[-1] + abs(self.centre) @ W[:-1]) * float(np.finfo(np.longdouble).eps)
        rise = float(abs(gradient[-self.n_outputs :]) @ rounding + rounding @ rounding / 8)
        return min(rise, value * float(np.expm1(min(2 * rounding.max(), 1e2))))

    def _shifted(self, w, sign):
        if self.centre is None or not self.fit_intercept:
            return w
        W = np.array(w, dtype=np.float64).reshape(-1, self.n_outputs)
        # Products may cancel: in float64, only rounding errors of the largest would be left in an intercept.
        W[-1] = W[-1] + sign * (self.centre.astype(np.longdouble) @ W[:-1])
        return W.ravel()
