"""Weights between bounds: the optimum, and a proof of it that is true."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

from logreg_accel import LogisticRegression, inference, load, solvers
from logreg_accel.losses import loss_of


def problem(classes=2, m=300, n=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) * [1, 0.3, 3, 1, 10][:n]
    z = X[:, :1] * np.arange(classes) - X[:, 1:2] * (np.arange(classes) == 1) + rng.gumbel(size=(m, classes))
    y = z.argmax(axis=1)
    y[:classes] = np.arange(classes)
    return X, y, rng.random(m) + 0.2


def least(X, y, s, C, lower, upper, classes, start):
    """The least F by SciPy's L-BFGS-B from some point, in float64."""
    k = 1 if classes == 2 else classes
    n, ridge, loss = X.shape[1], 0 if C == np.inf else 1 / C, loss_of(classes)

    def value(w):
        W = w.reshape(n + 1, k)
        f, R = loss.value_residual(X @ W[:-1] + W[-1], y)
        G = np.vstack([X.T @ (s[:, None] * R) + ridge * W[:-1], (s[:, None] * R).sum(axis=0)])
        return (s[:, None] * f).sum() + ridge * (W[:-1] ** 2).sum() / 2, G.ravel()

    box = [(a, b) for a, b in zip(lower, upper, strict=True) for _ in range(k)] + [(None, None)] * k
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
    found = scipy.optimize.minimize(value, start, jac=True, bounds=box, method="L-BFGS-B", options=options)
    return value(start)[0], found.fun


def flat(clf):
    return np.vstack([clf.coef_.T, clf.intercept_[None]]).astype(float).ravel()


BOXES = [
    ([0] * 5, [np.inf] * 5),
    ([-np.inf, 0, -np.inf, -0.1, 0.02], [0.3, np.inf, np.inf, 0.1, 0.05]),
    ([-0.1] * 5, [0.1] * 5),
    ([0.5, -np.inf, -np.inf, 0, 0], [0.5, np.inf, 0, 0, np.inf]),
]


@pytest.mark.parametrize("lower, upper", BOXES)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("C", [0.1, 100.0, np.inf])
@pytest.mark.parametrize("kind", ["dense", "sparse", "float32"])
def test_the_optimum_between_bounds(lower, upper, classes, C, kind):
    X, y, s = problem(classes)
    X = X.astype(np.float32) if kind == "float32" else X
    given = scipy.sparse.csr_array(X) if kind == "sparse" else X
    clf = LogisticRegression(C=C, bounds=(lower, upper), tol=1e-9).fit(given, y, s)
    assert clf.solver_ == "projected-newton"
    inside = (clf.coef_.astype(float) >= lower) & (clf.coef_.astype(float) <= upper)
    assert inside.all()
    here, best = least(X.astype(float), y, s, C, lower, upper, classes, flat(clf))
    assert clf.status_ == "converged"
    assert here - best <= 1e-8 * here
    assert here - best <= clf.suboptimality_bound_ * here + 1e-12 * here


def test_random_families_never_claim_too_much():
    """Bounds on the suboptimality above the truth, at any tol, whatever scales, correlations and boxes."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        m, n, classes = int(rng.integers(10, 200)), int(rng.integers(1, 7)), int(rng.integers(2, 4))
        X = rng.normal(size=(m, n)) @ rng.normal(size=(n, n)) * 10.0 ** rng.integers(-2, 3, n)
        y = rng.integers(0, classes, m)
        y[:classes] = np.arange(classes)
        lower = rng.choice([-np.inf, -0.1, 0, 0.01], n)
        upper = np.maximum(rng.choice([np.inf, 0.1, 0.01], n), lower)
        C, tol = float(10.0 ** rng.integers(-3, 4)), float(rng.choice([1e-1, 1e-3, 1e-8]))
        clf = LogisticRegression(C=C, bounds=(lower, upper), tol=tol).fit(X, y)
        here, best = least(X, y, np.ones(m), C, lower, upper, classes, flat(clf))
        assert here - best <= clf.suboptimality_bound_ * here + 1e-12 * here, (m, n, classes, C, tol)
        assert clf.status_ == "converged", (clf.status_, m, n, classes, C, tol)


@pytest.mark.parametrize("C, factors", [(np.inf, None), (1e-4, [0, 10, 10, 10, 10, 10, 10])])
@pytest.mark.parametrize("classes", [2, 3])
def test_separable_rows_are_named_where_no_bound_is_on_the_way(C, factors, classes):
    """Weights used to grow for a thousand reads until F was 0 in float64 and the status "converged", without
    a warning."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 7))
    X[:, 1:] *= 1e3 if C == np.inf else 1
    y = np.argsort(np.argsort(X[:, 0])) * classes // 6
    lower, upper = [-np.inf] + [0] * 6, [np.inf] + [1e-5] * 6
    model = LogisticRegression(C=C, penalty_factor=factors, bounds=(lower, upper))
    with pytest.warns(ConvergenceWarning, match="separable.*the weights of column 0 grow"):
        model.fit(X, y)
    assert model.status_ == "separable" and model.suboptimality_bound_ > 0.1 and model.n_passes_ < 100
    within = LogisticRegression(C=C, penalty_factor=factors, bounds=([-3] + [0] * 6, [3] + [1e-5] * 6))
    assert within.fit(X, y).status_ == "converged"


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("bounds", [(0, 1), (-0.1, 0.1), (-np.inf, 0), (0, 0)])
def test_a_proof_needs_no_tol(classes, C, bounds):
    """With tol=0 nothing was proven at the optimum, because the slope of the intercept had to be small beside
    `tol`."""
    X, y, s = problem(classes)
    for tol in (0, 1e-4):
        model = LogisticRegression(C=C, bounds=bounds, tol=tol)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model.fit(X, y, s)
        assert model.suboptimality_bound_ <= (1e-15 if tol == 0 else 1e-6)


def test_saturated_rows_have_a_line_search():
    """Offsets that leave next to no curvature made steps too long for forty halvings."""
    X, y, s = problem()
    offset = 60 * np.random.default_rng(1).normal(size=len(y)) + 300
    model = LogisticRegression(bounds=(0, 0.1), tol=1e-10).fit(X, y, s, offset=offset)
    assert model.status_ == "converged" and model.n_passes_ < 60


def test_without_active_bounds_it_is_a_plain_fit():
    X, y, s = problem()
    wide = LogisticRegression(C=0.5, bounds=(-100, 100), tol=1e-12).fit(X, y, s)
    plain = LogisticRegression(C=0.5, tol=1e-12).fit(X, y, s)
    np.testing.assert_allclose(wide.coef_, plain.coef_, atol=1e-8)
    newton = LogisticRegression(C=0.5, solver="projected-newton", tol=1e-12).fit(X, y, s)
    np.testing.assert_allclose(newton.coef_, plain.coef_, atol=1e-8)
    assert newton.status_ == wide.status_ == "converged"


def test_none_is_no_bound():
    X, y, s = problem()
    above = LogisticRegression(bounds=(0, None)).fit(X, y, s)
    assert (above.coef_ >= 0).all() and above.status_ == "converged"
    np.testing.assert_array_equal(above.coef_, LogisticRegression(bounds=(0, np.inf)).fit(X, y, s).coef_)


def test_signs_by_name_survive_a_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem()
    frame = pandas.DataFrame(X, columns=list("abcde"))
    signs = LogisticRegression(bounds={"a": "-", "b": "+", "e": (0.0, 0.01)}).fit(frame, y)
    assert signs.coef_[0, 0] == 0 and signs.coef_[0, 1] == 0 and 0 <= signs.coef_[0, 4] <= 0.01
    arrays = ([-np.inf, 0, -np.inf, -np.inf, 0], [0, np.inf, np.inf, np.inf, 0.01])
    both = LogisticRegression(bounds=arrays).fit(frame, y)
    np.testing.assert_array_equal(signs.coef_, both.coef_)
    for clf in (signs, both):
        clf.save(tmp_path / "model.npz")
        np.testing.assert_array_equal(load(tmp_path / "model.npz").fit(frame, y).coef_, clf.coef_)
    with pytest.raises(ValueError, match="The model has `bounds`"):
        inference(LogisticRegression(C=np.inf, bounds=(0, 1)).fit(X, y), X, y)


def test_with_penalty_factors_and_offsets():
    X, y, s = problem()
    offset = np.random.default_rng(1).normal(size=len(y))
    clf = LogisticRegression(bounds=(0, np.inf), penalty_factor=[0, 1, 2, 0, 1], standardize=True, tol=1e-10)
    clf.fit(X, y, s, offset=offset)
    assert (clf.coef_ >= 0).all() and clf.status_ == "converged"
    p = 1 / (1 + np.exp(-clf.decision_function(X, offset=offset)))
    g = X.T @ (s * (p - y)) + clf.scale_**2 * [0, 1, 2, 0, 1] * clf.coef_[0]
    assert (abs(g[clf.coef_[0] > 0]) < 1e-3).all() and (g[clf.coef_[0] == 0] > 0).all()


@pytest.mark.parametrize(
    "bounds, words",
    [
        ((1, 0), "`bounds` of column 0 are 1.0 and 0.0; expected lower <= upper"),
        (([0, 0, 0], 1), "`bounds` must be a number, or"),
        ((np.nan, 1), "expected lower <= upper"),
        ((np.inf, np.inf), "expected lower <= upper"),
        (3, r"`bounds` is 3; expected \(lower, upper\), or a dict"),
        ({"a": "+"}, "the columns of `X` have no names"),
    ],
)
def test_bounds_that_are_refused(bounds, words):
    X, y, _ = problem()
    with pytest.raises(ValueError, match=words):
        LogisticRegression(bounds=bounds).fit(X, y)


def test_what_cannot_be_combined():
    X, y, _ = problem()
    with pytest.raises(ValueError, match="`solver` is 'lbfgs', which cannot handle `bounds`"):
        LogisticRegression(bounds=(0, 1), solver="lbfgs").fit(X, y)
    with pytest.raises(ValueError, match="with an L1 penalty"):
        LogisticRegression(bounds=(0, 1), l1_ratio=0.5).fit(X, y)
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="`bounds` of 'a' is 'positive'; expected"):
        LogisticRegression(bounds={"a": "positive"}).fit(pandas.DataFrame(X, columns=list("abcde")), y)
    assert (
        LogisticRegression(bounds=(0, 1), solver=solvers.projected_newton()).fit(X, y).status_ == "converged"
    )


def test_a_proof_that_bounds_leave_endless_says_nothing():
    """Every round of the repair frees more weights, so that it would never end."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((12, 15)).round(1), rng.integers(0, 4, 12)
    y[:4] = range(4)
    sign = rng.choice(["+", "-", "0"], 15)
    limits = np.where(sign == "+", 0, -np.inf), np.where(sign == "-", 0, np.inf)
    with pytest.warns(ConvergenceWarning, match="separable"):
        clf = LogisticRegression(C=np.inf, fit_intercept=False, bounds=limits).fit(X, y)
    assert clf.suboptimality_bound_ <= 1 and clf.status_ == "separable"
