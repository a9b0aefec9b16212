"""The two losses in long double, by formulas of their own.

Margins are (rows, outputs) long doubles; `root` is a factor of ∂²ℓ/∂z², (rows, outputs, columns).
"""

import numpy as np

from . import exact


class Binary:
    """log(1 + exp(−z̃)); codes are 0 and 1."""

    outputs = 1

    def __init__(self, codes):
        self.side = np.where(codes == 1, 1, -1)[:, None].astype(np.longdouble)

    def against_own(self, margins):
        """Margins as pairs: with one output they are differences already."""
        return margins

    def value(self, Z):
        return np.logaddexp(np.longdouble(0), -self.side * Z)

    def residual(self, Z):
        return -self.side * self._own(-Z)

    def curvature(self, Z):
        return self._own(Z) * self._own(-Z)

    def root(self, Z):
        return np.sqrt(self.curvature(Z))[:, :, None]

    def shares(self, Z):
        """The probability of a row's own class, and of the others."""
        return self._own(Z), self._own(-Z)

    def _own(self, Z):
        """σ(z̃)."""
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-self.side * Z))


class Softmax:
    """log Σ exp(z) − z_y over the classes that a row still has (`kept`)."""

    def __init__(self, codes, outputs, kept=None):
        self.outputs = outputs
        self.own = np.arange(outputs) == codes[:, None]
        self.kept = np.ones(self.own.shape, bool) if kept is None else kept

    def against_own(self, margins):
        """Margins less that of the own class, as pairs: far out, all are huge, and only differences count."""
        own = (np.where(self.own, part, 0).sum(axis=1, keepdims=True) for part in margins)
        return exact.added(margins, tuple(-part for part in own))

    def value(self, Z):
        above, own, rest = self._shares(Z)
        return above + np.log1p(own - 1 + rest.sum(axis=1, keepdims=True))

    def residual(self, Z):
        _, own, rest = self._shares(Z)
        missing = rest.sum(axis=1, keepdims=True)
        return np.where(self.own, -missing, rest) / (own + missing)

    def curvature(self, Z):
        p, q = self._probabilities(Z)
        return p * q

    def root(self, Z):
        """diag(√p) − p·√pᵀ: its product with its transpose is diag(p) − p·pᵀ."""
        p, q = self._probabilities(Z)
        root = np.sqrt(p)
        factor = -p[:, :, None] * root[:, None, :]
        diagonal = np.arange(self.outputs)
        factor[:, diagonal, diagonal] = root * q
        return factor

    def shares(self, Z):
        """The probability of a row's own class, and of the others."""
        _, own, rest = self._shares(Z)
        missing = rest.sum(axis=1, keepdims=True)
        return own / (own + missing), missing / (own + missing)

    def _exponentials(self, Z):
        """exp(z − max z), 0 for classes that a row no longer has; and max z."""
        top = np.where(self.kept, Z, -np.inf).max(axis=1, keepdims=True)
        return np.where(self.kept, np.exp(np.where(self.kept, Z, top) - top), 0), top

    def _shares(self, Z):
        """max z − z_y, exp(z_y − max z), and exp(z − max z) of the other classes."""
        e, top = self._exponentials(Z)
        above = top - np.where(self.own, Z, 0).sum(axis=1, keepdims=True)
        return above, np.where(self.own, e, 0).sum(axis=1, keepdims=True), np.where(self.own, 0, e)

    def _probabilities(self, Z):
        """p and 1 − p, the latter without cancellation."""
        e, _ = self._exponentials(Z)
        total = e.sum(axis=1, keepdims=True)
        others = np.stack([np.delete(e, k, axis=1).sum(axis=1) for k in range(self.outputs)], axis=1)
        return e / total, others / total


def shrunk_gap(loss, Z, shrink):
    """ℓ(z) + ℓ*(r) − r·z, (rows, 1), for r = shrink·residual: a divergence of two pairs of probabilities."""
    own, others = loss.shares(Z)
    return shrink * others * np.log(shrink) + (1 - shrink * others) * np.log1p((1 - shrink) * others / own)


def of(codes, k):
    """The loss of labels of k classes."""
    return Binary(codes) if k == 2 else Softmax(codes, k)
