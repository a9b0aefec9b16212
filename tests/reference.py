"""The passes by other formulas than the package's, and checks of a backend against them."""

import numpy as np
import scipy.sparse
import scipy.special

from logreg_accel.backends import passes
from logreg_accel.data import Block, Matrix, as_matrix, compute_dtype
from logreg_accel.losses import Logistic


def block_of(X, y, s=None):
    if not isinstance(X, Matrix):
        X = as_matrix(X) if scipy.sparse.issparse(X) else Matrix(X)
    real = compute_dtype(X.dtype)
    return Block(X, y, s if s is None or s.dtype == real else s.astype(real))


def tolerance(dtype, length, factor=8):
    """Rounding of a sum of some length, relative to the sum of the magnitudes."""
    return factor * np.finfo(dtype).eps * np.sqrt(max(length, 1))


class Reference:
    """The passes in float64, with the magnitudes that their rounding scales with.

    W is rounded to the arithmetic first, as a backend does. An error δ in a margin moves a sum by curvature·δ
    a row, so the magnitudes count |x|·|w| too.
    """

    def __init__(self, X, y, s, W):
        self.dtype = compute_dtype(X.dtype)
        self.W = W.astype(self.dtype).astype(np.float64)
        self.X = np.hstack([X.astype(np.float64), np.ones((len(X), 1))])
        self.y = y.astype(np.float64)[:, None]
        self.s = np.ones(self.y.shape) if s is None else s.astype(self.dtype).astype(np.float64)[:, None]
        self.Z = self.X @ self.W
        self.reach = np.abs(self.X) @ np.abs(self.W)
        sigma = scipy.special.expit(self.Z)
        self.miss = np.where(self.y == 1, -scipy.special.expit(-self.Z), sigma)
        self.curvature = self.s * sigma * scipy.special.expit(-self.Z)

    @property
    def length(self):
        return self.X.shape[0] + self.X.shape[1]

    def close(self, actual, expected, magnitude, factor=8):
        limit = tolerance(self.dtype, self.length, factor) * magnitude + 1e-300
        return actual.shape == expected.shape and bool((np.abs(actual - expected) <= limit).all())

    def value(self):
        losses = self.s * np.logaddexp(0, np.where(self.y == 1, -self.Z, self.Z))
        return losses.sum(axis=0), (losses + self.s * np.abs(self.miss) * self.reach).sum(axis=0)

    def gradient(self):
        rows = self.s * self.miss
        return self.X.T @ rows, np.abs(self.X).T @ (np.abs(rows) + self.curvature * self.reach)

    def hessian_vector(self, V):
        V = V.astype(self.dtype).astype(np.float64)
        rows = self.curvature * (self.X @ V)
        return self.X.T @ rows, np.abs(self.X).T @ (
            self.curvature * (np.abs(self.X) @ np.abs(V)) * (1 + self.reach)
        )

    def diagonal(self):
        return (self.X**2).T @ self.curvature[:, 0], ((self.X**2).T @ (self.curvature * (1 + self.reach)))[
            :, 0
        ]

    def hessian(self):
        H = self.X.T @ (self.curvature * self.X)
        return H, np.abs(self.X).T @ (self.curvature * (1 + self.reach) * np.abs(self.X))


def check_all_passes(backend, X, y, s, W, loss=None, hessian=True, stored=None):
    """Each pass within the rounding of its sum.

    The Hessian, which is n x n, can be left out for wide rows. `stored` is X as it is read.
    """
    loss = loss or Logistic()
    reference, block = check_loss_gradient(backend, X, y, s, W, loss, stored)
    V = np.random.default_rng(5).standard_normal(W.shape)
    assert backend.run(passes.LossGradient(W, loss), block).margins is None
    assert reference.close(
        backend.to_host(backend.run(passes.Margins(W), block)), reference.Z, reference.reach
    )
    assert reference.close(backend.run(passes.HessianVector(W, V, loss), block), *reference.hessian_vector(V))
    diagonal = backend.run(passes.Diagonal(W, loss), block)
    assert reference.close(diagonal[:, 0], *reference.diagonal())
    if hessian:
        assert reference.close(
            backend.to_host(backend.run(passes.Hessian(W, loss), block)), *reference.hessian()
        )


def check_loss_gradient(backend, X, y, s, W, loss=None, stored=None):
    reference = Reference(X, y, s, W)
    block = backend.upload(block_of(X if stored is None else stored, y, s))
    got = backend.run(passes.LossGradient(W, loss or Logistic(), keep_margins=True), block)
    assert got.gradient.dtype == got.value.dtype == np.float64
    assert reference.close(got.value, *reference.value())
    assert reference.close(got.gradient, *reference.gradient())
    assert reference.close(backend.to_host(got.margins), reference.Z, reference.reach)
    return reference, block
