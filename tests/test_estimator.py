"""The estimator: published numbers, weights, labels, parameters and what a fit tells."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression as Sklearn
from sklearn.preprocessing import StandardScaler
from spector import SPECTOR

from conftest import BACKENDS, CPU_BACKENDS, FLOATS, draw
from logreg_accel import LogisticRegression


@pytest.mark.parametrize("name", BACKENDS)
def test_coefficients_are_those_that_stata_prints(name):
    """Stata's Logit of 32 students without a penalty, as printed in statsmodels' results_discrete.py."""
    clf = LogisticRegression(C=np.inf, backend=name).fit(SPECTOR[:, :3], SPECTOR[:, 3])
    np.testing.assert_allclose(clf.coef_[0], [2.82611297201, 0.0951576702557, 2.37868772835], rtol=1e-6)
    np.testing.assert_allclose(clf.intercept_, [-13.0213483201], rtol=1e-6)
    assert -32 * clf.history_[-1].value == pytest.approx(
        -12.8896334653335, rel=1e-7
    )  # the printed fit is good to 1e-7


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_breast_cancer_equals_scikit_learn(name, dtype):
    X, y = load_breast_cancer(return_X_y=True)
    reference = Sklearn(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    clf = LogisticRegression(backend=name).fit(X.astype(dtype), y)
    assert clf.coef_.dtype == np.dtype(dtype) and clf.intercept_.dtype == np.float64
    np.testing.assert_allclose(
        clf.predict_proba(X.astype(dtype)),
        reference.predict_proba(X),
        atol=1e-3 if dtype == "float32" else 1e-7,
    )


def test_backends_agree():
    X, y = load_breast_cancer(return_X_y=True)
    a = LogisticRegression(backend="numpy").fit(X, y)
    b = LogisticRegression(backend="numba").fit(X, y)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([False, True]),
        np.array([1, 2]),
        np.array([-1, 1]),
        np.array([0.0, 1.0]),
        np.array([-(2**62), 2**62]),
        np.array([0, 1], dtype=np.uint8),
    ],
)
def test_labels_may_be_of_any_kind(labels):
    X, y, _, _ = draw(60, 3)
    clf = LogisticRegression().fit(X, labels[y])
    assert clf.classes_.tolist() == labels.tolist() and clf.classes_.dtype == labels.dtype
    assert set(clf.predict(X).tolist()) <= set(labels.tolist())
    np.testing.assert_array_equal(clf.coef_, LogisticRegression().fit(X, y).coef_)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 1: 0.5}, {1: 2.0}])
def test_class_weights_equal_scikit_learns(name, class_weight):
    X, y, _, _ = draw(200, 4)
    a = LogisticRegression(class_weight=class_weight, backend=name).fit(X, y)
    b = Sklearn(class_weight=class_weight, solver="newton-cholesky", tol=1e-12).fit(X, y)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scale", [1e-200, 1e-50, 1e39, 1e200])
def test_weights_of_any_size(scale, dtype):
    """Only the product of C and the weights matters."""
    X, y, s, _ = draw(100, 3, dtype, weighted=True)
    a = LogisticRegression(C=1 / scale).fit(X, y, s * scale)
    np.testing.assert_allclose(
        a.coef_, LogisticRegression().fit(X, y, s).coef_, rtol=1e-9 if dtype == "float64" else 1e-4
    )


def test_class_weights_and_sample_weights_multiply():
    X, y, s, _ = draw(200, 4, weighted=True)
    a = LogisticRegression(class_weight={0: 3.0}).fit(X, y, s)
    b = LogisticRegression().fit(X, y, s * np.where(y == 0, 3.0, 1.0))
    np.testing.assert_array_equal(a.coef_, b.coef_)


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("name", BACKENDS)
def test_weight_two_is_a_row_twice(name, solver):
    X, y, _, _ = draw(150, 4)
    times = np.random.default_rng(0).integers(0, 3, 150)
    a = LogisticRegression(backend=name, solver=solver, tol=1e-16).fit(X, y, times)
    b = LogisticRegression(backend=name, solver=solver, tol=1e-16).fit(
        np.repeat(X, times, axis=0), np.repeat(y, times)
    )
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7, atol=1e-9)


def test_a_warm_start_continues_from_the_last_weights():
    X, y, _, _ = draw(300, 6)
    clf = LogisticRegression(solver="lbfgs", warm_start=True).fit(X, y)
    first = clf.n_iter_[0]
    coef = clf.coef_.copy()
    clf.fit(X, y)
    assert clf.n_iter_[0] < first and np.allclose(clf.coef_, coef, atol=1e-4)
    with pytest.raises(ValueError, match="`warm_start=True` and the last fit had 6 features, this one 3"):
        clf.fit(X[:, :3], y)


def test_probabilities_of_huge_margins():
    X, y, _, _ = draw(60, 2)
    for dtype in FLOATS:
        clf = LogisticRegression().fit(X.astype(dtype), y)
        far = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=dtype) * np.finfo(dtype).max
        p = clf.predict_proba(far)
        assert np.isin(p, [0, 1]).all() and np.allclose(p.sum(axis=1), 1)
        z = clf.coef_[0].astype(float) @ (np.sign(far.astype(float))).T
        assert np.array_equal(clf.predict(far), clf.classes_[(z > 0).astype(int)])


def test_history_tells_of_every_evaluation():
    X, y = load_breast_cancer(return_X_y=True)
    clf = LogisticRegression(solver="lbfgs", max_iter=20, tol=0.5).fit(StandardScaler().fit_transform(X), y)
    assert clf.history_[0].value == pytest.approx(np.log(2)) and clf.history_[0].n_passes == 1
    assert clf.history_[-1].n_passes <= clf.n_passes_
    assert all(record.gb_per_s > 0 and record.seconds > 0 for record in clf.history_)


def test_verbose_says_what_was_chosen(capsys):
    X, y, _, _ = draw(50, 3)
    LogisticRegression(verbose=1).fit(X, y)
    told = capsys.readouterr()
    assert told.out == ""
    assert "50 x 3 float64; backend numpy (0.0012 MB of X is small" in told.err and "iter  passes" in told.err


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("C", 0, "`C` is 0; expected a positive number"),
        ("C", -1.0, "`C`"),
        ("C", np.nan, "`C`"),
        ("C", "1", "`C`"),
        ("tol", -1, "`tol`"),
        ("tol", np.inf, "`tol`"),
        ("max_iter", 0, "`max_iter`"),
        ("max_iter", 1.5, "`max_iter`"),
        ("max_passes", 0, "`max_passes`"),
        ("max_seconds", -1, "`max_seconds`"),
        ("n_threads", 0, "`n_threads`"),
        ("callback", 3, "`callback`"),
        (
            "random_state",
            -1,
            "`random_state` is -1; expected an integer of at least 0, a RandomState or None",
        ),
        ("random_state", np.int64(-1), "`random_state`"),
        ("random_state", 1.5, "`random_state`"),
        ("random_state", "seed", "`random_state` is 'seed'"),
        ("random_state", np.random.default_rng(0), "`random_state`"),
        ("solver", "adam", "`solver` is 'adam'"),
        ("backend", "torch", "`backend` is 'torch'"),
        ("class_weight", "even", "`class_weight` is 'even'"),
        ("class_weight", {7: 1.0}, r"not in `y`: \[7\]"),
        ("class_weight", {0: -1.0}, "not negative"),
        ("class_weight", {0: 1j}, "`class_weight` is .*1j"),
        ("class_weight", {0: "heavy"}, "`class_weight` is .*heavy"),
        ("verbose", -1, "`verbose` is -1; expected an integer of at least 0"),
        ("verbose", "loud", "`verbose` is 'loud'"),
        ("warm_start", "yes", "`warm_start` is 'yes'; expected True or False"),
        ("bounds", (0,), r"`bounds` is \(0,\); expected"),
    ],
)
def test_parameters_are_checked(name, value, words):
    X, y, _, _ = draw(20, 2)
    with pytest.raises(ValueError, match=words):
        LogisticRegression(**{name: value}).fit(X, y)


def test_x_is_never_changed():
    X, y, s, _ = draw(100, 4, weighted=True)
    before = X.tobytes(), y.tobytes(), s.tobytes()
    for name in CPU_BACKENDS:
        LogisticRegression(backend=name, class_weight="balanced").fit(X, y, s).predict(X)
    assert (X.tobytes(), y.tobytes(), s.tobytes()) == before


def test_the_same_call_gives_the_same_bits():
    X, y, _, _ = draw(3000, 20, "float32")
    for name in CPU_BACKENDS:
        assert np.array_equal(
            LogisticRegression(backend=name).fit(X, y).coef_, LogisticRegression(backend=name).fit(X, y).coef_
        )


def test_published_answers(real_data):
    """R's glm of the South African heart disease data and UCLA's admissions."""
    pd = pytest.importorskip("pandas")
    published = json.loads((real_data / "published.json").read_text())
    heart = pd.read_csv(real_data / "small/SAheart.csv", skipinitialspace=True)
    heart["famhistPresent"] = (heart["famhist"].str.strip() == "Present").astype(float)
    admissions = pd.read_csv(real_data / "small/admissions_binary.csv")
    for level in (2, 3, 4):
        admissions[f"rank{level}"] = (admissions["rank"] == level).astype(float)
    for name, frame, target in [
        ("SAheart_ESL_table4.2", heart, "chd"),
        ("UCLA_admissions", admissions, "admit"),
    ]:
        terms, coef = published[name]["terms"], published[name]["coef"]
        clf = LogisticRegression(C=np.inf).fit(frame[terms[1:]], frame[target])
        np.testing.assert_allclose(np.append(clf.intercept_, clf.coef_), coef, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_real_data_of_some_size(real_data, name):
    """Skin pixels, 245,057 rows, have the same optimum as with scikit-learn."""
    table = np.loadtxt(real_data / "skin_nonskin/Skin_NonSkin.txt")
    X, y = table[:, :3], table[:, 3]
    clf = LogisticRegression(backend=name, tol=1e-13).fit(X, y)
    reference = Sklearn(solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(clf.coef_, reference.coef_, rtol=1e-5)
