"""Pointwise formulas of the losses, in array code: the oracle for every kernel.

A loss is a function ℓ(z, y) of a row's margins z = x·W + b and its class code y. Arrays are (rows, outputs)
for z and (rows,) for y; each function returns (rows, outputs). NumPy's functions dispatch, so CuPy arrays
stay on their device.
"""

import numpy as np
from scipy.special import xlogy


class Logistic:
    """Binary logistic loss; class codes are 0 and 1, columns of z are independent models.

    With z̃ = z for y = 1 and z̃ = −z for y = 0, and t = exp(−|z|) ≤ 1, which never overflows::

        ℓ        = log(1 + exp(−z̃)) = max(−z̃, 0) + log1p(t)
        residual = ∂ℓ/∂z   = ∓σ(−z̃),   σ(−z̃) = t/(1 + t) if z̃ > 0 else 1/(1 + t)
        curvature = ∂²ℓ/∂z² = t/(1 + t)²

    The residual of y = 1 is −σ(−z) and not σ(z) − 1: that difference loses all digits as the fit gets good.
    """

    name = "logistic"
    n_outputs = 1
    at_zero = float(np.log(2))
    """ℓ(0, y)."""

    def value_residual(self, z, y):
        """ℓ and ∂ℓ/∂z, which share the exponential."""
        side, wrong, t = self._sides(z, y)
        return np.maximum(wrong, 0) + np.log1p(t), side * (np.maximum(t, wrong >= 0) / (1 + t))

    def line_terms(self, z, y, d):
        """∂ℓ/∂z·d and d·∂²ℓ/∂z²·d, the derivatives along a direction d of the margins, which share the exponential."""
        side, wrong, t = self._sides(z, y)
        p = 1 / (1 + t)
        return side * np.maximum(t, wrong >= 0) * p * d, t * p * p * d * d

    @staticmethod
    def _sides(z, y):
        """−1 for y = 1 and 1 for y = 0; −z̃; t. Products, since np.where takes ten times as long as one of them."""
        two = z.dtype.type(2)
        side = (y == 0)[:, None] * two - two / 2
        return side, side * z, np.exp(-np.abs(z))

    def curvature(self, z, y):
        """∂²ℓ/∂z², the same for both classes."""
        t = np.exp(-np.abs(z))
        return t / (1 + t) ** 2

    def conjugate(self, r, y):
        """ℓ*(r) = sup over z of r·z − ℓ(z, y), (rows, 1): less the entropy of the probabilities whose residuals are r."""
        p = np.abs(r)
        return xlogy(p, p) + xlogy(1 - p, 1 - p)

    def curvature_product(self, z, y, u):
        """∂²ℓ/∂z² applied to u (rows, outputs)."""
        return self.curvature(z, y) * u

    def curvature_blocks(self, z, y):
        """(a, b, ∂²ℓ/∂zₐ∂z_b (rows, 1)) for all a ≤ b."""
        yield 0, 0, self.curvature(z, y)

    def probabilities(self, z):
        """P(y = 0), P(y = 1) of one model's margins: (rows, 1) -> (rows, 2)."""
        t = np.exp(-np.abs(z))
        likely, unlikely = 1 / (1 + t), t / (1 + t)
        return np.concatenate([np.where(z > 0, unlikely, likely), np.where(z > 0, likely, unlikely)], axis=1)

    def log_probabilities(self, z):
        """Logarithms of `probabilities`, exact where those underflow."""
        log1p_t = np.log1p(np.exp(-np.abs(z)))
        return -np.concatenate([np.maximum(z, 0) + log1p_t, np.maximum(-z, 0) + log1p_t], axis=1)


class Multinomial:
    """Softmax loss; class codes are 0 to K − 1, the columns of z the margins of the classes.

    With e = exp(z − max z) ≤ 1, which never overflows, and p = e/Σₖeₖ::

        ℓ        = log Σₖ exp(zₖ) − z_y = (max z − z_y) + log1p(e_y − 1 + Σₖ≠y eₖ)
        residual = ∂ℓ/∂z   = p − 1{y},   for the row's own class −Σₖ≠y pₖ
        ∂²ℓ/∂z²  = diag(p) − p·pᵀ

    Both sums go over the other classes: log Σ and p_y − 1 would lose all digits as the fit gets good.

    Parameters
    ----------
    n_outputs : int
        Number of classes K.
    """

    name = "multinomial"

    def __init__(self, n_outputs):
        self.n_outputs = n_outputs
        self.at_zero = float(np.log(n_outputs))

    def value_residual(self, z, y):
        """ℓ (rows, 1) and ∂ℓ/∂z (rows, K), which share the exponentials."""
        own = np.cumsum(np.ones_like(z[:1]), axis=1) - 1 == y[:, None]
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        others = np.where(own, 0, e)
        rest = others.sum(axis=1, keepdims=True)
        e_own = np.where(own, e, 0).sum(axis=1, keepdims=True)
        value = np.log1p(e_own - 1 + rest) - np.where(own, z, 0).sum(axis=1, keepdims=True)
        return value, np.where(own, -rest, others) / (e_own + rest)

    def curvature(self, z, y):
        """The diagonal of ∂²ℓ/∂z², (rows, K): p·(1 − p), with 1 − p as a sum of the others'."""
        e = np.exp(z - z.max(axis=1, keepdims=True))
        top = e == 1
        lower = np.where(top, 0, e)
        total = e.sum(axis=1, keepdims=True)
        ties = top.sum(axis=1, keepdims=True).astype(e.dtype)
        rest = np.where(top, lower.sum(axis=1, keepdims=True) + (ties - 1), total - e)
        return (e / total) * (rest / total)

    def conjugate(self, r, y):
        """ℓ*(r) = sup over z of r·z − ℓ(z, y), (rows, 1): less the entropy of the probabilities whose residuals are r."""
        own = np.arange(self.n_outputs) == y[:, None]
        p = np.where(own, np.maximum(1 + r, 0), r)
        return xlogy(p, p).sum(axis=1, keepdims=True)

    def curvature_product(self, z, y, u):
        """∂²ℓ/∂z² applied to u (rows, K)."""
        top = z == z.max(axis=1, keepdims=True)
        ties = top.sum(axis=1, keepdims=True).astype(z.dtype)
        u = (
            u - np.where(top, u, 0).sum(axis=1, keepdims=True) / ties
        )  # changes nothing but the digits that are kept
        p = self.probabilities(z)
        return p * (u - (p * u).sum(axis=1, keepdims=True))

    def line_terms(self, z, y, d):
        """∂ℓ/∂z·d and d·∂²ℓ/∂z²·d, (rows, K)."""
        return self.value_residual(z, y)[1] * d, self.curvature_product(z, y, d) * d

    def curvature_blocks(self, z, y):
        """(a, b, ∂²ℓ/∂zₐ∂z_b (rows, 1)) for all a ≤ b."""
        p, own = self.probabilities(z), self.curvature(z, y)
        columns = [p[:, a : a + 1] for a in range(self.n_outputs)]
        for a in range(self.n_outputs):
            yield a, a, own[:, a : a + 1]
            for b in range(a + 1, self.n_outputs):
                yield a, b, -columns[a] * columns[b]

    def probabilities(self, z):
        """P(y = k), (rows, K)."""
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def log_probabilities(self, z):
        """Logarithms of `probabilities`, exact where those underflow."""
        z = z - z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def loss_of(n_classes):
    """The loss for labels of so many classes."""
    return Logistic() if n_classes == 2 else Multinomial(n_classes)
