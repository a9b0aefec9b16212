"""Pointwise formulas of the losses, in array code: the oracle for every kernel.

A loss is a function ℓ(z, y) of a row's margins z = x·W + b and its class code y. Arrays are (rows, outputs) for z and
(rows,) for y; each function returns (rows, outputs). NumPy's functions dispatch, so CuPy arrays stay on their device.
"""

import numpy as np


class Logistic:
    """Binary logistic loss; class codes are 0 and 1, columns of z are independent models.

    With z̃ = z for y = 1 and z̃ = −z for y = 0, and t = exp(−|z|) ≤ 1, which never overflows::

        ℓ        = log(1 + exp(−z̃)) = max(−z̃, 0) + log1p(t)
        residual = ∂ℓ/∂z   = ∓σ(−z̃),   σ(−z̃) = t/(1 + t) if z̃ > 0 else 1/(1 + t)
        curvature = ∂²ℓ/∂z² = t/(1 + t)²

    The residual of y = 1 is −σ(−z) and not σ(z) − 1: that difference loses all digits as the fit gets good.
    """

    name = "logistic"
    at_zero = float(np.log(2))
    """ℓ(0, y)."""

    def value_residual(self, z, y):
        """ℓ and ∂ℓ/∂z, which share the exponential."""
        positive = (y != 0)[:, None]
        signed = np.where(positive, z, -z)
        t = np.exp(-np.abs(z))
        miss = np.where(signed > 0, t, 1) / (1 + t)
        return np.maximum(-signed, 0) + np.log1p(t), np.where(positive, -miss, miss)

    def curvature(self, z, y):
        """∂²ℓ/∂z², the same for both classes."""
        t = np.exp(-np.abs(z))
        return t / (1 + t) ** 2

    def probabilities(self, z):
        """P(y = 0), P(y = 1) of one model's margins: (rows, 1) -> (rows, 2)."""
        t = np.exp(-np.abs(z))
        likely, unlikely = 1 / (1 + t), t / (1 + t)
        return np.concatenate([np.where(z > 0, unlikely, likely), np.where(z > 0, likely, unlikely)], axis=1)

    def log_probabilities(self, z):
        """Logarithms of `probabilities`, exact where those underflow."""
        log1p_t = np.log1p(np.exp(-np.abs(z)))
        return -np.concatenate([np.maximum(z, 0) + log1p_t, np.maximum(-z, 0) + log1p_t], axis=1)
