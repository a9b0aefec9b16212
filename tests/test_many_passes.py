"""One read for many models: compiled passes against the array code, and bits that depend on no thread."""

import numpy as np
import pytest
import scipy.sparse

from logreg_accel.backends import get_backend
from logreg_accel.backends.passes import HessianVector, LossGradient, Model
from logreg_accel.data import Block, as_matrix
from logreg_accel.losses import Logistic, Multinomial

ROWS, FEATURES = 3000, 23


def problem(kind, dtype, k, loss):
    """A block with three targets, nine splits and weights, k models that mix them, and their columns."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, FEATURES)).astype(dtype)
    if kind == "columns":
        X = np.asfortranarray(X)
    elif kind == "sparse":
        X = scipy.sparse.random_array((ROWS, FEATURES), density=0.2, dtype=dtype, format="csr", rng=1)
    classes = max(loss.n_outputs, 2)
    codes = rng.integers(0, classes, (ROWS, 3)).astype(np.uint8)
    bits = np.packbits(rng.random((ROWS, 9)) < 0.7, axis=1, bitorder="little")
    models = tuple(
        Model(
            int(rng.integers(3)),
            (None, *range(9))[rng.integers(10)],
            (None, tuple(rng.random(classes) + 0.5))[rng.integers(2)],
        )
        for _ in range(k)
    )
    W, V = rng.standard_normal((2, FEATURES + 1, k * loss.n_outputs)) * 0.3
    return Block(as_matrix(X), codes, rng.random(ROWS), bits), models, W, V


def run(name, block, pass_, n_threads=None):
    backend, _ = get_backend(name, 0, n_threads=n_threads)
    return backend.run(pass_, backend.upload(block))


@pytest.mark.parametrize("loss, k", [(Logistic(), 20), (Multinomial(3), 7)], ids=["logistic", "softmax"])
@pytest.mark.parametrize(
    "kind, dtype",
    [
        ("rows", "float64"),
        ("rows", "float32"),
        ("rows", "float16"),
        ("columns", "float32"),
        ("sparse", "float32"),
    ],
)
def test_compiled_passes_agree_with_the_array_code(kind, dtype, loss, k):
    block, models, W, V = problem(kind, dtype, k, loss)
    diagonal = loss.n_outputs == 1
    passes = [
        LossGradient(W, loss, diagonal=diagonal, models=models),
        HessianVector(W, V, loss, models=models),
    ]
    (a, product_a), (b, product_b) = ([run(n, block, p) for p in passes] for n in ("numpy", "numba"))
    eps = np.finfo(np.float64 if dtype == "float64" else np.float32).eps
    pairs = [(a.value, b.value), (a.gradient, b.gradient), (product_a, product_b)]
    for expected, found in pairs + [(a.diagonal, b.diagonal)] * diagonal:
        np.testing.assert_allclose(found, expected, rtol=0, atol=16 * eps * abs(expected).max())


@pytest.mark.parametrize("loss, k", [(Logistic(), 70), (Multinomial(3), 7)], ids=["logistic", "softmax"])
@pytest.mark.parametrize("kind", ["rows", "sparse"])
def test_bits_depend_on_no_thread_and_sums_on_no_other_model(kind, loss, k):
    block, models, W, _ = problem(kind, "float32", k, loss)
    whole = run("numba", block, LossGradient(W, loss, models=models))
    alone = run("numba", block, LossGradient(W, loss, models=models), n_threads=1)
    assert (whole.gradient == alone.gradient).all() and (whole.value == alone.value).all()
    some, width = [1, k // 2, k - 1], loss.n_outputs
    columns = np.concatenate([np.arange(j * width, (j + 1) * width) for j in some])
    few = run("numba", block, LossGradient(W[:, columns], loss, models=tuple(models[j] for j in some)))
    rounding = 16 * np.finfo(np.float32).eps
    for found, expected in (few.gradient, whole.gradient[:, columns]), (few.value, whole.value[some]):
        np.testing.assert_allclose(found, expected, rtol=0, atol=rounding * abs(expected).max())


def test_a_weight_of_a_class_is_the_weight_of_its_rows():
    block, _, W, _ = problem("rows", "float64", 1, Logistic())
    model, factors = Model(1, 4, (0.25, 3.0)), np.array([0.25, 3.0])
    found = run("numpy", block, LossGradient(W, Logistic(), models=(model,)))
    trains = (block.splits[:, 0] >> 4) & 1
    y = block.y[:, 1]
    weighted = Block(block.X, y, block.sample_weight * trains * factors[y])
    expected = run("numpy", weighted, LossGradient(W, Logistic()))
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-12)
