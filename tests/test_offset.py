"""Offsets of the margins: by every solver, certified as without, and in predictions and inference."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import scipy.special
import sklearn
from inference_problems import fitted
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score

from conftest import BACKENDS
from logreg_accel import LogisticRegression, Objective, inference
from logreg_accel.losses import loss_of
from logreg_accel.penalty import Penalty
from logreg_accel.solvers import questions as ask

SOLVERS = [
    "newton-cholesky",
    "newton-cg",
    "lbfgs",
    "newton-subsampled",
    "gd",
    "row-space",
    "dual",
    "prox-newton",
    "fista",
]


def problem(classes=2, m=240, n=4, seed=0, reach=2.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n))
    offset = reach * rng.normal(size=(m, classes))
    z = X[:, :1] * np.arange(classes) + offset + rng.gumbel(size=(m, classes))
    offset = offset[:, 1] - offset[:, 0] if classes == 2 else offset
    return X, z.argmax(axis=1), offset, rng.random(m) + 0.2


def optimum(X, y, offset, s, C, l1_ratio=0.0):
    """F at the optimum, by SciPy on the formula in halves w = u − v of both signs."""
    k = 1 if offset.ndim == 1 else offset.shape[1]
    m, n = X.shape
    loss = loss_of(2 if k == 1 else k)

    def value(u):
        W = u[: n * k].reshape(n, k) - u[n * k : 2 * n * k].reshape(n, k)
        Z = X @ W + u[2 * n * k :] + offset.reshape(m, -1)
        f, R = loss.value_residual(Z, y)
        G = X.T @ (s[:, None] * R) + (1 - l1_ratio) / C * W
        g = np.concatenate([G.ravel() + l1_ratio / C, l1_ratio / C - G.ravel(), (s[:, None] * R).sum(axis=0)])
        total = (s[:, None] * f).sum() + (1 - l1_ratio) / (2 * C) * (W**2).sum()
        return total + l1_ratio / C * u[: 2 * n * k].sum(), g

    bounds = [(0, None)] * (2 * n * k) + [(None, None)] * k
    found = scipy.optimize.minimize(
        value,
        np.zeros(len(bounds)),
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-10},
    )
    return found.fun


@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_solver_finds_the_optimum_and_proves_it(solver, classes):
    X, y, offset, s = problem(classes)
    l1_ratio = 0.4 if solver in ("prox-newton", "fista") else 0.0
    clf = LogisticRegression(C=0.5, l1_ratio=l1_ratio, solver=solver, tol=1e-9, max_iter=100_000)
    clf.fit(X, y, s, offset=offset)
    least = optimum(X, y, offset, s, 0.5, l1_ratio)
    Z = clf.decision_function(X, offset=offset)
    value = (s[:, None] * loss_of(classes).value_residual(Z.reshape(len(X), -1), y)[0]).sum()
    value += 2 * ((1 - l1_ratio) / 2 * (clf.coef_**2).sum() + l1_ratio * abs(clf.coef_).sum())
    assert clf.status_ == "converged"
    if solver == "dual":  # whose epochs know no offset: conjugate gradients go on
        compiled = LogisticRegression(C=0.5, solver=solver, backend="numba", tol=1e-9).fit(
            X, y, s, offset=offset
        )
        np.testing.assert_allclose(compiled.coef_, clf.coef_, atol=1e-3)
    assert -1e-8 * least <= value - least <= 1e-7 * least
    assert value - least <= clf.suboptimality_bound_ * value + 1e-9 * least


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_backend_adds_it(name, sparse, classes, dtype):
    X, y, offset, s = problem(classes)
    X = X.astype(dtype)
    objective = Objective.from_arrays(
        scipy.sparse.csr_array(X) if sparse else X, y, s, C=0.3, backend=name, offset=offset
    )
    w = np.random.default_rng(5).normal(size=objective.size).astype(dtype).astype(float)
    W = w.reshape(5, -1)
    f, R = loss_of(classes).value_residual(X.astype(float) @ W[:-1] + W[-1] + offset.reshape(len(X), -1), y)
    value, gradient = objective.value_and_gradient(w)
    rtol = 1e-12 if dtype == "float64" else 3e-5
    expected = (s[:, None] * f).sum() + (W[:-1] ** 2).sum() / 0.6
    assert value == pytest.approx(expected / s.sum(), rel=rtol)
    G = np.vstack([X.T.astype(float), np.ones(len(X))]) @ (s[:, None] * R) + np.vstack(
        [W[:-1] / 0.3, 0 * W[-1:]]
    )
    np.testing.assert_allclose(gradient, G.ravel() / s.sum(), rtol=rtol, atol=rtol)
    v = np.random.default_rng(6).normal(size=objective.size)
    np.testing.assert_allclose(
        objective.hessian(w) @ v, objective.hessian_vector(w, v), rtol=100 * rtol, atol=rtol
    )


def test_an_offset_that_is_a_column_takes_its_weight_away():
    X, y, _, _ = problem(m=600)
    plain = fitted(X, y, solver="newton-cholesky")
    moved = LogisticRegression(C=np.inf, tol=1e-13, solver="newton-cholesky").fit(X, y, offset=2 * X[:, 0])
    np.testing.assert_allclose(moved.coef_[0], plain.coef_[0] - [2, 0, 0, 0], atol=1e-8)
    a, b = inference(plain, X, y), inference(moved, X, y, offset=2 * X[:, 0])
    np.testing.assert_allclose(a.bse, b.bse, rtol=1e-7)
    assert a.llf == pytest.approx(b.llf, rel=1e-12) and b.llnull < b.llf


@pytest.mark.parametrize("classes", [2, 3])
def test_inference_beside_an_offset(classes):
    """The null model has an intercept and the offset; a fit without other columns has the same likelihood."""
    X, y, offset, s = problem(classes)
    clf = LogisticRegression(C=np.inf, tol=1e-13).fit(X, y, s, offset=offset)
    result = inference(clf, X, y, s, offset=offset, vcov="HC1")
    nothing = np.random.default_rng(0).normal(size=(len(X), 1)) * 1e-9
    null = LogisticRegression(C=1e-6, tol=1e-13, solver="newton-cholesky").fit(nothing, y, s, offset=offset)
    Z = null.decision_function(nothing, offset=offset).reshape(len(X), -1)
    assert result.llnull == pytest.approx(
        -(s[:, None] * loss_of(classes).value_residual(Z, y)[0]).sum(), rel=1e-9
    )
    with pytest.raises(ValueError, match="`offset` are not those of the fit"):
        inference(clf, X, y, s)


def test_large_offsets_do_not_look_like_separation():
    """Rows that are far on their side by the offset alone prove nothing about X."""
    X, y, _, _ = problem(m=300)
    clf = LogisticRegression(C=np.inf, tol=1e-6).fit(X, y, offset=np.where(y == 1, 25.0, -25.0))
    assert clf.status_ != "separable"


@pytest.mark.parametrize("options", [{}, {"bounds": ([-np.inf, 0], [np.inf, 1e-5])}], ids=["", "bounds"])
@pytest.mark.parametrize("classes", [2, 3])
def test_separation_is_seen_beside_offsets(classes, options):
    """Weights without a penalty used to grow until F was 0 in float64 and the status "converged", without a
    warning."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 2))
    y = np.argsort(np.argsort(X[:, 0])) * classes // 6
    offset = 10 * rng.normal(size=6 if classes == 2 else (6, 3))
    clf = LogisticRegression(penalty_factor=[0, 10], **options)
    with pytest.warns(ConvergenceWarning, match="separable.*the weights of column 0 grow"):
        clf.fit(X, y, offset=offset)
    assert clf.status_ == "separable" and clf.suboptimality_bound_ > 0.1 and clf.n_passes_ < 100


def test_predictions_take_it():
    X, y, offset, _ = problem()
    clf = LogisticRegression().fit(X, y, offset=offset)
    z = clf.decision_function(X)
    np.testing.assert_allclose(clf.decision_function(X, offset=offset), z + offset, rtol=1e-12)
    np.testing.assert_array_equal(clf.predict(X, offset=offset), (z + offset > 0).astype(int))
    np.testing.assert_allclose(
        clf.predict_proba(X, offset=offset)[:, 1], 1 / (1 + np.exp(-z - offset)), rtol=1e-9
    )


def test_scores_take_it_and_searches_pass_it_on():
    rng = np.random.default_rng(0)
    X, offset = rng.normal(size=(200, 2)), 3 * rng.normal(size=200)
    y = (X[:, 0] + offset + rng.logistic(size=200) > 0).astype(int)
    model = LogisticRegression().fit(X, y, offset=offset)
    assert model.score(X, y, offset=offset) == (model.predict(X, offset=offset) == y).mean()
    assert model.score(X, y, offset=offset) > model.score(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = LogisticRegression().set_fit_request(offset=True).set_score_request(offset=True)
        found = cross_val_score(routed, X, y, cv=KFold(2), params={"offset": offset})
    halves = np.split(np.arange(200), 2)
    for score, (test, train) in zip(found, (halves, halves[::-1]), strict=True):
        fold = LogisticRegression().fit(X[train], y[train], offset=offset[train])
        assert score == fold.score(X[test], y[test], offset=offset[test])


@pytest.mark.parametrize(
    "offset, words",
    [
        (np.zeros(239), r"`offset` has shape \(239,\); expected one number per row, \(240,\)"),
        (np.zeros((240, 3)), r"`offset` has shape \(240, 3\)"),
        (np.where(np.arange(240) == 7, np.nan, 0), "not finite, first in row 7"),
        (np.where(np.arange(240) == 7, np.inf, 0), "not finite, first in row 7"),
        (["a"] * 240, "`offset` must be real numbers"),
    ],
)
def test_offsets_that_are_refused(offset, words):
    X, y, right, _ = problem()
    with pytest.raises(ValueError, match=words):
        LogisticRegression().fit(X, y, offset=offset)
    with pytest.raises(ValueError, match=words):
        LogisticRegression().fit(X, y, offset=right).predict(X, offset=offset)
    X, y, _, _ = problem(3)
    with pytest.raises(ValueError, match=r"expected one number per row and class, \(240, 3\)"):
        LogisticRegression().fit(X, y, offset=right)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("solver", ["newton-cg", "newton-cholesky"])
def test_offsets_that_leave_next_to_no_curvature_fail_no_fit(solver):
    """Products along directions that were not finite were reported as an overflow of X."""
    rng = np.random.default_rng([5, 58])
    m, _ = int(rng.integers(20, 200)), rng.random()
    X, size, _ = rng.standard_normal((m, 3)), 10.0 ** rng.integers(6, 11), rng.choice([0, 1])
    offset = size + rng.choice([1, size]) * rng.standard_normal(m)
    y = rng.integers(0, 2, m)
    model = LogisticRegression(C=1e3, solver=solver, backend="numpy", tol=1e-10)
    found = model.fit(X, y, offset=offset)
    assert np.isfinite(found.coef_).all() and 0 <= found.suboptimality_ <= found.suboptimality_bound_ <= 1


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{"C": np.inf}, {"l1_ratio": 1.0}, {"C": np.inf, "solver": "newton-cg"}])
@pytest.mark.parametrize("classes", [2, 3])
def test_nobody_is_warned_of_what_overflows_on_the_way(options, classes):
    """Offsets leave no curvature, so that an estimate, or the ends of a step, may be infinite."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.integers(-1, 2, (4, 3)).astype(float)
        offset = 1e3 * rng.standard_normal((4, 3) if classes == 3 else 4)
        model = LogisticRegression(**options).fit(X, np.array([0, 1, 2, 0]) % classes, offset=offset)
        assert np.isfinite(model.coef_).all() and model.suboptimality_ <= model.suboptimality_bound_


@pytest.mark.parametrize("seed", range(12))
def test_the_rounding_of_large_offsets_is_part_of_the_bound(seed):
    """Margins of 1e4 have errors of 1e-12, and so may the values that the proof compares."""
    rng = np.random.default_rng(seed)
    X, y, offset = rng.normal(size=(200, 3)), rng.integers(0, 3, 200), rng.normal(size=(200, 3))
    offset += 1e4 * (rng.random((200, 1)) < 0.3)
    X = np.column_stack([X, -1e-4 * offset[:, 0]])

    def value(model):
        W, b = (a.astype(np.longdouble) for a in (model.coef_, model.intercept_))
        Z = X @ W.T + b + offset
        Z -= Z[np.arange(len(y)), y][:, None]
        return 100 * np.log(np.exp(Z).sum(axis=1)).sum() + (W * W).sum() / 2

    model, nearer = (
        LogisticRegression(C=100.0, solver=solver, tol=tol).fit(X, y, offset=offset)
        for solver, tol in (("lbfgs", 1e-10), ("newton-cholesky", 1e-14))
    )
    assert model.status_ == "converged"
    assert value(model) - value(nearer) <= model.suboptimality_bound_ * value(model)


@pytest.mark.parametrize("solver", ["auto", "prox-newton", "working-set", "fista"])
@pytest.mark.parametrize(
    "far, fit_intercept",
    [(-50.0, True), (-50.0, False), (-1e4, True), (-1e4, False), (1e4, False), (1e8, True)],
)
def test_l1_fits_leave_an_offset_that_has_no_curvature(solver, fit_intercept, far):
    """Every model of a step has its minimum infinitely far away, and fista's steps had no length."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((80, 3)), np.ones(80)])
    y = (X @ [1, -1, 0.5, 0] + rng.logistic(size=80) > 0).astype(int)
    model = LogisticRegression(C=100.0, l1_ratio=1.0, solver=solver, fit_intercept=fit_intercept)
    model.fit(X, y, offset=np.full(80, far))
    if solver != "fista":
        assert model.status_ == "converged"
    if fit_intercept:
        alone = LogisticRegression(C=100.0, l1_ratio=1.0, tol=1e-10).fit(X[:, :3], y)
        if model.status_ == "converged":
            np.testing.assert_allclose(model.coef_[0, :3], alone.coef_[0], atol=1e-2)


@pytest.mark.parametrize("far", [5e3, -5e3, 1e8])
@pytest.mark.parametrize("spread", [0, 30, 300])
def test_an_intercept_without_curvature_is_moved_beside_weights_with_a_ridge(far, spread):
    """Of all rows but one the loss is next to nothing until the intercept has gone as far as the offset."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 3)), np.arange(90) < 1
    offset = far + spread * np.append(0, rng.standard_normal(89))  # not of the largest, which would separate
    model = LogisticRegression(C=1e-9, l1_ratio=0.5, solver="prox-newton").fit(X, y, offset=offset)
    slope = (scipy.special.expit(offset + model.intercept_) - y).sum()
    assert model.status_ == "converged" and not model.coef_.any() and abs(slope) < 1e-4


@pytest.mark.parametrize("classes", [2, 3])
def test_the_best_step_under_l1_knows_the_penalty(classes):
    """Along a line it is just before the minimum of F, which may be a kink."""
    X, y, offset, s = problem(classes)
    objective = Objective.from_arrays(X, y, s, offset=offset)
    objective = Objective(objective.rows, objective.loss, Penalty.of_strength(1e-2, s.sum(), 0.7))
    rng = np.random.default_rng(1)
    for _ in range(10):
        start, end = (
            objective.answer(ask.Evaluate(at))
            for at in rng.standard_normal((2, objective.size)) * [[1], [0.1]]
        )

        def F(t, start=start, end=end):
            return objective.answer(ask.Evaluate(start.w + t * (end.w - start.w))).value

        t = objective.answer(ask.LineMinimum(start, end))
        least = scipy.optimize.minimize_scalar(F, bounds=(0, 20), method="bounded", options={"xatol": 1e-9})
        assert F(t) - least.fun <= 0.02 * (F(0) - least.fun)
