"""Raw tables: dense columns of any scale beside rare levels, in Hessians and in proofs."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from logreg_accel import Objective, systems
from logreg_accel.backends import passes
from logreg_accel.data import as_matrix
from logreg_accel.data.half_dense import HalfDense
from logreg_accel.losses import Logistic
from logreg_accel.metric import without_shifts
from logreg_accel.session import _is_much
from logreg_accel.solvers import questions as ask
from logreg_accel.solvers.newton import worth_blocks


def table(m, numbers, levels, dtype=np.float64):
    """Full columns of numbers beside the levels of a category, one a row; the last ones never occur."""
    rng = np.random.default_rng([m, numbers, levels])
    level = np.eye(levels)[rng.integers(0, max(levels - 2, 1), m)] if levels else np.empty((m, 0))
    X = np.hstack([rng.standard_normal((m, numbers)), level])
    return X[:, rng.permutation(numbers + levels)].astype(dtype)


SHAPES = [(300, 4, 40), (300, 4, 0), (300, 0, 40), (300, 3, 5), (1, 2, 3)]


@pytest.mark.parametrize("m, numbers, levels", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("positive", [True, False])
def test_a_weighted_gram_matrix_of_a_table(m, numbers, levels, dtype, positive):
    X = table(m, numbers, levels, dtype)
    c = np.random.default_rng(1).uniform(0 if positive else -1, 1, (m, 1)).astype(dtype)
    matrix = as_matrix(scipy.sparse.csr_array(X))
    exact = X.astype(np.float64)
    expected = exact.T @ (c * exact)
    atol = m * np.finfo(dtype).eps * abs(exact).max() ** 2
    for _ in range(2):  # the second time with what is kept
        found = matrix.weighted_gram(c, positive)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def test_full_columns_are_dense_and_the_others_stay_sparse():
    parts = HalfDense(scipy.sparse.csr_array(table(300, 4, 40)))
    assert parts.dense.stored.shape == (300, 4) and parts.thin.nnz == 300


def test_a_weighted_gram_matrix_of_many_rows_takes_the_memory_of_a_few_results():
    """All rows as dense ones would take 40 MB, and weighted ones as much again."""
    m, n, c = 10_000, 500, np.ones((10_000, 1))
    X = scipy.sparse.random_array((m, n), density=0.1, format="csr", rng=np.random.default_rng(0))
    tracemalloc.start()
    found = as_matrix(X).weighted_gram(c, True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30_000_000
    dense = X.toarray()
    np.testing.assert_allclose(found, dense.T @ dense, rtol=m * np.finfo(float).eps)


@pytest.mark.parametrize("levels", [0, 40])
def test_a_hessian_of_sparse_rows_is_that_of_dense_ones(levels):
    X = table(400, 3, levels)
    y = np.arange(400) % 2
    w = np.random.default_rng(0).standard_normal((X.shape[1] + 1, 1))
    hessians = [
        Objective.from_arrays(given, y, backend="numpy").rows.sum(passes.Hessian(w, Logistic()))
        for given in (X, scipy.sparse.csr_array(X))
    ]
    np.testing.assert_allclose(*hessians, rtol=1e-12, atol=1e-12)


def test_the_work_of_a_hessian_counts_entries():
    """BLAS gets several threads only for large products, since waiting threads take time from other work."""
    X = table(3000, 2, 400)
    question = ask.Curvature(np.zeros(X.shape[1] + 1), ask.SOLVE)
    for given, much in ((X, True), (scipy.sparse.csr_array(X), False)):
        rows = Objective.from_arrays(given, np.arange(3000) % 2, backend="numpy").rows
        assert _is_much(rows, question) is much


def test_proofs_of_raw_columns_take_blocks_of_classes():
    """A diagonal took many products as a preconditioner; a block of the Hessian for each class takes few."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((600, 24)) @ rng.standard_normal((24, 24)) * np.logspace(0, 3, 24)
    z = X @ rng.standard_normal((24, 3)) / 3000
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    objective = Objective.from_arrays(X, y, C=1.0, backend="numpy")
    start = objective.start(np.zeros(objective.size), 0)
    there = objective.answer(ask.Evaluate(start.w))
    fixed = (start.ridge == 0) & np.ones(objective.size, dtype=bool)
    scale = np.sqrt(objective.answer(ask.Curvature(there.w, ask.DIAGONAL)))
    residual = without_shifts(scale * rng.standard_normal(objective.size), 3)

    def answered(questions):
        """What a generator returns, and how many products it asked for."""
        answer, products = None, 0
        while True:
            try:
                question = questions.send(answer)
            except StopIteration as end:
                return end.value, products
            answer, products = objective.answer(question), products + isinstance(question, ask.HessianVector)

    by_diagonal, _ = answered(systems.products(there, None, fixed, start))
    first, many = answered(by_diagonal.solve(there, residual))
    by_blocks, _ = answered(systems.products(there, None, fixed, start, by_diagonal))
    second, few = answered(by_blocks.solve(there, residual))
    assert by_diagonal.blocks is None and many == by_diagonal.taken >= worth_blocks(len(there.w), 3) > 2 * few
    for step in (first, second):
        left = objective.answer(ask.HessianVector(there.w, step)) - residual
        assert np.linalg.norm(left / scale) < 0.1 * np.linalg.norm(residual / scale)


@pytest.mark.parametrize("share, dense", [(0.6, True), (0.15, False)])
def test_numpy_keeps_a_sample_as_it_would_keep_all_rows(share, dense):
    """With a sparse sample, only the fuller columns of a Hessian use BLAS; a dense copy would be read
    whole."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((900, 20)) * (rng.random((900, 20)) < share)
    objective = Objective.from_arrays(scipy.sparse.csr_array(X), rng.random(900) < 0.4, backend="numpy")
    sample = objective.answer(ask.Draw(ask.Sample(300, 0)))
    (block,), w = sample.rows._blocks, rng.standard_normal(21)
    assert block.X.compressed is not dense
    A = np.column_stack([block.X.to_dense(), np.ones(sample.rows.n_rows)])
    p = 1 / (1 + np.exp(-A @ w))
    expected = (A.T * (p * (1 - p) * block.sample_weight)) @ A / sample.weight_sum
    expected[range(20), range(20)] += objective.penalty.l2
    np.testing.assert_allclose(sample.hessian(w), expected, rtol=1e-12, atol=1e-14)
