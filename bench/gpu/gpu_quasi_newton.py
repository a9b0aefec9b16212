"""cuML's quasi-Newton loop, rebuilt in CuPy from its description. It is not cuML, and is named as what it is.

As there, an evaluation is two products with all of X and a kernel for the formulas between them, every vector
stays on the device, and every scalar product is a number that the host waits for. L-BFGS keeps five pairs;
steps are halved until Armijo's condition holds; the loop ends when the largest entry of the gradient is at
most tol·F, or when F has moved by no more than delta·F in ten iterations.
"""

import collections

import cupy
import numpy as np

from logreg_accel.backends.cupy.kernels import logistic_residual
from logreg_accel.losses import Logistic

_ARMIJO = 1e-4
_PAST = 10
_SOFTMAX = r"""
#ifndef __CUDACC_RTC__
#include "emulation.h"  // the dry run compiles it for the CPU
#endif
template <int kClasses>
__global__ void softmax_residual(const float* z, const unsigned char* y, long long m, float* residual,
                                 float* losses) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const float* row = z + i * kClasses;
    float p[kClasses], most = row[0], sum = 0;
    for (int k = 1; k < kClasses; ++k) most = row[k] > most ? row[k] : most;
    for (int k = 0; k < kClasses; ++k) sum += p[k] = exp(row[k] - most);
    for (int k = 0; k < kClasses; ++k) residual[i * kClasses + k] = p[k] / sum - float(k == y[i]);
    losses[i] = log(sum) + most - row[y[i]];
}
"""


class TwoProducts:
    """w, flat and (outputs, n + 1) by rows as cuML has it, -> F(w) on the host and its gradient.

    X is dense float32 or compressed rows on the device, y class codes there, l2 the penalty of the mean.
    """

    def __init__(self, X, y, n_classes, l2):
        self.X, self.y, self.l2 = X, y, l2
        self.outputs = 1 if n_classes == 2 else n_classes
        self.start = cupy.zeros(self.outputs * (X.shape[1] + 1), dtype=np.float32)
        if self.outputs > 1:
            name = f"softmax_residual<{self.outputs}>"
            module = cupy.RawModule(code=_SOFTMAX, options=("-std=c++17",), name_expressions=(name,))
            self.softmax = module.get_function(name)

    def __call__(self, w):
        m, n = self.X.shape
        W = w.reshape(self.outputs, n + 1)
        weights = W[:, :-1]
        Z = self.X @ cupy.ascontiguousarray(weights.T) + W[:, -1]
        R, loss = self._formulas(Z)
        gradient = cupy.empty((self.outputs, n + 1), dtype=np.float32)
        gradient[:, :-1] = (self.X.T @ R).T / m + self.l2 * weights
        gradient[:, -1] = R.sum(axis=0) / m
        value = loss / m + 0.5 * self.l2 * (weights * weights).sum()
        return float(value), gradient.reshape(-1)

    def _formulas(self, Z):
        m = Z.shape[0]
        if self.outputs == 1:
            R, losses = logistic_residual(None, Logistic(), Z, self.y, None)
            return R, losses[0]
        R, losses = cupy.empty((m, self.outputs), dtype=np.float32), cupy.empty(m, dtype=np.float32)
        self.softmax((-(-m // 256),), (256,), (cupy.ascontiguousarray(Z), self.y, np.int64(m), R, losses))
        return R, losses.sum(dtype=np.float64)


def quasi_newton(evaluate, w, tol=1e-4, delta=1e-6, max_iter=1000, keep=lambda value, w: None):
    """The last point, and how the loop ended; keep(value, w) sees every evaluation."""
    value, gradient = evaluate(w)
    keep(value, w)
    history, pairs = [value], collections.deque(maxlen=5)
    direction = -gradient
    step = 1.0 / float(gradient @ gradient) ** 0.5
    for _ in range(max_iter):
        if _settled(history, gradient, tol, delta):
            return w, "converged"
        before = w, value, gradient
        w, value, gradient = _search(evaluate, *before, direction, step, keep)
        if not value <= before[1]:
            return before[0], "the line search failed"
        history.append(value)
        s, y = w - before[0], gradient - before[2]
        sy, yy = float(s @ y), float(y @ y)
        if sy > np.finfo(np.float32).eps * yy:  # else the direction stays, as there
            pairs.append((s, y, sy))
            direction = _two_loops(gradient, pairs, sy / yy)
        step = 1.0
    return w, "max_iter"


def _settled(history, gradient, tol, delta):
    scale = max(history[-1], tol)
    if float(abs(gradient).max()) <= tol * scale:
        return True
    return delta > 0 and len(history) > _PAST and abs(history[-1 - _PAST] - history[-1]) <= delta * scale


def _search(evaluate, w, value, gradient, direction, step, keep):
    """Halve the step until the value falls by a part of what the slope promises."""
    slope = float(gradient @ direction)
    for _ in range(50):
        there = w + np.float32(step) * direction
        new, gradient = evaluate(there)
        keep(new, there)
        if new <= value + _ARMIJO * step * slope:
            break
        step *= 0.5
    return there, new, gradient


def _two_loops(gradient, pairs, scale):
    direction, factors = -gradient, []
    for s, y, sy in reversed(pairs):
        factors.append(float(s @ direction) / sy)
        direction = direction - np.float32(factors[-1]) * y
    direction = np.float32(scale) * direction
    for (s, y, sy), factor in zip(pairs, reversed(factors), strict=True):
        direction = direction + np.float32(factor - float(y @ direction) / sy) * s
    return direction
