"""Random matrices on the device, labels and weights for them, and the answers in float64."""

import math
import sys

import cupy
import ml_dtypes  # noqa: F401  np.dtype("bfloat16") from here on
import numpy as np

from logreg_accel.losses import Logistic

_CHUNK = 1 << 27  # numbers drawn at once


def fill(flat, seed):
    """Random numbers, chunk by chunk: normal, or 0 to 5 where the type is an integer."""
    cupy.random.seed(seed)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        draw = cupy.random.standard_normal(part.size, dtype=np.float32)
        if flat.dtype.kind in "iu":
            draw = abs(2 * draw).astype(np.int32) % 6
        part[...] = draw.astype(flat.dtype)


class Pool:
    """Random numbers of one dtype after another, `nbytes` in all; matrices of any width are views of them."""

    def __init__(self, nbytes):
        self.nbytes, self.dtype, self.flat = nbytes, None, None

    def matrix(self, dtype, n):
        if dtype != self.dtype:
            self.flat = None
            free_memory()
            self.flat, self.dtype = (
                cupy.empty(self.nbytes // np.dtype(dtype).itemsize, dtype=np.dtype(dtype)),
                dtype,
            )
            fill(self.flat, seed=7)
        m = self.flat.size // n
        return self.flat[: m * n].reshape(m, n)


def draw_weights(dtype, n, scale, seed, outputs=1):
    """W (n + 1, outputs), float64, of numbers that the storage dtype holds: nobody loses by rounding them."""
    w = np.random.default_rng([seed, n]).standard_normal((n, outputs)) * scale / math.sqrt(n)
    w = w.astype(dtype if dtype.itemsize == 2 else np.float32).astype(np.float64)
    return np.vstack([w, np.full((1, outputs), 0.25)])


def row_chunks(X, numbers=1 << 25):
    step = max(1, numbers // X.shape[1])
    return [slice(start, min(start + step, X.shape[0])) for start in range(0, X.shape[0], step)]


def draw_labels(X, seed=3):
    """Class codes from a planted model, uint8."""
    w = cupy.asarray(draw_weights(np.dtype(np.float32), X.shape[1], 1.5, seed)[:-1].astype(np.float32))
    y = cupy.empty(X.shape[0], dtype=np.uint8)
    uniform = np.random.default_rng(seed).random(1 << 16, dtype=np.float32)
    for rows in row_chunks(X):
        z = (X[rows].astype(np.float32) @ w)[:, 0]
        z = z - z.mean()  # both classes, whatever the columns' means
        y[rows] = (cupy.asarray(np.resize(uniform, z.size)) < 1 / (1 + np.exp(-z))).astype(np.uint8)
    return y


def hard_matrix(m, n):
    """X (m, n) float32 of correlated columns (a shared factor) on scales over 1.5 decades, and labels."""
    X = cupy.empty((m, n), dtype=np.float32)
    fill(X.reshape(-1), seed=11)
    scales = cupy.asarray(np.logspace(0, -1.5, n, dtype=np.float32))
    for rows in row_chunks(X):
        X[rows] += X[rows, :1] * np.float32(0.7)  # the first column's own draw is the factor
        X[rows] *= scales
    return X, draw_labels(X)


def reference(X, y, W, V):
    """Σℓ (k,), its gradient (n + 1, k) and its Hessian's product with V, in float64 by chunks of rows."""
    loss, value, G, H = Logistic(), np.zeros(W.shape[1]), np.zeros(W.shape), np.zeros(W.shape)
    w, v = cupy.asarray(W), cupy.asarray(V)
    for rows in row_chunks(X):
        x = X[rows].astype(np.float64)
        z = x @ w[:-1] + w[-1]
        losses, residual = loss.value_residual(z, y[rows])
        value += cupy.asnumpy(losses.sum(axis=0))
        for sums, r in ((G, residual), (H, loss.curvature(z, y[rows]) * (x @ v[:-1] + v[-1]))):
            sums[:-1] += cupy.asnumpy(x.T @ r)
            sums[-1] += cupy.asnumpy(r.sum(axis=0))
    return {"value": value, "gradient": G, "hessian_vector": H}


def relative_error(got, expected):
    """‖got − expected‖ / ‖expected‖; inf for what is not finite."""
    error = np.linalg.norm(
        np.asarray(got, dtype=np.float64).reshape(expected.shape) - expected
    ) / np.linalg.norm(expected)
    return float(error) if np.isfinite(error) else math.inf


def free_memory():
    """Give back what the libraries hold unused."""
    cupy.get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()
