"""The obvious alternatives to kernels/cpu/rows.py, on the same X in the same run: why they lost.

python bench/alternatives.py [--gigabytes 0.5] [--output FILE.json]

    four rows, a quarter apart   the loops of the library
    four neighbouring rows       the same loops, rows i .. i + 3, whose four streams share a page up to 256
                                 features
    one row at a time            w and the gradient are loaded for every row
    one row, no tile             dot, sigma and gradient of a row before the next, without a vector of margins
                                 over which exp could be vectorised
    prange                       one row at a time, with Numba's own threads instead of lanes on a pool
    BLAS on a tile               the generic body of the backends, threaded over lanes
    plain NumPy                  X @ w, the formulas, X.T @ r, each over the whole of X
"""

import argparse
import json
import sys

import numpy as np
from numba import njit, prange

from logreg_accel import plain_loss_gradient
from logreg_accel.backends import passes
from logreg_accel.backends.numba import NumbaBackend
from logreg_accel.backends.threads import run_lanes, usable_threads
from logreg_accel.cli.bench import _matrix
from logreg_accel.cli.doctor import machine
from logreg_accel.data import Block, as_matrix
from logreg_accel.kernels.cpu.pointwise import loss_residual
from logreg_accel.losses import Logistic
from logreg_accel.yardstick import fastest, plain_reads

_WHOLE = 64 * 1024
FAST = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


@njit(**FAST)
def four_neighbours(X, y, w, start, stop, gradient):
    n, tile = w.size, max(4, min(1024, (1 << 18) // (4 * w.size)) // 4 * 4)
    z, values, none, g = (
        np.empty(tile, w.dtype),
        np.empty(tile, w.dtype),
        np.empty(0, w.dtype),
        np.empty(n, w.dtype),
    )
    value = 0.0
    for lo in range(start, stop - tile + 1, tile):
        for i in range(0, tile, 4):
            x0, x1, x2, x3 = X[lo + i], X[lo + i + 1], X[lo + i + 2], X[lo + i + 3]
            z0 = z1 = z2 = z3 = w.dtype.type(0)
            for j in range(n):
                z0 += x0[j] * w[j]
                z1 += x1[j] * w[j]
                z2 += x2[j] * w[j]
                z3 += x3[j] * w[j]
            z[i], z[i + 1], z[i + 2], z[i + 3] = z0, z1, z2, z3
        loss_residual(z, y[lo : lo + tile], none, tile, values)
        g[:] = w.dtype.type(0)
        for i in range(0, tile, 4):
            x0, x1, x2, x3 = X[lo + i], X[lo + i + 1], X[lo + i + 2], X[lo + i + 3]
            r0, r1, r2, r3 = z[i], z[i + 1], z[i + 2], z[i + 3]
            for j in range(n):
                g[j] += (r0 * x0[j] + r1 * x1[j]) + (r2 * x2[j] + r3 * x3[j])
        for i in range(tile):
            value += values[i]
        for j in range(n):
            gradient[j] += g[j]
    return value


@njit(**FAST)
def one_row(X, y, w, start, stop, gradient):
    n, tile = w.size, max(4, min(1024, (1 << 18) // (4 * w.size)) // 4 * 4)
    z, values, none, g = (
        np.empty(tile, w.dtype),
        np.empty(tile, w.dtype),
        np.empty(0, w.dtype),
        np.empty(n, w.dtype),
    )
    value = 0.0
    for lo in range(start, stop - tile + 1, tile):
        for i in range(tile):
            x, zi = X[lo + i], w.dtype.type(0)
            for j in range(n):
                zi += x[j] * w[j]
            z[i] = zi
        loss_residual(z, y[lo : lo + tile], none, tile, values)
        g[:] = w.dtype.type(0)
        for i in range(tile):
            x, r = X[lo + i], z[i]
            for j in range(n):
                g[j] += r * x[j]
        for i in range(tile):
            value += values[i]
        for j in range(n):
            gradient[j] += g[j]
    return value


@njit(**FAST)
def no_tile(X, y, w, start, stop, gradient):
    n, value = w.size, 0.0
    for i in range(start, stop):
        x, z = X[i], w.dtype.type(0)
        for j in range(n):
            z += x[j] * w[j]
        t = np.exp(-abs(z))
        sigma = (1 if z > 0 else t) / (1 + t)
        value += max(z, 0) - y[i] * z + np.log1p(t)
        r = w.dtype.type(sigma - y[i])
        for j in range(n):
            gradient[j] += r * x[j]
    return value


@njit(parallel=True, error_model="numpy", fastmath={"reassoc", "contract"})
def with_prange(X, y, w, gradients):
    lanes = gradients.shape[0]
    values = np.zeros(lanes)
    for lane in prange(lanes):
        values[lane] = one_row(
            X, y, w, X.shape[0] * lane // lanes, X.shape[0] * (lane + 1) // lanes, gradients[lane]
        )
    return values.sum()


def prange_gradient(X, y, w, lanes):
    gradients = np.zeros((lanes, X.shape[1]))
    with_prange(X, y, w, gradients)
    return gradients.sum(axis=0)


def jobs_for(X, y, n_threads):
    w = (np.random.default_rng(1).standard_normal(X.shape[1]) / X.shape[1]).astype(X.dtype)
    W, block, loss, lanes = (
        np.append(w, 0.0)[:, None].astype(np.float64),
        Block(as_matrix(X), y),
        Logistic(),
        64,
    )
    ours = NumbaBackend()
    m = len(X)

    def over_lanes(loop):
        def run():
            gradients = np.zeros((lanes, X.shape[1]))
            run_lanes(
                lambda i: loop(X, y, w, m * i // lanes, m * (i + 1) // lanes, gradients[i]), lanes, n_threads
            )
            return gradients.sum(axis=0)

        return run

    def blas():
        return ours.generic(passes.LossGradient(W, loss), block).gradient[:-1, 0]

    jobs = {
        "four rows, a quarter apart": lambda: ours.run(passes.LossGradient(W, loss), block).gradient[:-1, 0],
        "four neighbouring rows": over_lanes(four_neighbours),
        "one row at a time": over_lanes(one_row),
        "one row, no tile": over_lanes(no_tile),
        "prange": lambda: prange_gradient(X, y, w, lanes),
        "BLAS on a tile": blas,
        "plain NumPy": lambda: plain_loss_gradient(X, y, w, 0.0)[1][:-1],
    }
    expected = jobs["plain NumPy"]()
    for name, job in jobs.items():
        if m % _WHOLE == 0 and not np.abs(job() - expected).max() <= 1e-6 * m:  # of Σ|residual·x|
            raise AssertionError(f"{name} gives a different gradient")
    return jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--features", default="16,64,256,1024,4096")
    parser.add_argument("--output")
    options = parser.parse_args()
    rows = []
    for n in map(int, options.features.split(",")):
        X, y = _matrix(n, np.dtype(np.float32), "C", options.gigabytes)
        whole = len(X) // _WHOLE * _WHOLE or len(X)  # the alternatives only process whole tiles
        X, y = X[:whole], y[:whole]
        seconds = fastest({**plain_reads(X), **jobs_for(X, y, usable_threads())}, options.repeats)
        read = min(seconds.pop(name) for name in plain_reads(X))
        rates = {name: round(X.nbytes / took / 1e9, 1) for name, took in seconds.items()}
        rows.append(
            {"features": n, "plain_read_GB_per_s": round(X.nbytes / read / 1e9, 1), "GB_per_s": rates}
        )
        print(f"{n} features, plain read {rows[-1]['plain_read_GB_per_s']} GB/s", file=sys.stderr)
        for name, rate in rates.items():
            print(f"  {name:30s} {rate:5.1f} GB/s", file=sys.stderr)
    if options.output:
        with open(options.output, "w") as file:
            json.dump(
                {"machine": machine(), "gigabytes": options.gigabytes, "alternatives": rows}, file, indent=1
            )
            file.write("\n")


if __name__ == "__main__":
    main()
