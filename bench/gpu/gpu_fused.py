"""Softmax and models side by side: one read of X for all their columns, beside the generic body's two."""

import functools

import numpy as np
from gpu_data import draw_labels, relative_error
from gpu_timing import device_ms, median

from logreg_accel.backends import passes
from logreg_accel.backends.cupy import CupyBackend
from logreg_accel.data import Block, as_matrix
from logreg_accel.losses import Logistic, Multinomial

CASES = (  # dtype, features, columns of W, whether they are the classes of one model
    ("float32", 784, 10, True),
    ("float32", 100, 10, True),
    ("float16", 784, 10, True),
    ("float32", 768, 50, False),
    ("float32", 100, 50, False),
)


def problem(X, columns, softmax):
    """Backend, block, loss, models and two W."""
    import cupy

    (m, n), rng, backend = X.shape, np.random.default_rng(0), CupyBackend()
    y = cupy.asarray(rng.integers(0, columns, m).astype(np.uint8)) if softmax else draw_labels(X)
    splits = None if softmax else cupy.asarray(rng.integers(0, 256, (m, 1)).astype(np.uint8))
    block = backend.upload(Block(as_matrix(X), y)._replace(splits=splits))
    W, V = (rng.standard_normal((2, n + 1, columns)) / np.sqrt(n)).astype(np.float32).astype(np.float64)
    models = None if softmax else tuple(passes.Model(split=i % 8) for i in range(columns))
    return backend, block, Multinomial(columns) if softmax else Logistic(), models, W, V


def fused_case(pool, dtype, n, columns, softmax, read_GB_per_s, repeats):
    """Milliseconds of an evaluation and of a Hessian-vector product, and how far the sums lie apart."""
    X = pool.matrix(dtype, n)
    backend, block, loss, models, W, V = problem(X, columns, softmax)
    gradient = passes.LossGradient(W, loss, models=models)
    product = passes.HessianVector(W, V, loss, models=models)
    runs = {
        "ours": lambda: backend.run(gradient, block),
        "tiled": lambda: backend.generic(gradient, block),
        "Hessian-vector": lambda: backend.run(product, block),
    }
    one, other = runs["ours"](), runs["tiled"]()
    read_ms = X.nbytes / read_GB_per_s / 1e6
    times = {name: median(functools.partial(device_ms, run), repeats) for name, run in runs.items()}
    return {
        "apart": relative_error(one.gradient, other.gradient),
        "contestants": {name: {"ms": ms, "reads": ms / read_ms} for name, ms in times.items()},
    }
