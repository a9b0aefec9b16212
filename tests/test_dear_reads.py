"""The choice of `solver="auto"` for a source: it computes more where that saves a read."""

import numpy as np
import pytest
import scipy.sparse

from conftest import chunked
from logreg_accel import LogisticRegression, streaming
from logreg_accel.solvers import (
    Whole,
    fista,
    newton_cg,
    newton_cholesky,
    newton_subsampled,
    prox_newton,
    resolve_solver,
    sparing_reads,
)
from logreg_accel.solvers.dear import FACTORED_UP_TO


def dense(m, n, k=1):
    return Whole(m, n, k, 4 * m * n, n)


def sparse(m, n, entries, k=1):
    return Whole(m, n, k, 8 * m * entries, entries)


def choice(whole, l1=False):
    """The solvers that "auto" chooses for rows in memory and for the source."""
    usual = resolve_solver("auto", whole.n_features, whole.n_rows, whole.nbytes, False, whole.n_outputs, l1)
    return usual[0], sparing_reads(usual, whole)[0]


SOURCES = [
    dense(m, n, k) for m in (10**5, 10**6, 10**8) for n in (3, 30, 300, 1000, 3000) for k in (1, 4, 30)
] + [sparse(m, n, 20) for m in (10**5, 10**7) for n in (100, 2000, 5000)]


@pytest.mark.parametrize("l1", [False, True], ids=["l2", "l1"])
@pytest.mark.parametrize("whole", SOURCES, ids=str)
def test_samples_are_larger_but_a_part_of_the_rows_that_has_room(whole, l1):
    usual, dear = choice(whole, l1)
    size, rows = (whole.n_features + 1) * whole.n_outputs, getattr(dear, "rows_per_parameter", None)
    if rows is None:
        assert dear == usual
        return
    before = getattr(usual, "rows_per_parameter", 12)
    assert rows >= min(before, 0.3 * whole.n_rows / size - 1)
    if rows > before:
        assert rows <= 200 and rows * size <= 0.3 * whole.n_rows
        assert rows * size * whole.nbytes / whole.n_rows <= max(whole.nbytes / 30, 1 << 23)


@pytest.mark.parametrize(
    "whole, usual, dear",
    [
        (dense(10**6, 20), newton_subsampled, newton_subsampled),
        (dense(30_000, 700), newton_cg, newton_subsampled),
        (sparse(200_000, 2000, 20), newton_cg, newton_subsampled),
        (dense(1000, 700), newton_cg, newton_cg),  # no sample has enough rows
        (dense(4000, 250), newton_cholesky, newton_cholesky),
        (
            dense(14_000, 300),
            newton_cholesky,
            newton_cholesky,
        ),  # of few rows, whose results agree to rounding,
        (sparse(10**7, 50_000, 20), newton_cg, newton_cg),  # nobody makes a Hessian of so many columns
    ],
    ids=str,
)
def test_a_sample_is_taken_wherever_it_may_be(whole, usual, dear):
    found = choice(whole)
    assert tuple(map(type, found)) == (usual, dear)
    if dear is newton_subsampled:
        assert found[1].factored_up_to == FACTORED_UP_TO


def test_no_hessian_of_all_rows_is_made_of_few_columns_either():
    whole = dense(10**7, 4)
    usual, dear = choice(whole)
    assert usual.exact and not dear.exact


def test_many_parameters_under_an_l1_penalty_have_no_hessian():
    assert choice(dense(10**6, 4000), l1=True) == (fista(), fista())


def test_a_sample_under_an_l1_penalty_is_none_of_most_rows():
    """A sample of half of the rows would be refused, and the fit would begin without one."""
    usual, dear = choice(dense(60_000, 100, 8), l1=True)
    assert isinstance(usual, prox_newton) and 2 * usual.rows_per_parameter * 808 >= 60_000
    assert 12 <= dear.rows_per_parameter <= 0.3 * 60_000 / 808


def one_hot(m, columns):
    """Columns of which each row has eight; some are rare."""
    rng = np.random.default_rng(0)
    places = np.concatenate([[*range(columns)] * 8, rng.zipf(1.2, 8 * (m - columns)) % columns])
    X = scipy.sparse.csr_array((np.ones(8 * m), places, np.arange(0, 8 * m + 1, 8)), shape=(m, columns))
    return X, (X @ rng.standard_normal(columns) + rng.logistic(size=m) > 0).astype(int)


def test_wide_rows_take_a_part_of_the_reads_and_have_the_same_optimum():
    X, y = one_hot(20_000, 450)
    streamed = LogisticRegression(backend="numpy", tol=1e-10).fit(chunked(X, y))
    usual = LogisticRegression(backend="numpy", tol=1e-10, solver="newton-cg").fit(chunked(X, y))
    assert streamed.solver_ == "newton-subsampled" and "reads are expensive" in streamed.solver_.reason
    assert streamed.status_ == usual.status_ == "converged"
    assert streamed.n_passes_ <= usual.n_passes_ / 2
    assert streamed.n_passes_ <= streamed.n_iter_[0] + 2.01  # the first sample, its optimum, one a step
    np.testing.assert_allclose(streamed.coef_, usual.coef_, atol=1e-3)
    assert LogisticRegression(backend="numpy").fit(X, y).solver_ != "newton-subsampled"


def test_the_choice_depends_on_the_source_alone(monkeypatch):
    """It is the same for any memory that suffices, and a solver that the user names is not changed."""
    X, y = one_hot(20_000, 450)
    chosen = []
    monkeypatch.setattr(streaming, "check_room", lambda labelled, solver, k: chosen.append(solver) or 0)
    for memory in ("120MB", "4GB"):
        LogisticRegression(max_iter=1, tol=1).fit(chunked(X, y, memory=memory))
    assert chosen[0] == chosen[1] and isinstance(chosen[0], newton_subsampled)
    asked = newton_subsampled(rows_per_parameter=3)
    LogisticRegression(solver=asked, max_iter=1, tol=1).fit(chunked(X, y))
    assert chosen[2] is asked


def test_a_metric_is_factored_up_to_as_many_parameters_as_is_said():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 12))
    y = (X[:, 0] + rng.logistic(size=4000) > 0.5).astype(int)
    models = [
        LogisticRegression(solver=newton_subsampled(20, factored_up_to=most), tol=1e-12).fit(X, y)
        for most in (1, 13)
    ]
    np.testing.assert_allclose(models[0].coef_, models[1].coef_, atol=1e-5)
    assert models[0].n_passes_ != models[1].n_passes_
    with pytest.raises(ValueError, match="`factored_up_to` is 0"):
        newton_subsampled(factored_up_to=0)


def many_rows(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((400_000, n), dtype=np.float32)
    return X, X[:, :5].sum(axis=1) / 2 + rng.logistic(size=len(X)) > 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fit_with_samples_of_one_size_takes_the_same_path_from_a_source(seed):
    """The rows are drawn by a hash of their number, so that results differ only by rounding."""
    X, y = many_rows(30, seed)
    expected = LogisticRegression(backend="numba").fit(X, y)
    model = LogisticRegression(backend="numba").fit(chunked(X, y, step=50_000, memory="150MB"))
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=0, atol=1e-7 * abs(expected.coef_).max())


def test_proofs_of_large_sources_move_more_rows(monkeypatch):
    """With fewer rows, proofs would fail at points that are proven in memory."""
    monkeypatch.setattr("logreg_accel.rows.stream.WITNESSES", 40_000)
    X, y = many_rows(10, 1)
    in_memory = LogisticRegression(backend="numba").fit(X, y).n_passes_
    source = chunked(X, y, step=50_000, memory="150MB")
    assert LogisticRegression(backend="numba").fit(source).n_passes_ <= in_memory + 1
    monkeypatch.setattr("logreg_accel.rows.stream._OF_ALL", 10**9)
    assert LogisticRegression(backend="numba").fit(source).n_passes_ > in_memory + 2
