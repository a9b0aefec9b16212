"""Average marginal effects: how probabilities change with a column, on average over the rows."""

import numpy as np
from scipy.special import ndtr

from ..backends import moments
from .chi2 import quantile
from .tables import P_VALUE, Table


class MarginalEffects(Table):
    """Average marginal effects with delta-method errors.

    Attributes
    ----------
    margeff, margeff_se, tvalues, pvalues : ndarray (columns,), or (columns, n_classes)
        With two classes, the effects on the probability of `classes_[1]`.
    discrete : ndarray (columns,) of bool
        Whether the effect is the change from 0 to 1 rather than a derivative.
    """

    def __init__(self, names, outputs, effect, error, discrete, note):
        self.margeff, self.margeff_se, self.discrete = effect, error, discrete
        self.tvalues = effect / error
        self.pvalues = 2 * ndtr(-abs(self.tvalues))
        low, high = (edge.T.ravel() for edge in np.moveaxis(self.conf_int(), -1, 0))
        columns = {
            "dy/dx": effect.T.ravel(),
            "std err": error.T.ravel(),
            "z": self.tvalues.T.ravel(),
            P_VALUE: self.pvalues.T.ravel(),
            "[0.025": low,
            "0.975]": high,
        }
        labels = {"": list(names) * (len(columns["z"]) // len(names))}
        if effect.ndim > 1:
            labels = {"": [f"y={out} {name}" for out in outputs for name in names]}
        super().__init__("Average marginal effects", labels, columns, note)

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Intervals of the effects, (..., 2)."""
        reach = quantile(alpha) * self.margeff_se
        return np.stack([self.margeff - reach, self.margeff + reach], axis=-1)

    def summary_frame(self, backend: str | None = None):
        """`to_frame` under statsmodels' name."""
        return self.to_frame(backend)


def zero_one_columns(rows):
    """The columns that contain both zeros and ones, and no other numbers; one read."""
    with rows.backend.limit_threads():
        others, ones = rows.sum(moments.ZeroOne())
    return np.flatnonzero((others == 0) & (ones > 0) & (ones < rows.n_rows))


def average_effects(evidence, covariance, switched):
    """Return the effects (n, K) of every column on every probability, and their standard errors; one read.

    With probabilities Pₖ and w̄ = Σ_q P_q·w_q, the derivative of Pₖ with respect to column j is
    Pₖ·(w_kj − w̄_j). The mean of these and its derivatives with respect to the weights are sums of products
    of up to three probabilities times [x, 1]. The effect of a switched column is the mean of Pₖ at 1 minus
    that at 0.

    Parameters
    ----------
    evidence : Evidence
    covariance : ndarray (p, p)
        Of the free parameters, for the rows of the sums.
    switched : sequence of int
    """
    rows, layout = evidence.rows, evidence.layout
    with rows.backend.limit_threads():
        sums = rows.sum(moments.Effects(evidence.W, evidence.loss, tuple(int(j) for j in switched)))
    total = evidence.weight / evidence.scale
    products, changes, slopes = (part / total for part in sums)
    n, K = layout.n_features, changes.shape[1]
    W = evidence.W[:-1] if layout.n_outputs > 1 else np.hstack([0 * evidence.W[:-1], evidence.W[:-1]])
    A1, A2, A3 = _tensors(products, K)
    C1, C2 = A1[-1], A2[-1]
    effect = C1 * W - W @ C2  # mean of Pₖ·(w_kj − Σ_q P_q·w_qj)
    effect[list(switched)] = changes
    error = np.empty((n, K))
    places = [layout.of_output(a) // layout.n_outputs for a in layout.outputs]
    outputs = [a if layout.n_outputs > 1 else 1 for a in layout.outputs]
    at = {int(j): d for d, j in enumerate(switched)}
    for j in range(n):
        slope = slopes[at[j]] if j in at else _slope(j, W, A1, A2, A3)  # (n + 1, K of P, K of weights)
        J = np.concatenate([slope[p][:, :, a] for p, a in zip(places, outputs, strict=True)])
        error[j] = np.sqrt(np.einsum("pk,pq,qk->k", J, covariance, J))
    return effect, error


def _tensors(products, K):
    """Means of [x, 1]·Pₖ, [x, 1]·Pₖ·P_l and [x, 1]·Pₖ·P_l·P_q as full arrays."""
    tensors = [np.empty((len(products), *(K,) * r)) for r in (1, 2, 3)]
    for column, classes in zip(products.T, moments.products_of(K), strict=True):
        for order in _orders(classes):
            tensors[len(classes) - 1][(slice(None), *order)] = column
    return tensors


def _orders(classes):
    """All permutations of some classes."""
    from itertools import permutations

    return set(permutations(classes))


def _slope(j, W, A1, A2, A3):
    """The derivatives of the mean of Pₖ·(w_kj − w̄_j) by the weights of class l, (n + 1, K, K)."""
    w, K = W[j], W.shape[1]
    slope = 2 * (A3 @ w) - A2 * (w[:, None] + w)
    k = np.arange(K)
    slope[:, k, k] += A1 * w - A2 @ w
    slope[j] -= A2[-1]  # the weight itself
    slope[j, k, k] += A1[-1]
    return slope
