"""What a fit says is true: problems on which version 0.1.0 said what was not, and columns far from zero."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from family import losses
from family.reference import Exact, optimum
from sklearn.exceptions import ConvergenceWarning

from conftest import CPU_BACKENDS, FLOATS, draw
from logreg_accel import LogisticRegression, certificate, repair, solvers
from logreg_accel.coordinates import Coordinates
from logreg_accel.systems import Matrix

SOLVERS = ["newton-cholesky", "newton-cg", "newton-subsampled", "lbfgs"]


def value_of(coef, intercept, X, y, C=1.0):
    """F in long double, for margins that may cancel."""
    w = coef.ravel().astype(np.longdouble)
    z = X.astype(np.longdouble) @ w + np.longdouble(intercept.ravel()[0])
    loss = np.logaddexp(np.longdouble(0), np.where(y == 1, -z, z)).sum()
    return float((loss + w @ w / (2 * np.longdouble(C))) / len(y))


def centred_optimum(X, y, C=1.0):
    """F at the optimum, by the same problem with columns around zero."""
    centred = (X.astype(np.longdouble) - X.astype(np.longdouble).mean(axis=0)).astype(np.float64)
    exact = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-14, backend="numpy").fit(centred, y)
    return value_of(exact.coef_, exact.intercept_, centred, y, C)


def uncentred(dtype, distance, m=2000):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, 6))
    y = (rng.random(m) < 1 / (1 + np.exp(1 - 2 * X[:, 0]))).astype(int)
    X[:, 3] += distance
    return X.astype(dtype), y


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "dtype, distance",
    [("float64", 1e6), ("float64", 1e9), ("float32", 2e3), ("float32", 1e5), ("float32", 1e6)],
)
def test_columns_far_from_zero(name, solver, dtype, distance):
    X, y = uncentred(dtype, distance)
    found = LogisticRegression(solver=solver, backend=name).fit(X, y)
    value, least = value_of(found.coef_, found.intercept_, X, y), centred_optimum(X, y)
    assert found.status_ == "converged"
    assert (value - least) / value <= min(1e-8, found.suboptimality_bound_ + 1e-12)
    np.testing.assert_array_equal(found.predict(X), found.predict(X.astype(np.float64)))


@pytest.mark.parametrize("solver", [*SOLVERS, "row-space"])
def test_sparse_columns_far_from_zero_stay_sparse(solver, monkeypatch):
    X, y = uncentred("float64", 1e5, m=300)
    rng = np.random.default_rng(1)
    X = np.c_[X[:, 3], X[:, :3] * (rng.random((300, 3)) < 0.2), rng.random((300, 60)) < 0.02]
    dense = LogisticRegression(solver=solver, tol=1e-10).fit(X, y)
    sparse, made_dense = scipy.sparse.csr_array(X), scipy.sparse.csr_array.toarray

    def toarray(matrix):
        assert matrix.shape != sparse.shape, "X was made dense"
        return made_dense(matrix)

    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", toarray)
    found = LogisticRegression(solver=solver, tol=1e-10).fit(sparse, y)
    assert found.status_ == "converged"
    np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("solver", [*SOLVERS[:2], "row-space"])
@pytest.mark.parametrize("distance", [1e9, 1e11])
def test_sparse_columns_keep_their_digits_at_any_distance(name, solver, distance):
    """Squares of the distance from zero cancelled in the Gram matrix, which then had no factor."""
    rng = np.random.default_rng(0)
    Z, levels = rng.standard_normal((120, 2)), rng.random((120, 12)) < 0.1
    X, y = np.c_[Z + distance, levels], (Z @ [2, -2] + rng.logistic(size=120) > 0).astype(int)
    found = LogisticRegression(solver=solver, backend=name).fit(scipy.sparse.csr_array(X), y)
    exact = Exact(X, losses.of(y, 2), np.ones(120), 1.0, 0.0, intercept=True)
    value, least = exact.at(found.coef_, found.intercept_).value, optimum(exact).upper
    assert found.status_ == "converged"
    assert (value - least) / value <= found.suboptimality_bound_ + 1e-13


def test_callbacks_and_warm_starts_speak_of_the_columns_as_they_are():
    X, y = uncentred("float64", 1e7)
    seen = []
    model = LogisticRegression(callback=lambda record, w: seen.append(w), warm_start=True).fit(X, y)
    np.testing.assert_array_equal(seen[-1][:-1], model.coef_[0])
    np.testing.assert_allclose(seen[-1][-1], model.intercept_[0], rtol=1e-12)
    assert model.fit(X, y).n_iter_ <= 2


def test_an_outlier_kills_no_bound():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 1))
    y = (X[:, 0] + 0.3 * rng.standard_normal(40) > 0).astype(int)
    X[20] = 300 * (1 if y[20] else -1)
    found = LogisticRegression().fit(X, y)
    assert found.status_ == "converged" and found.suboptimality_bound_ <= 1e-8


def test_a_metric_some_steps_old_proves_nothing():
    rng = np.random.default_rng(7)
    X = rng.standard_normal((40, 3))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    found = LogisticRegression(C=1e8, tol=1e-4, solver="newton-subsampled").fit(X, y)
    exact = LogisticRegression(C=1e8, tol=1e-12, solver="newton-cholesky").fit(X, y)
    value, least = (value_of(f.coef_, f.intercept_, X, y, 1e8) for f in (found, exact))
    true = (value - least) / value
    assert true <= found.suboptimality_bound_ * (1 + 1e-9) + 1e-12
    assert found.status_ != "converged" or true <= 1e-4


def test_a_truncated_decrement_proves_nothing():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    X = rng.standard_normal((2000, 60)) * np.logspace(0, -4, 60) @ Q
    y = (rng.random(2000) < 1 / (1 + np.exp(-X @ rng.standard_normal(60) * 3))).astype(int)
    found = LogisticRegression(C=1e10, tol=1e-4, solver="newton-cg").fit(X, y)
    exact = LogisticRegression(C=1e10, tol=1e-12, solver="newton-cholesky").fit(X, y)
    value, least = (value_of(f.coef_, f.intercept_, X, y, 1e10) for f in (found, exact))
    assert found.status_ == "converged" and (value - least) / value <= 1e-4


def one_hot(m=5000):
    rng = np.random.default_rng(0)
    level = rng.integers(0, 10, m)
    rate = np.array([0.2, 0.5, 0.7, 1.0, 0.3, 0.4, 0.6, 0.0, 0.5, 0.8])
    return np.eye(10)[level], (rng.random(m) < rate[level]).astype(int)


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_quasi_separation_is_named_by_column(solver):
    """Levels 3 and 7 of ten have rows of one class alone."""
    X, y = one_hot()
    with pytest.warns(match="weights of column 3, column 7 grow"):
        found = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    assert found.status_ == "separable" and np.isfinite(found.coef_).all()
    if solver == "auto":
        assert found.n_passes_ < 20


def test_separating_columns_have_names():
    pandas = pytest.importorskip("pandas")
    X, y = one_hot(1000)
    frame = pandas.DataFrame(X, columns=[f"level {i}" for i in range(10)])
    with pytest.warns(match="'level 3', 'level 7'"):
        LogisticRegression(C=np.inf).fit(frame, y)


def test_data_that_a_penalty_bounds_are_not_called_separable():
    X, y = one_hot(1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LogisticRegression(C=1e3).fit(X, y).status_ == "converged"


@pytest.mark.parametrize("solver", SOLVERS[:3])
def test_directions_that_rounding_hides_are_found(solver):
    """Without an intercept no column is centred, and a lifted Hessian crept along them for 150 steps."""
    rng = np.random.default_rng(2)
    Z = rng.standard_normal((300, 10))
    y = (Z @ rng.standard_normal((10, 4)) * 2 + rng.gumbel(size=(300, 4))).argmax(axis=1)
    model = LogisticRegression(C=100, fit_intercept=False, solver=solver, max_iter=150, backend="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = model.fit(Z + 10.0 ** np.arange(10), y)
    assert found.n_iter_[0] < 50
    assert found.history_[-1].value <= 0.551558


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_an_intercept_that_cancel_keep_their_digits(seed):
    """Two columns at 3e12 have opposite weights: the intercept had a larger error than the bound allows."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((120, 2))
    X, y = Z + 3e12, (Z @ [2, -2] + rng.logistic(size=120) > 0).astype(int)
    found = LogisticRegression(backend="numpy", tol=1e-6).fit(X, y)
    exact = Exact(X, losses.of(y, 2), np.ones(120), 1.0, 0.0, intercept=True)
    value, least = exact.at(found.coef_, found.intercept_).value, optimum(exact).upper
    assert found.status_ == "converged"
    assert (value - least) / value <= found.suboptimality_bound_ + 1e-12
    assert found.suboptimality_bound_ < 1e-7


def test_columns_whose_squares_are_zero_are_no_warning():
    X = 1e-310 * np.random.default_rng(0).standard_normal((40, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(solver="gd", C=np.inf, fit_intercept=False, backend="numpy").fit(
            X, np.arange(40) % 2
        )
    assert np.isfinite(model.coef_).all()


def test_weights_beyond_the_dtype_are_no_warning():
    """A step along a direction of almost no curvature left the range of float32."""
    with np.errstate(over="raise", invalid="raise"):
        at = Coordinates(2, 1, False, np.dtype("float32"))
        assert np.isfinite(at.rounded([1e300, -1e300])).all()
        assert np.isnan(at.rounded([np.nan, 1.0])[0])


def test_labels_that_nearly_separate_have_an_optimum():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((400, 3))
    y = (X[:, 0] > 0).astype(int)
    y[np.abs(X[:, 0]).argsort()[:30]] ^= 1
    found = LogisticRegression(C=np.inf).fit(X, y)
    assert found.status_ == "converged" and found.suboptimality_bound_ <= 1e-8


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_the_bound_of_float32_under_an_l1_penalty_is_not_zero(l1_ratio):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 5)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    found = LogisticRegression(l1_ratio=l1_ratio, solver="fista", tol=1e-12).fit(X, y)
    assert 0 < found.suboptimality_bound_ < 1e-4


def test_tile_sums_in_float32_count_in_the_bound():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 6), dtype=np.float32)
    y = np.zeros(100_000, dtype=int)
    y[:10] = 1
    found = LogisticRegression(backend="numpy").fit(X, y)
    exact = LogisticRegression(backend="numpy", solver="newton-cholesky", tol=1e-13).fit(
        X.astype(np.float64), y
    )
    value, least = (value_of(f.coef_, f.intercept_, X, y) for f in (found, exact))
    assert (value - least) / value <= found.suboptimality_bound_


def test_a_year_in_float32_ends_by_proof_or_with_a_warning():
    rng = np.random.default_rng(0)
    X = np.c_[rng.integers(1990, 2020, 500), rng.standard_normal((500, 3))].astype(np.float32)
    y = (rng.random(500) < 1 / (1 + np.exp(-0.2 * (X[:, 0] - 2005)))).astype(int)
    found = LogisticRegression(l1_ratio=0.5, C=10.0, tol=1e-4).fit(X, y)
    assert found.status_ == "converged" and found.suboptimality_bound_ <= 1e-4


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("C", [1.0, 1e4, np.inf])
@pytest.mark.parametrize("solver", SOLVERS)
def test_bounds_are_tight(solver, C, dtype):
    X, y, s, _ = draw(3000, 8, dtype, weighted=True)
    found = LogisticRegression(solver=solver, C=C, tol=1e-4).fit(X, y, s)
    assert found.status_ == "converged" and found.suboptimality_ <= found.suboptimality_bound_ <= 1e-4
    exact = LogisticRegression(solver="newton-cholesky", C=C, tol=1e-13).fit(X, y, s)
    assert exact.suboptimality_bound_ < (1e-9 if dtype == "float64" else 1e-6)


def test_a_fit_of_many_classes_ends_in_time():
    X, _, _, _ = draw(4000, 20)
    y = np.random.default_rng(0).integers(0, 500, 4000)
    with pytest.warns():
        found = LogisticRegression(max_seconds=0.3).fit(X, y)
    assert found.status_ == "max_seconds" and found.suboptimality_bound_ <= 1


def test_sgd_is_left_in_the_columns_as_they_are():
    X, y = uncentred("float64", 1e6, m=200)
    model = LogisticRegression(solver=solvers.sgd(), max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    assert np.isfinite(model.coef_).all()


def test_softmax_of_many_parameters_is_proven_at_once():
    """A shift of all classes has no curvature; taken for a direction like others, it spoilt every proof."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40_000, 65), dtype=np.float32)
    y = np.argmax(X[:, :10] + rng.gumbel(size=(40_000, 10)), axis=1)
    model = LogisticRegression(tol=1e-6, solver="newton-subsampled").fit(X, y)
    assert model.status_ == "converged" and model.suboptimality_bound_ <= 1e-6 and model.n_passes_ < 15


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_wide_float32_data_leave_the_start(solver):
    """A line search that ended above its start reported the untrained model as the noise floor."""
    X = np.random.default_rng(0).standard_normal((100, 20_000), dtype=np.float32)
    found = LogisticRegression(solver=solver, backend="numpy").fit(X, X[:, 0] > 0)
    assert found.status_ == "converged" and found.coef_.any() and found.score(X, X[:, 0] > 0) == 1


def test_log_probabilities_of_several_classes_keep_their_tails():
    model = LogisticRegression(backend="numpy").fit(np.eye(3), [0, 1, 2])
    model.coef_, model.intercept_ = 50 * np.eye(3), np.zeros(3)
    tail = model.predict_log_proba([[1.0, 0.0, 0.0]])[0, 0]
    assert tail == pytest.approx(-np.log1p(2 * np.exp(-50.0)), rel=1e-12, abs=0)


def test_nearly_collinear_columns_without_a_penalty_are_proven():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((300, 5))
    X[:, 4] = X[:, 0] + 1e-7 * X[:, 4]
    y = (rng.random(300) < 0.4).astype(int)
    found = LogisticRegression(solver="lbfgs", C=np.inf, backend="numpy").fit(X, y)
    exact = optimum(Exact(X, losses.of(y, 2), np.ones(300), 0.0, 0.0, intercept=True))
    least, value = float(exact.upper) / 300, found.history_[-1].value
    assert (value - least) / value <= found.suboptimality_bound_ + 1e-12 <= 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
def test_bounds_are_tight_far_from_zero_without_an_intercept(solver):
    """The terms of ∇F·(v − w) cancel there: the sum of their sizes is large, the product is not."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((98, 1)) + 0.01 * rng.standard_normal((98, 16)) + 1e5 * rng.standard_normal(16)
    y = (rng.random(98) < 0.1).astype(int)
    found = LogisticRegression(C=np.inf, fit_intercept=False, solver=solver, tol=1e-8).fit(X, y)
    assert found.status_ == "converged" and found.suboptimality_bound_ <= 1e-8


@pytest.mark.parametrize("solver", [*SOLVERS, "row-space"])
def test_classes_that_shift_together_beside_columns_of_other_units(solver):
    """Only a penalty, negligible beside such columns, limits the common shift of all classes."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((160, 6)) * [1e10, 1, 1, 1, 1e-10, 1e10]
    y = rng.integers(0, 5, 160)
    found = LogisticRegression(C=200, solver=solver, tol=1e-8, backend="numpy").fit(X, y)
    exact = optimum(Exact(X, losses.of(y, 5), np.ones(160), 1 / 200, 0.0, intercept=True))
    value = found.history_[-1].value * 160
    assert found.status_ == "converged"
    assert (value - float(exact.upper)) / value <= found.suboptimality_bound_ + 1e-12 <= 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_not_separated_proves_how_low_the_loss_can_fall(solver):
    """Rows of levels with both classes have the loss of their rates; the others tend to none."""
    X, y = one_hot()
    with pytest.warns(ConvergenceWarning, match="separable"):
        found = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    n = X.sum(axis=0)
    rate = (X.T @ y / n)[(n > 0) & (X.T @ y % n > 0)]
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)) @ n[X.T @ y % n > 0] / n.sum()
    value = value_of(found.coef_, found.intercept_, X, y, np.inf)
    assert (value - entropy) / value <= found.suboptimality_bound_ * (1 + 1e-9) + 1e-12
    assert found.suboptimality_bound_ <= 1e-2


@pytest.mark.parametrize("solver", [*SOLVERS, "prox-newton"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_columns_without_a_penalty_that_separate_are_named(solver, dtype):
    """The fit was called converged once F was 0 in the arithmetic."""
    rng = np.random.default_rng(0)
    X, y = np.c_[np.arange(12), rng.standard_normal((12, 2))].astype(dtype), (np.arange(12) > 5).astype(int)
    with pytest.warns(ConvergenceWarning, match="separable and some have no penalty"):
        found = LogisticRegression(penalty_factor=[0, 1, 1], solver=solver, backend="numpy").fit(X, y)
    assert found.status_ == "separable" and found.suboptimality_bound_ == 1
    bounded = LogisticRegression(penalty_factor=[1, 0, 0], tol=1e-6, backend="numpy").fit(X, y)
    assert bounded.status_ == "converged"


def test_what_rounding_hides_is_never_told_too_small():
    """A proof by some rows keeps its factor if another one would reduce the bound by little."""
    rng = np.random.default_rng(0)
    A, ridge = rng.standard_normal((40, 6)), np.full(6, 0.1)
    metric = Matrix(A.T @ A + np.diag(ridge), None, None, ridge, True)
    error = rng.random(6)
    exact, held = metric.cost(error, 5.0), metric.cost(error, 1.0)
    assert exact < held and metric.cost(error, 5.0, 0.9 * held) == exact
    assert metric.cost(error, 5.0, held) == held
    assert metric.cost(error, 0.2, np.inf) > held, "fewer rows than these hide more, whatever is little"


def test_slopes_that_a_step_leaves_are_no_part_of_its_decrement():
    """Constant columns are collinear with the intercept, and L1 leaves them a slope: the bound was low."""
    X = np.tile([0.38202344, -0.10692401, -0.49587901, 1.26466061, -0.1244973], (4, 1))
    s = np.array([6.83829626e06, 2.46866465e05, 9.04824251e03, 1.27299036e-01])
    clf = LogisticRegression(C=23.06, l1_ratio=1.0, solver="prox-newton", tol=1e-4, backend="numpy")
    clf.fit(X, [1, 1, 0, 0], sample_weight=s)

    def value(z):
        return s[:2].sum() * np.log1p(np.exp(-z)) + s[2:].sum() * np.log1p(np.exp(z))

    least, found = value(np.log(s[:2].sum() / s[2:].sum())), value(clf.decision_function(X)[0])
    assert (found - least) / found <= clf.suboptimality_bound_ + 1e-13


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_proof_on_a_sample_without_a_matrix(n_classes, monkeypatch):
    for module in (certificate, repair):
        monkeypatch.setattr(module, "FACTORED_UP_TO", 5)
    X, _, _, _ = draw(60_000, 20, "float32")
    y = (X[:, :n_classes] + np.random.default_rng(0).gumbel(size=(len(X), n_classes))).argmax(axis=1)
    model = LogisticRegression(solver="newton-subsampled", tol=1e-6).fit(X, y)
    assert model.status_ == "converged" and model.suboptimality_ <= model.suboptimality_bound_ <= 1e-6
