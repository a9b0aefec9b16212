"""Categories of many levels: Newton's system without them, which takes few reads where products take many."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression as Reference

from logreg_accel import LogisticRegression, Objective, elimination, systems
from logreg_accel.data import as_matrix
from logreg_accel.data.levels import widest_run
from logreg_accel.solvers import newton_cg
from logreg_accel.solvers import questions as ask
from logreg_accel.solvers.by_class import beside_shifts


def table(m=600, levels=90, numbers=3, small=0, k=2, seed=0):
    """Numbers, a small category, and the levels of a wide one, of which some never occur, with labels."""
    rng = np.random.default_rng([m, levels, numbers, small, k, seed])
    level = rng.zipf(1.6, m) % (levels - 2)
    category = scipy.sparse.csr_array((np.ones(m), (np.arange(m), level)), shape=(m, levels))
    parts = [rng.standard_normal((m, numbers)), category]
    if small:
        parts.insert(1, np.eye(small)[rng.integers(0, small, m)])
    X = scipy.sparse.csr_array(scipy.sparse.hstack(parts, format="csr"))
    margins = X @ rng.standard_normal((X.shape[1], k)) + rng.gumbel(size=(m, k))
    return X, margins.argmax(axis=1)


CASES = {
    "two classes": {},
    "a small category": {"small": 5},
    "more others than are made dense": {"small": 70, "levels": 120},
    "several classes": {"k": 4},
    "several classes and more others": {"k": 3, "small": 70, "levels": 120},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_solve_by_levels_is_that_of_the_whole_hessian(case, fit_intercept, weighted):
    X, y = table(**CASES[case])
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2, len(y)) if weighted else None
    objective = Objective.from_arrays(X, y, weights, C=2.0, fit_intercept=fit_intercept, backend="numpy")
    k = objective.loss.n_outputs
    w = 0.3 * rng.standard_normal(objective.size)
    here = objective.answer(ask.Evaluate(w))
    solve = objective.answer(ask.Curvature(w, ask.BY_LEVELS, margins=here.margins))
    if k > 1:
        solve = beside_shifts(solve, objective.start(w).ridge, k)
    H, v = objective.hessian(w), rng.standard_normal(objective.size)
    if k > 1 and fit_intercept:  # along a shift of the intercepts F is constant
        v[-k:] -= v[-k:].mean()
    np.testing.assert_allclose(H @ solve(v), v, atol=1e-9 * abs(v).max())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("C", [1.0, 1e3])
def test_a_fit_takes_few_reads_to_the_optimum(case, C):
    X, y = table(m=3000, **CASES[case])
    reads = {}
    for by_levels in (True, False):
        solver = newton_cg() if by_levels else newton_cg(factored_up_to=0)
        model = LogisticRegression(solver=solver, C=C, backend="numpy", tol=1e-9).fit(X, y)
        assert model.status_ == "converged"
        reads[by_levels] = model.n_passes_
    objective = Objective.from_arrays(X, y, C=C)
    model = LogisticRegression(solver=newton_cg(), C=C, backend="numpy", tol=1e-9).fit(X, y)
    other = Reference(C=C, solver="lbfgs", tol=1e-10, max_iter=20000).fit(X, y)
    values = []
    for one in (model, other):
        at = np.vstack([one.coef_.T, one.intercept_[None]]).ravel()
        values.append(objective.value_and_gradient(at)[0])
    assert values[0] <= values[1] * (1 + 1e-9)
    assert model.suboptimality_bound_ <= 1e-9
    if len(np.unique(y)) == 2:
        assert reads[True] < reads[False]


def test_the_same_bits_at_any_number_of_threads():
    X, y = table(m=5000, levels=500)
    coefs = [
        LogisticRegression(solver="newton-cg", backend="numba", n_threads=n).fit(X, y).coef_
        for n in (1, 2, 3)
    ]
    for coef in coefs[1:]:
        np.testing.assert_array_equal(coef, coefs[0])


def test_the_widest_category_of_several():
    X, _ = table(levels=80, numbers=2, small=5)
    assert widest_run(X) == (7, 87)
    one = np.random.default_rng(0).integers(0, 2, (50, 1))
    assert widest_run(scipy.sparse.csr_array(np.ones((50, 4)))) == (0, 1)
    assert widest_run(scipy.sparse.csr_array(np.hstack([one, 1 - one, one]))) == (0, 2)
    assert widest_run(scipy.sparse.csr_array((5, 3))) == (0, 3)
    assert widest_run(scipy.sparse.csr_array((0, 0))) == (0, 0)


@pytest.mark.parametrize("what", ["text", "no penalty", "dense", "little memory"])
def test_where_no_levels_are_eliminated(what):
    X, y = table()
    if what == "text":
        X = scipy.sparse.random_array(X.shape, density=0.1, rng=np.random.default_rng(0), format="csr")
    C = np.inf if what == "no penalty" else 1.0
    objective = Objective.from_arrays(X.toarray() if what == "dense" else X, y, C=C, backend="numpy")
    most = 3 if what == "little memory" else 2000
    assert elimination.worth(objective, most) == np.inf


def test_levels_are_kept_with_x():
    X = as_matrix(table()[0])
    assert X.levels() is X.levels()
    np.testing.assert_array_equal(X.levels().which, np.arange(3, 93))
    np.testing.assert_array_equal(X.levels().rest, [0, 1, 2])


def test_auto_eliminates_the_levels_of_a_wide_category():
    X, y = table(m=20000, levels=400)
    assert LogisticRegression().fit(X, y).solver_ == "newton-cg"
    X, y = table(m=20000, levels=40)
    assert LogisticRegression().fit(X, y).solver_ == "newton-subsampled"


def test_the_system_of_a_proof_takes_a_product_where_levels_are_eliminated():
    X, y = table(m=6000, levels=600, k=5)
    objective = Objective.from_arrays(X, y, backend="numpy")
    w = 0.3 * np.random.default_rng(1).standard_normal(objective.size)
    here, start = objective.answer(ask.Evaluate(w)), objective.start(w)
    residual = here.gradient - np.tile(here.gradient.reshape(-1, 5).mean(axis=1), (5, 1)).T.ravel()

    def answered(questions, answer=None):
        try:
            while True:
                answer = objective.answer(questions.send(answer))
        except StopIteration as end:
            return end.value

    made = answered(systems.products(here, None, start.ridge == 0, start))
    step = answered(made.solve(here, residual))
    assert made.taken == 1
    np.testing.assert_allclose(objective.hessian_vector(w, step), residual, atol=1e-9 * abs(residual).max())
