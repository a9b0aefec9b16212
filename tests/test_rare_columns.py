"""newton-subsampled where its sample hardly sees some columns."""

import numpy as np
import pytest

from conftest import BACKENDS
from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.solvers import rare_columns, subsampled
from logreg_accel.solvers.questions import Draw, Evaluate, Sample


def answered(questions, objective):
    """What a generator of questions returns; `on` is an Objective."""
    answer = None
    while True:
        try:
            question = questions.send(answer)
        except StopIteration as end:
            return end.value
        answer = (question.on or objective).answer(question)


def levels(seed, m=20_000, n_levels=40):
    """Numbers and the levels of one column, rare ones among them, standardised."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_levels + 1) ** 1.7
    X = np.hstack(
        [rng.standard_normal((m, 6)), np.eye(n_levels)[rng.choice(n_levels, m, p=share / share.sum())]]
    )
    z = X @ rng.standard_normal(X.shape[1]) - 1.5
    return ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32), (z + rng.logistic(size=m) > 0).astype(
        int
    )


def reads(X, y, **options):
    model = LogisticRegression(solver="newton-subsampled", tol=1e-6, **options).fit(X, y)
    assert model.status_ == "converged"
    return model.n_passes_


def test_rare_levels_take_a_handful_of_reads(monkeypatch):
    problems = [levels(seed) for seed in range(8)]
    now = [reads(X, y) for X, y in problems]

    def none(sample, here):
        return False
        yield

    monkeypatch.setattr(subsampled, "misses", none)
    before = [reads(X, y) for X, y in problems]
    assert np.median(now) <= np.median(before) - 1
    assert max(now) <= max(before)


@pytest.mark.parametrize("rare", [False, True])
def test_a_sample_that_has_seen_all_columns_is_the_first_metric(rare):
    """Another one is drawn where it has hardly seen some."""
    X, y = levels(0) if rare else (levels(0)[0][:, :6], levels(0)[1])
    drawn = []

    def watched(start):
        questions, answer = solvers.newton_subsampled(rows_per_parameter=50)(start), None
        try:
            while True:
                question = questions.send(answer)
                drawn.extend([question.what] if isinstance(question, Draw) else [])
                answer = yield question
        except StopIteration as end:
            return end.value

    objective = Objective.from_arrays(X, y, backend="numpy")
    solution = driver.run(watched, objective, np.zeros(objective.size), tol=1e-6)
    assert solution.status == "converged"
    assert len(drawn) >= 2 if rare else len(drawn) == 1
    assert all(isinstance(what, Sample) for what in drawn)


def test_columns_that_a_sample_sees_take_the_reads_of_before(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 30)) @ np.diag(np.logspace(0, -2, 30)) @ rng.standard_normal((30, 30))
    y = (X @ rng.standard_normal(30) + rng.logistic(size=len(X)) > 2).astype(int)
    now = reads(X, y)
    monkeypatch.setattr(subsampled, "by_own_loss", None)  # is not called
    assert reads(X, y) == now


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_diagonal_is_taken_where_it_comes_with_an_evaluation(name, dtype):
    X, y = levels(1)
    objective = Objective.from_arrays(X.astype(dtype), y, backend=name)
    start = objective.start(np.zeros(objective.size))
    plain, beside = (objective.reads(Evaluate(start.w, diagonal=wanted)) for wanted in (False, True))
    assert start.with_diagonal == (plain == beside)


def test_the_minimum_of_what_a_sample_makes_of_a_point():
    X, y = levels(2, m=4000, n_levels=10)
    objective = Objective.from_arrays(X, y, backend="numpy")
    far = np.zeros(objective.size)
    far[-2] = 9.0  # along the rarest level
    here = objective.answer(Evaluate(far, diagonal=True))
    way = answered(rare_columns.by_own_loss(objective, here), objective)
    best = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X, y).history_[-1].value
    assert objective.value_and_gradient(far + way)[0] == pytest.approx(best, rel=2e-4), "all rows know best"


def test_a_level_that_no_row_of_a_sample_has():
    X = np.hstack([np.tile([[1.0], [-1.0]], (500, 1)), np.zeros((1000, 1))])
    X[:40, 1] = 1
    y = (np.arange(1000) % 5 == 0).astype(int)
    y[:40] = 1
    every, some = (Objective.from_arrays(X[k:], y[k:], backend="numpy") for k in (0, 40))
    here = every.answer(Evaluate(np.zeros(3), diagonal=True))
    assert answered(rare_columns.misses(some, here), every)
    assert not answered(rare_columns.misses(every, here), every)
    way = answered(rare_columns.by_own_loss(some, here), every)
    assert 0 < way[1] < 10, "the sample alone has next to no curvature along it"
    assert every.value_and_gradient(way)[0] < here.value


def test_what_a_hessian_lacks_is_made_up_for():
    H = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1e-9]])
    solve = rare_columns.completed(H.copy(), np.array([3.0, 1.1, 0.4]))
    H[2, 2] = 0.4
    v = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(H @ solve(v), v, rtol=1e-8)
    singular = rare_columns.completed(np.ones((2, 2)), np.ones(2))
    assert np.isfinite(singular(np.array([1.0, 1.0]))).all()


def test_more_columns_than_a_sample_is_solved_for_by_factors():
    X, y = levels(3, m=6000)
    wide = np.hstack([X, np.random.default_rng(0).standard_normal((6000, 200)).astype(np.float32)])
    model = LogisticRegression(solver=solvers.newton_subsampled(rows_per_parameter=5), tol=1e-6).fit(wide, y)
    assert model.status_ == "converged"
