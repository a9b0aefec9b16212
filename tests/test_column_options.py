"""Penalties that differ from column to column: the optimum of scaled columns, and a true proof."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.preprocessing import StandardScaler

from logreg_accel import LogisticRegression, inference
from logreg_accel.losses import loss_of

SOLVERS = ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled", "projected-newton", "gd", "dual"]
L1_SOLVERS = ["prox-newton", "fista"]


def problem(classes=2, m=400, n=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) * [1, 0.3, 3, 1, 1][:n]
    z = X[:, :1] * np.arange(classes) + X[:, 1:2] + rng.gumbel(size=(m, classes))
    return X, z.argmax(axis=1), rng.random(m) + 0.2


def value(clf, X, y, s, l2, l1):
    """Scikit-learn's objective with a strength for each column."""
    z = clf.decision_function(X).reshape(len(y), -1)
    loss = (s[:, None] * loss_of(len(clf.classes_)).value_residual(z, y)[0]).sum()
    return loss + (l2 * clf.coef_**2).sum() / 2 + (l1 * abs(clf.coef_)).sum()


@pytest.mark.parametrize("solver", [*SOLVERS, *L1_SOLVERS, "auto"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "factors", [[2.0, 0.5, 1.0, 3.0, 0.25], [0.0, 1.0, 0.0, 2.0, 1.0]], ids=["all", "some"]
)
def test_every_solver_proves_the_optimum(solver, classes, factors):
    X, y, s = problem(classes)
    l1_ratio = 0.5 if solver in L1_SOLVERS else 0.0
    settings = {"C": 0.1, "l1_ratio": l1_ratio, "penalty_factor": factors, "max_iter": 50_000}
    clf = LogisticRegression(solver=solver, tol=1e-8, **settings).fit(X, y, s)
    exact = LogisticRegression(solver="prox-newton" if l1_ratio else "newton-cholesky", tol=1e-13, **settings)
    exact.fit(X, y, s)
    f = np.array(factors)
    here, least = (
        value(model, X, y, s, 10 * (1 - l1_ratio) * f, 10 * l1_ratio * f) for model in (clf, exact)
    )
    assert clf.status_ == "converged"
    assert -1e-11 * least <= here - least <= clf.suboptimality_bound_ * here + 1e-11 * least
    assert here - least <= 1.1e-8 * here
    if all(factors) and not l1_ratio:  # columns divided by the root of their factors are the same problem
        scaled = LogisticRegression(C=0.1, tol=1e-13, solver="newton-cholesky").fit(X / np.sqrt(f), y, s)
        np.testing.assert_allclose(exact.coef_, scaled.coef_ / np.sqrt(f), atol=1e-8)


def test_a_factor_of_zero_is_no_penalty_and_a_large_one_is_no_column():
    X, y, s = problem()
    free = LogisticRegression(C=1e-6, penalty_factor=[0, 0, 1, 1, 1], tol=1e-13).fit(X, y, s)
    few = LogisticRegression(C=np.inf, tol=1e-13).fit(X[:, :2], y, s)
    np.testing.assert_allclose(free.coef_[:, :2], few.coef_, atol=1e-4)
    assert abs(free.coef_[:, 2:]).max() < 1e-3
    one, none = (LogisticRegression(C=0.3, penalty_factor=f, tol=1e-13).fit(X, y) for f in (np.ones(5), None))
    np.testing.assert_allclose(one.coef_, none.coef_, atol=1e-10)


@pytest.mark.parametrize("layout", ["dense", "sparse", "float32"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.6])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
def test_standardize_is_a_fit_of_standardized_columns(layout, l1_ratio, weighted, intercept):
    X, y, s = problem()
    X = X * [1, 100, 1, 1, 1e-3] + ([0, 5000, 0, 7, 0] if intercept else 0)
    X[:, 2] *= np.abs(X[:, 2]) > 2
    s = s if weighted else None
    X = X.astype(np.float32) if layout == "float32" else X
    given = scipy.sparse.csr_array(X) if layout == "sparse" else X
    settings = {"C": 0.05, "l1_ratio": l1_ratio, "fit_intercept": intercept}
    clf = LogisticRegression(standardize=True, tol=1e-10, **settings).fit(given, y, s)
    scaler = StandardScaler(with_mean=intercept).fit(X.astype(float), sample_weight=s)
    reference = LogisticRegression(tol=1e-13, **settings).fit(scaler.transform(X.astype(float)), y, s)
    np.testing.assert_allclose(clf.scale_, scaler.scale_, rtol=1e-9)
    close = 1e-3 if layout == "float32" else 1e-4
    np.testing.assert_allclose(clf.coef_ * clf.scale_, reference.coef_, atol=close)
    assert clf.suboptimality_bound_ <= 1e-6 and clf.n_features_in_ == 5


def test_standardize_survives_columns_far_from_zero_and_constant_ones():
    X, y, _ = problem()
    far = X * 1e-3 + [1e6, 0, 0, 0, 0]
    far[:, 4] = 17.0
    clf = LogisticRegression(C=0.05, standardize=True).fit(far, y)
    np.testing.assert_allclose(clf.scale_[:4], far[:, :4].std(axis=0), rtol=1e-6)
    assert clf.scale_[4] == 1 and abs(clf.coef_[0, 4]) < 1e-6
    near = LogisticRegression(C=0.05, standardize=True).fit(X[:, :4], y)
    np.testing.assert_allclose(clf.coef_[0, :4] * clf.scale_[:4], near.coef_[0] * near.scale_, atol=1e-4)


def test_random_families_never_claim_too_much():
    """Bounds above the truth, whatever factors, scales, weights and correlations."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        m, n, classes = int(rng.integers(20, 200)), int(rng.integers(1, 8)), int(rng.integers(2, 4))
        X = rng.normal(size=(m, n)) @ rng.normal(size=(n, n)) * 10.0 ** rng.integers(-2, 3, n)
        y = rng.integers(0, classes, m)
        y[:classes] = np.arange(classes)
        factors = rng.choice([0, 0.1, 1, 7], n)
        C, l1_ratio = 10.0 ** rng.uniform(-3, 1), float(rng.choice([0, 0, 0.5, 1]))
        settings = {"C": C, "l1_ratio": l1_ratio, "penalty_factor": factors}
        loose = LogisticRegression(tol=1e-2, **settings).fit(X, y)
        tight = LogisticRegression(tol=1e-12, max_iter=5000, **settings).fit(X, y)
        l2, l1 = (1 - l1_ratio) / C * factors, l1_ratio / C * factors
        a, b = (value(model, X, y, np.ones(m), l2, l1) for model in (loose, tight))
        assert a - b <= loose.suboptimality_bound_ * a + 1e-12 * b, (m, n, classes, factors, C, l1_ratio)


def test_names_and_files(tmp_path):
    pandas = pytest.importorskip("pandas")
    from logreg_accel import load

    X, y, _ = problem()
    frame = pandas.DataFrame(X, columns=list("abcde"))
    named = LogisticRegression(penalty_factor={"b": 0, "d": 3.0}, standardize=True).fit(frame, y)
    plain = LogisticRegression(penalty_factor=[1, 0, 1, 3, 1], standardize=True).fit(frame, y)
    np.testing.assert_array_equal(named.coef_, plain.coef_)
    for clf in (named, plain):
        clf.save(tmp_path / "model.npz")
        back = load(tmp_path / "model.npz")
        np.testing.assert_array_equal(back.scale_, clf.scale_)
        assert dict(back.penalty_factor) == clf.penalty_factor if clf is named else True
        np.testing.assert_array_equal(back.fit(frame, y).coef_, clf.coef_)


@pytest.mark.parametrize(
    "factors, words",
    [
        ([1, 2, 3], r"`penalty_factor` has shape \(3,\); expected one number per column, \(5,\)"),
        ([1, 2, 3, -1, 1], "has -1.0 for column 3; expected finite numbers of at least 0"),
        ([1, 2, np.nan, 1, 1], "has nan for column 2"),
        (["a"] * 5, "`penalty_factor` must be numbers"),
        ({"a": 1}, "the columns of `X` have no names"),
    ],
)
def test_factors_that_are_refused(factors, words):
    X, y, _ = problem()
    with pytest.raises(ValueError, match=words):
        LogisticRegression(penalty_factor=factors).fit(X, y)


def test_what_cannot_be_combined():
    X, y, _ = problem(m=20)
    with pytest.raises(ValueError, match="`solver` is 'row-space', which takes one penalty"):
        LogisticRegression(solver="row-space", standardize=True).fit(X, y)
    with pytest.raises(ValueError, match="`standardize` is 'yes'; expected True or False"):
        LogisticRegression(standardize="yes").fit(X, y)
    with pytest.raises(ValueError, match="`standardize` is True, and partial_fit"):
        LogisticRegression(solver="sgd", standardize=True).partial_fit(X, y, classes=[0, 1])
    X, y, _ = problem()
    clf = LogisticRegression(C=0.1, penalty_factor=[0, 1, 2, 1, 1], standardize=True, tol=1e-13).fit(X, y)
    result = inference(clf, X, y, penalised=True)
    A, p = np.hstack([np.ones((len(X), 1)), X]), clf.predict_proba(X)[:, 1]
    H = A.T @ (A * (p * (1 - p))[:, None])
    bread = np.linalg.inv(H + np.diag(np.append(0, 10 * clf.scale_**2 * [0, 1, 2, 1, 1])))
    np.testing.assert_allclose(result.bse, np.sqrt((bread @ H @ bread).diagonal()), rtol=1e-7)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_tiny_sparse_columns_without_zeros_are_standardized(backend):
    """Such columns are in float64 already when their means are subtracted."""
    rng = np.random.default_rng(0)
    X = (1e-30 * rng.standard_normal((60, 3))).astype(np.float32)
    y = (X[:, 0] + 1e-30 * rng.standard_normal(60) > 0).astype(int)
    clf = LogisticRegression(standardize=True, C=0.5, backend=backend).fit(scipy.sparse.csr_array(X), y)
    np.testing.assert_allclose(clf.scale_, X.astype(np.float64).std(axis=0), rtol=1e-12)
    scaled = LogisticRegression(C=0.5).fit(StandardScaler().fit_transform(X.astype(np.float64)), y)
    np.testing.assert_allclose(clf.coef_ * clf.scale_, scaled.coef_, rtol=1e-4)


@pytest.mark.parametrize("value, words", [(np.inf, "contains infinity: first at row 3"), (1e200, "overflow")])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_columns_without_a_deviation_are_refused_and_nobody_is_warned(value, words):
    X, y, _ = problem(m=20)
    X[3, 1], X[7, 2] = value, -value
    with pytest.raises(ValueError, match=words):
        LogisticRegression(standardize=True).fit(X, y)
