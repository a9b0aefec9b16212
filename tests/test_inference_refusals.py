"""Tables of inference, and what it refuses."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from inference_problems import fitted, problem
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from logreg_accel import LogisticRegression, inference, load

# -- tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_tables_as_text_html_and_frames(classes):
    pandas = pytest.importorskip("pandas")
    X, y, groups, _ = problem(classes=classes)
    frame = pandas.DataFrame(X, columns=["age", "cost", "<share>", "urban"])
    result = inference(fitted(frame, y), frame, pandas.Series(y, name="choice"), vcov={"CRV1": groups})
    text, page = str(result.summary()), result.summary().as_html()
    for word in ("choice", "No. Observations:", "CRV1 (25 groups)", "G/(G − 1)", "cost", "[0.025", "P>|z|"):
        assert word in text
    assert "&lt;share&gt;" in page and "<share>" not in page and f"{result.llf:.5g}" in page
    table = result.to_frame("pandas")
    assert table["name"].tolist() == ["const", "age", "cost", "<share>", "urban"] * (classes - 1)
    np.testing.assert_array_equal(table["std err"], result.bse.T.ravel())
    assert result.to_frame("polars").shape == table.shape
    effects = result.get_margeff(["urban"])
    assert "urban" in str(effects) and len(effects.summary_frame()) == len(effects)
    assert len(result.odds_ratios().to_dict()["name"]) == 5 * (classes - 1)
    assert max(map(len, text.splitlines()[:-2])) <= 90


def test_a_pickle_leaves_the_rows_behind():
    X, y, _, _ = problem(m=5000)
    result = inference(fitted(X, y), X, y)
    packed = pickle.dumps(result)
    assert len(packed) < X.nbytes / 10
    np.testing.assert_array_equal(pickle.loads(packed).bse, result.bse)
    with pytest.raises(ValueError, match="not kept in a pickle"):
        pickle.loads(packed).get_margeff()


# -- what is refused -----------------------------------------------------------------------------------------


def test_models_and_arguments_that_are_refused():
    X, y, groups, s = problem()
    clf = fitted(X, y)
    with pytest.raises(
        ValueError, match=r"`vcov` is 'HC4'; expected 'iid', 'HC0', 'HC1' or \{'CRV1': groups\}"
    ):
        inference(clf, X, y, vcov="HC4")
    with pytest.raises(ValueError, match="a dict of"):
        inference(clf, X, y, vcov={"CRV3": groups})
    with pytest.raises(ValueError, match="a single group, 7: clustered errors need two"):
        inference(clf, X, y, vcov={"CRV1": np.full(300, 7)})
    with pytest.raises(ValueError, match=r"shape \(299,\); expected one per row, \(300,\)"):
        inference(clf, X, y, vcov={"CRV1": groups[1:]})
    with pytest.raises(ValueError, match="no label in row 4"):
        inference(clf, X, y, vcov={"CRV1": np.where(np.arange(300) == 4, np.nan, groups)})
    with pytest.raises(TypeError, match="`clf` is a dict"):
        inference({}, X, y)
    with pytest.raises(NotFittedError):
        inference(LogisticRegression(C=np.inf), X, y)
    with pytest.raises(ValueError, match="class_weight"):
        inference(fitted(X, y, class_weight="balanced"), X, y)
    assert inference(fitted(X, y, class_weight="balanced"), X, y, vcov="HC1").bse.shape == (5,)
    result = inference(clf, X, y)
    for R, words in (
        ("x9", "'x9' is not a parameter"),
        (np.eye(4), "shape"),
        (np.ones((2, 5)), "depend on each"),
        ([], "`R` is empty"),
        (np.zeros(5), "involves no parameter"),
    ):
        with pytest.raises(ValueError, match=words):
            result.wald_test(R)
    for r in ([1, 2, 3], np.nan):
        with pytest.raises(ValueError, match="`r` is .*; expected a finite number, or one for each of 2"):
            result.wald_test(["x0", "x1"], r)
    with pytest.raises(ValueError, match="between 0 and 1"):
        result.conf_int(1.5)
    with pytest.raises(ValueError, match="`alpha` is 'small'; expected a number between 0 and 1"):
        result.summary("small")
    with pytest.raises(ValueError, match="between 0 and 1"):
        result.get_margeff().conf_int(2)
    with pytest.raises(ValueError, match="`dummies` has 'sex'"):
        result.get_margeff(["sex"])
    with pytest.raises(ValueError, match="`dummies` has True"):
        result.get_margeff([True])
    with pytest.raises(TypeError, match="`other` is a int; expected a result of `inference`"):
        result.lr_test(5)
    with pytest.raises(TypeError, match="`y` is None; expected the labels"):
        inference(clf, X)
    with pytest.raises(ValueError, match="as many parameters"):
        result.lr_test(result)
    with pytest.raises(ValueError, match="of the same rows"):
        result.lr_test(inference(fitted(X[:200], y[:200]), X[:200], y[:200]))


def test_other_data_than_the_fits_are_refused(tmp_path):
    X, y, _, s = problem()
    clf = fitted(X, y, s)
    with pytest.raises(ValueError, match="`X` has 299 rows, and the fit had 300"):
        inference(clf, X[1:], y[1:], s[1:])
    with pytest.raises(ValueError, match="weights add up to 300, those of the fit to"):
        inference(clf, X, y)
    with pytest.raises(ValueError, match="standard errors from the optimum of these rows"):
        inference(clf, X[::-1], y, s)
    clf.save(tmp_path / "model.npz")
    loaded = load(tmp_path / "model.npz")
    np.testing.assert_allclose(inference(loaded, X, y, s).bse, inference(clf, X, y, s).bse, rtol=1e-12)
    with pytest.raises(ValueError, match="standard errors from the optimum"):
        inference(loaded, X[1:], y[1:], s[1:])
    with pytest.raises(ValueError, match="penalty|standard errors from the optimum"):
        inference(LogisticRegression(C=1.0).fit(X, y).set_params(C=np.inf), X, y)
    with pytest.raises(ValueError, match="standard errors from the optimum"):
        inference(LogisticRegression(C=0.1).fit(X, y), X[::-1], y, penalised=True)


def test_a_loose_fit_is_told():
    X, y, _, _ = problem()
    clf = fitted(X, y)
    bse = inference(clf, X, y).bse
    clf.coef_ = clf.coef_ + [0, 0, 0, 0.3 * bse[4]]
    clf.suboptimality_bound_ = 1e-3
    with pytest.warns(ConvergenceWarning, match="standard errors from the optimum; fit with a `tol` below"):
        inference(clf, X, y)


def test_separated_classes_are_named():
    pandas = pytest.importorskip("pandas")
    X, y, _, _ = problem()
    frame = pandas.DataFrame(X, columns=["age", "cost", "share", "urban"])
    frame["always"] = np.where(np.arange(300) % 9 == 0, y, 0)  # a level that no row of class 0 has
    with pytest.warns(ConvergenceWarning, match="separable.*Use a finite C or `firth`, or leave"):
        clf = fitted(frame, y)
    with pytest.raises(ValueError, match="separated by 'always': such coeff.*no finite optimum.*`firth`"):
        inference(clf, frame, y)
    clf = fitted(frame, y, tol=1e-3, solver="lbfgs")  # ends before it sees them grow
    with pytest.raises(ValueError, match="separated by .*'always'|standard errors from the optimum"):
        inference(clf, frame, y)


def far_from_zero(m=200):
    """Rows of which a tenth is separated by a column that is far from zero, beside one that is not."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(m, 3))
    y = (X[:, 0] + rng.logistic(size=m) > 0).astype(int)
    X[:, 1] = 1000 + np.where(rng.random(m) < 0.1, (2 * y - 1) * rng.random(m), 0)
    return X, y


@pytest.mark.parametrize("solver", ["auto", "newton-cholesky", "newton-cg", "lbfgs"])
def test_separation_by_a_column_far_from_zero_is_named(solver):
    """In rows that are nearly separated, such a column looks like the intercept."""
    X, y = far_from_zero()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    with pytest.raises(ValueError, match="separated by 'x1': such coefficients"):
        inference(clf, X, y)


def test_a_column_that_the_fit_has_used_up_is_not_called_collinear():
    X, y = far_from_zero()
    clf = fitted(X[:, [0, 2]], y)
    clf.coef_ = np.insert(clf.coef_, 1, 400.0, axis=1)
    clf.intercept_ = clf.intercept_ - 400_000
    clf.n_features_in_ = 3
    with pytest.raises(ValueError, match="separated by 'x1': such coefficients"):
        inference(clf, X, y)


def test_collinear_columns_are_named():
    pandas = pytest.importorskip("pandas")
    X, y, _, _ = problem()
    frame = pandas.DataFrame(X, columns=["age", "cost", "share", "urban"])
    frame["rural"] = 1 - frame["urban"]
    frame["sum"] = 3 * frame["age"] - frame["cost"]
    words = "'rural' of 'const', 'urban'; 'sum' of .*'age', 'cost'"
    with pytest.raises(ValueError, match=words):
        inference(fitted(frame, y, solver="newton-cholesky", tol=1e-8), frame, y)
    sparse = scipy.sparse.csr_array(frame[["age", "urban", "rural"]].to_numpy())
    with pytest.raises(ValueError, match="'x2' of 'const', 'x1'"):
        inference(fitted(sparse, y, solver="newton-cholesky", tol=1e-8), sparse, y)
    frame = frame[["age"]].assign(zero=0.0)
    with pytest.raises(ValueError, match="without any information: 'zero' is constant"):
        inference(fitted(frame, y), frame, y)
