"""Which columns separate classes where weights have no penalty."""

import warnings

import numpy as np
import pytest
import scipy.optimize
from family.judge import Truth
from family.problems import Problem, problem
from sklearn.exceptions import ConvergenceWarning

from conftest import CPU_BACKENDS, evaluate
from logreg_accel import LogisticRegression, Objective, leads, one_sided, rays, scan
from logreg_accel.certificate import Certificate
from logreg_accel.solvers.questions import HessianVector


def drawn(m, n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n))
    return rng, X, (rng.random(m) < 1 / (1 + np.exp(-X @ rng.standard_normal(n)))).astype(int)


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("l1_ratio", [0, 0.5])
@pytest.mark.parametrize("m", [500, 20000])
def test_a_column_without_a_penalty_that_separates_a_part_is_named(name, l1_ratio, m):
    """Fits were checked for separation only if no column had a penalty."""
    rng, X, y = drawn(m, 6)
    X[:, 0] = np.where(rng.random(m) < 0.1, abs(X[:, 0]) * np.where(y == 1, 1, -1), 0)
    with pytest.warns(ConvergenceWarning, match="some have no penalty.*the weights of column 0 grow"):
        found = LogisticRegression(penalty_factor=[0, 0, 1, 1, 1, 1], l1_ratio=l1_ratio, backend=name).fit(
            X, y
        )
    assert found.status_ == "separable" and found.suboptimality_bound_ < 1e-3
    held = LogisticRegression(penalty_factor=[1, 0, 0, 1, 1, 1], l1_ratio=l1_ratio, backend=name).fit(X, y)
    assert held.status_ == "converged"


def separates(X, y, s):
    """Whether a direction raises margins of rows and lowers none, by a linear programme (Konis 2007)."""
    A = np.c_[X, np.ones(len(X))][s > 0]
    A = np.where(y[s > 0] == 1, 1, -1)[:, None] * A / np.sqrt((A * A).mean(axis=0) + (A == 0).all(axis=0))
    found = scipy.optimize.linprog(-A.mean(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=(-1, 1))
    return -found.fun > 1e-9


def small_problem(seed):
    """Noise, levels of two categories, one label that spoils a separation, parts separated by columns."""
    rng, X, y = drawn(40 + 7 * (seed % 23), 1 + seed % 5, seed)
    m, s = len(y), np.ones(len(y))
    kind = seed % 6
    if kind == 1:
        a, b = rng.integers(0, 4, m), rng.integers(0, 3, m)
        X = np.c_[X, np.eye(4)[a][:, 1:], np.eye(3)[b][:, 1:]]
        y[(a == 0) & (b == 0)] = seed % 2
    elif kind == 2:
        levels = rng.choice(30, m, p=1 / np.arange(1, 31) / (1 / np.arange(1, 31)).sum())
        X = np.c_[X, np.eye(30)[levels]]
    elif kind == 3:
        y = (X[:, 0] > 0.2).astype(int)
        y[rng.integers(0, m, seed % 4)] = 1
    elif kind == 4:
        X[:, 0] = np.where(rng.random(m) < 0.2, abs(X[:, 0]) * np.where(y == 1, 1, -1), 0)
        X[0, 0] *= 1 - 2 * (seed % 5 == 0)
    elif kind == 5:
        X = np.c_[X, np.where(rng.random(m) < 0.5, 0, rng.random(m)) * np.where(y == 1, 1, -1)]
        X[:, -1] = (X[:, -1] - X[:, 0]) / 2
        s = (rng.random(m) < 0.8).astype(float)
    return X, y, s


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("seeds", [range(48), pytest.param(range(48, 600), marks=pytest.mark.slow)])
def test_what_is_called_separable_is_what_a_linear_programme_separates(name, seeds):
    for seed in seeds:
        X, y, s = small_problem(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = LogisticRegression(C=np.inf, backend=name).fit(X, y, sample_weight=s)
        assert (found.status_ == "separable") == separates(X, y, s), (seed, found.status_)


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_rare_levels_take_the_reads_of_an_ordinary_fit(name):
    """They took hundreds of reads, after which nothing was proven."""
    sparse = pytest.importorskip("scipy.sparse")
    rng, X, y = drawn(5000, 5)
    p = 1 / np.arange(1, 201)
    levels = rng.choice(200, 5000, p=p / p.sum())
    H = sparse.csr_array((np.ones(5000), (np.arange(5000), levels)), shape=(5000, 200))
    rows, ones = np.bincount(levels, minlength=200), np.bincount(levels, y, minlength=200)
    pure = np.flatnonzero((rows > 0) & ((ones == 0) | (ones == rows)))
    with pytest.warns(ConvergenceWarning, match=f"column {5 + pure[0]}"):
        found = LogisticRegression(penalty_factor=np.repeat([1.0, 0.0], [5, 200]), backend=name).fit(
            sparse.csr_array(sparse.hstack([sparse.csr_array(X), H])), y
        )
    assert found.status_ == "separable" and found.n_passes_ < 30 and found.suboptimality_bound_ < 1e-8


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_that_lack_some_of_several_classes_take_the_reads_of_an_ordinary_fit(name, offset, dtype):
    """They took hundreds of reads, and nothing was proven."""
    rng = np.random.default_rng(5)
    m, n_levels, k = 1500, 60, 4
    X, p = rng.standard_normal((m, 3)), 1 / np.arange(1, n_levels + 1)
    levels = rng.choice(n_levels, m, p=p / p.sum())
    Z = X @ rng.standard_normal((3, k)) + rng.standard_normal((n_levels, k))[levels]
    y = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
    known = rng.standard_normal((m, k)) if offset else None
    X = np.c_[X, np.eye(n_levels)[levels]].astype(dtype)
    counts = np.array([np.bincount(y[levels == level], minlength=k) for level in range(n_levels)])
    lacking = ((counts == 0).any(axis=1) & (counts > 0).any(axis=1)).nonzero()[0]
    with pytest.warns(ConvergenceWarning, match=f"column.* {3 + lacking[0]}"):
        found = LogisticRegression(C=np.inf, backend=name).fit(X, y, offset=known)
    assert found.status_ == "separable" and found.suboptimality_bound_ < 1e-8
    assert found.n_passes_ < (30 if dtype == np.float64 else 45)
    assert (np.flatnonzero(found._separating) == 3 + lacking).all()
    objective = Objective.from_arrays(X.astype(float), y, C=np.inf, offset=known)
    value = objective.value_and_gradient(np.vstack([found.coef_.T, found.intercept_]).ravel())[0]
    other = LogisticRegression(C=np.inf, solver="lbfgs", tol=1e-5)
    with pytest.warns(ConvergenceWarning):
        other.fit(X.astype(float), y, offset=known)
    there = objective.value_and_gradient(np.vstack([other.coef_.T, other.intercept_]).ravel())[0]
    assert there >= value * (1 - found.suboptimality_bound_)


def combination(classes, total, dtype, seed=0):
    """Rows whose first two columns separate one class together, or all columns all classes."""
    rng, X, _ = drawn(3000, 8, seed)
    Z = X @ rng.standard_normal((8, classes))
    if total:
        best = np.sort(Z, axis=1)
        clear = best[:, -1] - best[:, -2] > 0.1
        return X[clear].astype(dtype), Z[clear].argmax(axis=1)
    y = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
    both = np.where(rng.random(3000) < 0.5, 0, rng.integers(1, 64, 3000) / 16) * np.where(y == 1, 1, -1)
    X[:, 0] = np.round(X[:, 0] * 64) / 64  # exact in float32, too
    X[:, 1] = (both - X[:, 0]) / 2
    return X.astype(dtype), y


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("total", [True, False])
def test_combinations_of_columns_are_found_in_the_reads_of_an_ordinary_fit(name, dtype, classes, total):
    """They took 17 to 900 reads, and in float32 some were not found."""
    X, y = combination(classes, total, dtype)
    with pytest.warns(ConvergenceWarning, match="grow"):
        found = LogisticRegression(C=np.inf, backend=name).fit(X, y)
    assert found.status_ == "separable" and found.n_passes_ < (15 if total else 50)
    if total:
        assert found.score(X, y) == 1
    else:
        assert np.flatnonzero(found._separating).tolist() == [0, 1] and found.suboptimality_bound_ < 1e-6


@pytest.mark.parametrize("weighted", [False, True])
def test_what_was_separated_stays_so_beside_combinations_that_are_found_later(weighted):
    """A direction ignored the classes that single columns had excluded, and lowered their leads below 0; and
    rows without weight decided how long it was. F was a thousand times its infimum."""
    rng = np.random.default_rng(0)
    X = rng.poisson(0.3, (120, 8)).astype(float)
    y = (X @ (3 * rng.standard_normal((8, 10))) + rng.gumbel(size=(120, 10))).argmax(axis=1)
    s = rng.integers(0, 3, 120).astype(float) if weighted else None
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, solver="lbfgs", backend="numpy").fit(X, y, sample_weight=s)
    parameters = {"C": np.inf, "l1_ratio": 0.0, "fit_intercept": True, "class_weight": None}
    distance, _ = Truth(Problem(0, "", X, y, s, parameters, [])).distance(model.coef_, model.intercept_)
    assert model.status_ == "separable" and distance <= model.suboptimality_bound_ < 1e-6


def test_a_step_beside_large_weights_lowers_no_lead_that_they_gave_below_what_is_enough():
    weights, ahead = np.array([1.0, 0.0]), np.array([[80.0], [50.0], [0.0]])
    step, lead = np.array([0.0, 1.0]), np.array([[-200.0], [30.0], [-1.0]])
    times = leads.longer(ahead, ahead > 0, lead)
    np.testing.assert_allclose(times * weights + step, [3.0, 1.0])
    np.testing.assert_allclose(times * ahead + lead, [[40.0], [180.0], [-1.0]])


@pytest.mark.parametrize("classes", [2, 4])
def test_a_fit_that_nothing_separates_takes_no_read_more(monkeypatch, classes):
    rng, X, _ = drawn(3000, 8, 1)
    y = (X @ rng.standard_normal((8, classes)) + rng.gumbel(size=(3000, classes))).argmax(axis=1)
    reads = [LogisticRegression(C=np.inf, backend="numpy").fit(X, y).n_passes_]
    monkeypatch.setattr(one_sided, "possible", lambda *_: False)
    reads.append(LogisticRegression(C=np.inf, backend="numpy").fit(X, y).n_passes_)
    assert reads[0] <= reads[1] + 64 / 3000  # the rows whose signs were looked at


def test_several_products_with_a_hessian_are_those_of_one():
    rng, X, _ = drawn(300, 4)
    y = rng.integers(0, 3, len(X))
    objective = Objective.from_arrays(X, y, offset=rng.standard_normal((len(X), 3)))
    w, V = rng.standard_normal(objective.size), rng.standard_normal((5, objective.size))
    several = objective.answer(HessianVector(w, V))
    one_by_one = [objective.hessian_vector(w, v) for v in V]
    np.testing.assert_allclose(several, one_by_one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs"])
@pytest.mark.parametrize("seed", [3, 6, 8])
def test_weights_of_float32_keep_the_bound_that_was_proven_before_they_were_rounded(solver, seed):
    """Six classes that are separated in part: once the weights were rounded, the bound was 1."""
    rng = np.random.default_rng([seed, 6, 2])
    X = (rng.random((120, 4)) * (rng.random((120, 4)) < 0.4)).astype(np.float32)
    margins = X / X.mean(axis=0) @ (rng.standard_normal((4, 6)) * [[1], [1], [1], [5]])
    y = (margins + rng.gumbel(size=(120, 6))).argmax(axis=1)
    objective = Objective.from_arrays(X.astype(np.float64), y, C=np.inf)

    def fitted(X, solver):
        with pytest.warns(ConvergenceWarning, match="grow"):
            model = LogisticRegression(C=np.inf, solver=solver, backend="numpy").fit(X, y)
        return model, objective.value_and_gradient(np.vstack([model.coef_.T, model.intercept_]).ravel())[0]

    (model, value), (_, least) = fitted(X, solver), fitted(X.astype(np.float64), "newton-cholesky")
    assert model.coef_.dtype == np.float32 and model.status_ == "separable"
    assert (value - least) / value <= model.suboptimality_bound_ < 1e-6


@pytest.mark.parametrize(
    "seed, solver, name", [(57010, "lbfgs", "numba"), (57097, "newton-subsampled", "numpy")]
)
def test_the_rounding_of_F_far_along_separated_rows_hides_no_proof(monkeypatch, seed, solver, name):
    """Combinations of columns separate, and no column does alone. F in float32 rose by rounding where the
    other rows prove a bound, which was then 1."""
    monkeypatch.setattr(one_sided, "possible", lambda *_: False)
    given = problem(seed)
    model = LogisticRegression(C=np.inf, solver=solver, backend=name, tol=1e-8, max_iter=1000)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model.fit(given.X, given.y, sample_weight=given.sample_weight)
    distance, _ = Truth(given).distance(model.coef_, model.intercept_)
    assert model.status_ == "separable" and distance <= model.suboptimality_bound_ < 1e-6


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_level_of_one_class_in_a_source(name, classes):
    """The search for such columns looks at rows in memory, and raised an error for those of a source."""
    rng = np.random.default_rng(classes)
    X = rng.standard_normal((600, 4))
    y = (X @ rng.standard_normal((4, classes)) + rng.gumbel(size=(600, classes))).argmax(axis=1)
    X[:, 0] = (y == 0) & (rng.random(600) < 0.2)

    def chunks():
        for rows in np.split(np.arange(600), 3):
            yield X[rows], y[rows]

    for given in ({"C": np.inf}, {"penalty_factor": [0, 1, 1, 1]}):
        with pytest.warns(ConvergenceWarning, match="column 0"):
            streamed = LogisticRegression(backend=name, **given).fit(scan(chunks))
        with pytest.warns(ConvergenceWarning, match="column 0"):
            here = LogisticRegression(backend=name, **given).fit(X, y)
        assert streamed.status_ == here.status_ == "separable"
        F, truth = (float(model.history_[-1].value) for model in (streamed, here))
        assert F - truth <= max(streamed.suboptimality_bound_, 1e-12) * F < 1e-4


def sparse_beside_dense(seed, m=900):
    """Columns that are zero but in a few rows, which a sample may lack; two of them separate these rows."""
    rng = np.random.default_rng(seed)
    X, Z = rng.standard_normal((m, 12)), np.zeros((m, 6))
    y = (X[:, 0] + rng.logistic(size=m) > 0).astype(int)
    for j in range(6):
        Z[rng.choice(m, 2 + j // 2, replace=False), j] = 10.0 ** rng.uniform(-6, 0)
    Z[:, :2] += Z[:, 2:4]
    for j in range(2):
        y[Z[:, j] > 0] = j
    return np.c_[X, Z].astype(np.float32), y


@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs"])
@pytest.mark.parametrize("seed", [3, 5])
def test_a_small_fit_is_proven_by_all_rows_where_some_lack_what_separates_the_others(
    monkeypatch, seed, solver
):
    """A proof by some rows knew nothing of columns that are zero in them, and the bound was 1."""
    monkeypatch.setattr(one_sided, "possible", lambda *_: False)
    X, y = sparse_beside_dense(seed)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, solver=solver, backend="numpy").fit(X, y)
    parameters = {"C": np.inf, "l1_ratio": 0.0, "fit_intercept": True, "class_weight": None}
    distance, _ = Truth(Problem(seed, "", X, y, None, parameters, [])).distance(model.coef_, model.intercept_)
    assert model.status_ == "separable" and distance <= model.suboptimality_bound_ < 1e-5


@pytest.mark.parametrize(
    "seed, solver", [(2, "newton-subsampled"), (6, "newton-cg"), (8, "newton-subsampled")]
)
def test_a_step_is_corrected_until_it_leaves_other_rows_where_they_are(monkeypatch, seed, solver):
    """Six classes, of which combinations of columns separate some: the bound was 1."""
    monkeypatch.setattr(one_sided, "possible", lambda *_: False)
    rng = np.random.default_rng([seed, 6, 2, 0])
    X = (rng.random((120, 4)) * (rng.random((120, 4)) < 0.4)).astype(np.float32)
    margins = (X - X.min(axis=0)) / X.std(axis=0) @ (rng.standard_normal((4, 6)) * [[1], [1], [1], [5]])
    y = (margins + rng.gumbel(size=(120, 6))).argmax(axis=1)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, solver=solver, backend="numpy").fit(X, y)
    assert model.status_ == "separable" and model.suboptimality_bound_ < 1e-5


@pytest.mark.parametrize("most", [1, 2, 3, 4, 6, 9])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_search_for_columns_keeps_to_the_budget(most, classes):
    """It took reads, up to two a round, before those that `max_passes` allowed."""
    rng, X, y = drawn(600, 4)
    X[:, 0] = (y == 0) & (rng.random(600) < 0.2)
    y = y + (classes > 2) * (X[:, 2] > 1)
    with pytest.warns(ConvergenceWarning):
        model = LogisticRegression(C=np.inf, max_passes=most).fit(X, y)
    assert model.n_passes_ <= most and np.isfinite(model.coef_).all()


def test_a_proof_that_fails_says_nothing_of_the_infimum():
    """Exact sums may exceed F in float32, by which the infimum of separated rows seemed to be positive."""
    rng, X, _ = drawn(200, 3)
    objective = Objective.from_arrays(X, (X[:, 0] > 0).astype(int), C=np.inf)
    exact = evaluate(objective, rng.standard_normal(objective.size))
    point = exact._replace(value=exact.value * (1 - 1e-5), rounding=1e-7 * exact.value)
    certificate = Certificate(objective.penalty, objective.start(exact.w), 1e-4, lambda: np.inf)
    certificate.rows, certificate.receded = objective, True
    asked = certificate.bound(point)
    assert next(asked).on is objective
    with pytest.raises(StopIteration) as ended:
        asked.send(exact)
    assert ended.value.value == 1 and certificate.lower == 0


@pytest.mark.parametrize("solver", ["auto", "newton-cholesky"])
def test_weights_beside_those_that_separate_are_rounded_together(solver):
    """Collinear columns have weights of 4e10; rounded one by one, they moved F by a share of 0.0016."""
    given = problem(57573)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, solver=solver, backend="numpy", tol=1e-4).fit(given.X, given.y)
    distance, _ = Truth(given).distance(model.coef_, model.intercept_)
    assert distance <= model.suboptimality_bound_ < 1e-4


def test_rounding_keeps_the_margins_of_collinear_columns():
    rng = np.random.default_rng(0)
    X = rng.integers(-8, 9, (200, 3)).astype(np.float32)
    X[:, 1:] = X[:, :1] + X[:, 1:] / 64
    y = (X[:, 0] + rng.logistic(size=200) > 0).astype(int)
    exact = rays.in_float64(Objective.from_arrays(X, y, C=np.inf))
    w = np.array([2e6 / 3, -5e6 / 3, 1e6 + 0.7, 0.1])
    together, reads = rays.rounded(exact, w, 1)
    changes = (v - w for v in (exact.at.rounded(w), together))
    plain, less = (abs(X.astype(float) @ d[:3] + d[3]).max() for d in changes)
    assert (together == exact.at.rounded(together)).all() and reads == 1
    assert less < plain / 2 and (rays.rounded(exact, w, 0)[0] == exact.at.rounded(w)).all()


@pytest.mark.parametrize("most", [24, 25, 26, 28])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_budget_that_ends_a_look_along_what_is_separated_leaves_a_bound(classes, most):
    """The bound was inf, or that of a point far along the direction."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 4))
    y = (X @ rng.standard_normal((4, classes)) + rng.gumbel(size=(600, classes))).argmax(axis=1)
    X[:, 0] = (y == 0) & (rng.random(600) < 0.2)
    least = LogisticRegression(C=np.inf, backend="numpy")
    with pytest.warns(ConvergenceWarning):
        model = LogisticRegression(C=np.inf, backend="numpy", max_passes=most).fit(scan(lambda: [(X, y)]))
        least.fit(X, y)
    F, infimum = model.history_[-1].value, least.history_[-1].value
    assert (F - infimum) / F <= model.suboptimality_bound_ + 1e-12 and model.suboptimality_bound_ <= 1


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_a_direction_that_separates_beside_a_column_far_from_zero(solver):
    """Rows in memory have its mean subtracted; the large weights were evaluated as if they had not."""
    given = problem(58716)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, solver=solver, backend="numpy").fit(given.X, given.y)
    distance, _ = Truth(given).distance(model.coef_, model.intercept_)
    assert distance <= model.suboptimality_bound_ + 1e-15 and model.suboptimality_bound_ < 1e-6


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("seed", range(3))
def test_huge_margins_do_not_decide_how_far_a_separated_fit_gets(name, seed):
    """Bands of one number, by it and its square. Margins of 1e8 changed by rounding: depending on their bits
    a fit ended at once, where rows that the last steps did not separate were up to 2 % from their optimum."""
    rng = np.random.default_rng(seed)
    x = rng.normal(53, 20, 600).clip(18, 90)
    X = np.c_[x, x * x]
    y = ((X - X.mean(axis=0)) / X.std(axis=0) @ rng.standard_normal((2, 6))).argmax(axis=1)
    y[rng.permutation(600)[:6]] = np.arange(6)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", backend=name).fit(X, y)
    parameters = {"C": np.inf, "l1_ratio": 0.0, "fit_intercept": True, "class_weight": None}
    truth = Truth(Problem(seed, "", X, y, None, parameters, []))
    least, most = truth.distance(model.coef_, model.intercept_)
    assert model.status_ == "separable" and least <= model.suboptimality_bound_ < 1e-6 and most < 1e-8
    value = float(truth.objective.at(model.coef_, model.intercept_).value) / len(X)
    assert model.history_[-1].value == pytest.approx(value, rel=1e-6)
