"""Pointwise formulas of the losses in array code, the reference that every kernel is tested against.

A loss is a function ℓ(z, y) of a row's margins z = x·W + b and its class code y. Arrays are (rows, outputs)
for z and (rows,) for y; each function returns (rows, outputs). NumPy's functions dispatch on the type of
their arguments, so CuPy arrays stay on their device.
"""

import functools

import numpy as np
from scipy.special import xlogy

_FEW_CLASSES = 7  # NumPy adds up to so many numbers of a row in order, with the bits of adding columns
_SOME_CLASSES = 32  # NumPy is fast enough for longer rows, which need its pairwise sums


class SingleOutput:
    """Base class of losses of one margin per row, where the columns of z are independent models.

    Derives everything else from ℓ, ∂ℓ/∂z and ∂²ℓ/∂z². A subclass defines `at_zero` (ℓ(0, y)),
    `value_residual`, `curvature` and, for the bound under an L1 penalty, `conjugate`.
    """

    n_outputs = 1

    def lead(self, z, y):
        """Return how much the margins of a row favour its own class."""
        return np.where((y > 0)[:, None], z, -z)

    def spread(self, d):
        """Return how far margins moved if they changed by d."""
        return np.abs(d)

    def line_terms(self, z, y, d):
        """Return ∂ℓ/∂z·d and d·∂²ℓ/∂z²·d, the derivatives along a direction d of the margins."""
        return self.value_residual(z, y)[1] * d, self.curvature(z, y) * d * d

    def curvature_product(self, z, y, u):
        """Return ∂²ℓ/∂z² applied to u (rows, outputs)."""
        return self.curvature(z, y) * u

    def curvature_blocks(self, z, y):
        """Yield (a, b, ∂²ℓ/∂zₐ∂z_b (rows, 1)) for all a ≤ b."""
        yield 0, 0, self.curvature(z, y)


class Logistic(SingleOutput):
    """Binary logistic loss; class codes are 0 and 1.

    With z̃ = z for y = 1 and z̃ = −z for y = 0, and t = exp(−|z|) ≤ 1, which never overflows::

        ℓ        = log(1 + exp(−z̃)) = max(−z̃, 0) + log1p(t)
        residual = ∂ℓ/∂z   = ∓σ(−z̃),   σ(−z̃) = t/(1 + t) if z̃ > 0 else 1/(1 + t)
        curvature = ∂²ℓ/∂z² = t/(1 + t)²

    The residual of y = 1 is computed as −σ(−z), not as σ(z) − 1: that difference loses all its digits as the
    fit gets good.
    """

    at_zero = float(np.log(2))
    """ℓ(0, y)."""

    def value_residual(self, z, y):
        """Return ℓ and ∂ℓ/∂z, which share the exponential."""
        side = self._side(z, y)
        wrong, t = side * z, np.exp(-np.abs(z))
        return np.maximum(wrong, 0) + np.log1p(t), side * (np.maximum(t, wrong >= 0) / (1 + t))

    def line_terms(self, z, y, d):
        """Return ∂ℓ/∂z·d and d·∂²ℓ/∂z²·d in few operations, by σ = σ(−z̃): σ·c and σ·c·(c − σ·c), c = ±d."""
        side = self._side(z, y)
        change, odds = side * d, side * z
        np.negative(odds, out=odds)
        with np.errstate(over="ignore"):  # 1/inf is 0, as it should be
            np.exp(odds, out=odds)
        odds += 1
        first = change / odds
        change -= first
        change *= first
        return first, change

    @staticmethod
    def _side(z, y):
        """Return a sign, −1 for y = 1 and 1 for y = 0: multiplying by it is much faster than np.where."""
        two = z.dtype.type(2)
        return (y == 0)[:, None] * two - two / 2

    def curvature(self, z, y):
        """Return ∂²ℓ/∂z², which is the same for both classes."""
        t = np.exp(-np.abs(z))
        return t / (1 + t) ** 2

    def conjugate(self, r, y):
        """Return the convex conjugate ℓ*(r) = sup over z of r·z − ℓ(z, y), (rows, 1).

        It is minus the entropy of the probabilities whose residuals are r.
        """
        p = np.abs(r)
        return xlogy(p, p) + xlogy(1 - p, 1 - p)

    def probabilities(self, z):
        """Return P(y = 0) and P(y = 1), (rows, 2), from the margins of one model, (rows, 1)."""
        t = np.exp(-np.abs(z))
        likely, unlikely = 1 / (1 + t), t / (1 + t)
        return np.concatenate([np.where(z > 0, unlikely, likely), np.where(z > 0, likely, unlikely)], axis=1)

    def log_probabilities(self, z):
        """Return the logarithms of `probabilities`, accurate even where those underflow."""
        log1p_t = np.log1p(np.exp(-np.abs(z)))
        return -np.concatenate([np.maximum(z, 0) + log1p_t, np.maximum(-z, 0) + log1p_t], axis=1)


class Multinomial:
    """Softmax loss; class codes are 0 to K − 1, and the columns of z are the margins of the classes.

    With e = exp(z − max z) ≤ 1, which never overflows, and p = e/Σₖeₖ::

        ℓ        = log Σₖ exp(zₖ) − z_y = (max z − z_y) + log1p(e_y − 1 + Σₖ≠y eₖ)
        residual = ∂ℓ/∂z   = p − 1{y},   which for the row's own class is −Σₖ≠y pₖ
        ∂²ℓ/∂z²  = diag(p) − p·pᵀ

    Both sums run over the other classes: log Σ and p_y − 1 would lose all their digits as the fit gets good.

    Parameters
    ----------
    n_outputs : int
        Number of classes K.
    """

    def __init__(self, n_outputs):
        self.n_outputs = n_outputs
        self.at_zero = float(np.log(n_outputs))

    def value_residual(self, z, y):
        """Return ℓ (rows, 1) and ∂ℓ/∂z (rows, K), which share the exponentials."""
        own = _own(z, y)
        z = z - _over_classes(np.maximum, z)
        e = np.exp(z)
        others = np.where(own, 0, e)
        rest = _over_classes(np.add, others)
        e -= others
        e_own = _over_classes(np.add, e)
        value = np.log1p(e_own - 1 + rest) - _over_classes(np.add, np.where(own, z, 0))
        return value, np.where(own, -rest, others) / (e_own + rest)

    def curvature(self, z, y):
        """Return the diagonal of ∂²ℓ/∂z², (rows, K): p·(1 − p), with 1 − p summed over the other classes."""
        e, total = self._exponentials(z)
        return self._curvature(e, total)

    @staticmethod
    def _exponentials(z):
        """Return exp(z − max z) and its sum over the classes."""
        e = z - _over_classes(np.maximum, z)
        np.exp(e, out=e)
        return e, _over_classes(np.add, e)

    @staticmethod
    def _curvature(e, total):
        top = e == 1
        ties = _over_classes(np.add, top.astype(e.dtype))
        others = _over_classes(np.add, np.where(top, 0, e)) + (ties - 1)
        return (e / total) * (np.where(top, others, total - e) / total)

    def lead(self, z, y):
        """Return by how much a row's own margin is above every other, inf above itself."""
        own = _own(z, y)
        return np.where(own, np.inf, np.where(own, z, 0).sum(axis=1, keepdims=True) - z)

    def spread(self, d):
        """Return how far apart the margins of a row moved if they changed by d: common shifts are 0."""
        return d.max(axis=1) - d.min(axis=1)

    def conjugate(self, r, y):
        """Return the convex conjugate ℓ*(r) = sup over z of r·z − ℓ(z, y), (rows, 1).

        It is minus the entropy of the probabilities whose residuals are r.
        """
        own = np.arange(self.n_outputs) == y[:, None]
        p = np.where(own, np.maximum(1 + r, 0), r)
        return xlogy(p, p).sum(axis=1, keepdims=True)

    def curvature_product(self, z, y, u):
        """Return ∂²ℓ/∂z² applied to u (rows, K)."""
        e, total = self._exponentials(z)
        top = e == 1
        ties = _over_classes(np.add, top.astype(e.dtype))
        # The product is invariant to shifts of u; this one avoids cancellation where one class is nearly
        # certain.
        u = u - _over_classes(np.add, np.where(top, u, 0)) / ties
        e /= total
        u -= _over_classes(np.add, e * u)
        u *= e
        return u

    def line_terms(self, z, y, d):
        """Return ∂ℓ/∂z·d and d·∂²ℓ/∂z²·d, (rows, K)."""
        return self.value_residual(z, y)[1] * d, self.curvature_product(z, y, d) * d

    def curvature_blocks(self, z, y):
        """Yield (a, b, ∂²ℓ/∂zₐ∂z_b (rows, 1)) for all a ≤ b."""
        e, total = self._exponentials(z)
        p, own = e / total, self._curvature(e, total)
        columns = [p[:, a : a + 1] for a in range(self.n_outputs)]
        for a in range(self.n_outputs):
            yield a, a, own[:, a : a + 1]
            for b in range(a + 1, self.n_outputs):
                yield a, b, -columns[a] * columns[b]

    def probabilities(self, z):
        """Return P(y = k), (rows, K)."""
        e, total = self._exponentials(z)
        return e / total

    def log_probabilities(self, z):
        """Return the logarithms of `probabilities`, accurate even where those underflow."""
        z = z - z.max(axis=1, keepdims=True)
        # The sum is over the other classes: added to the 1 of the largest margin they would be rounded away.
        others = np.where(_own(z, z.argmax(axis=1)), 0, np.exp(z))
        return z - np.log1p(others.sum(axis=1, keepdims=True))


def _own(z, y):
    """Whether a column is that of the row's own class, (rows, K), on the device of z."""
    if type(z) is np.ndarray:
        classes = np.arange(z.shape[1], dtype=y.dtype)
        # In the memory order of z: NumPy combines arrays of different orders much more slowly.
        return (classes[:, None] == y).T if z.flags.f_contiguous else classes == y[:, None]
    return np.cumsum(np.ones_like(z[:1]), axis=1) - 1 == y[:, None]


def _over_classes(ufunc, terms):
    """Reduce (rows, K) to (rows, 1).

    NumPy reduces one row after the other, which takes longer than a few operations on whole columns.
    """
    if type(terms) is not np.ndarray or terms.shape[1] > _SOME_CLASSES:
        return (terms.max if ufunc is np.maximum else terms.sum)(axis=1, keepdims=True)
    if terms.strides[0] < terms.strides[1]:
        return ufunc.reduce(terms, axis=1, keepdims=True)
    if ufunc is np.add and terms.shape[1] > _FEW_CLASSES:
        return np.einsum("ij->i", terms)[:, None]
    return functools.reduce(ufunc, terms.T)[:, None]


def loss_of(n_classes):
    """Return the loss for labels of `n_classes` classes."""
    return Logistic() if n_classes == 2 else Multinomial(n_classes)
