"""Standard errors, tests and effects: beside published figures, closed forms and longhand computations."""

import copy
import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse
from inference_problems import KINDS, fitted, longhand, problem, vcov_of
from scipy.stats import chi2, norm

from conftest import BACKENDS, FLOATS
from logreg_accel import LogisticRegression, inference
from logreg_accel.rows import Rows

# -- figures in print ----------------------------------------------------------------------------------------


def test_the_beetles_of_bliss():
    """Bliss (1935), as Dobson's Introduction to Generalized Linear Models prints the fit."""
    dose = np.array([1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839])
    n, killed = np.array([59, 60, 62, 56, 63, 59, 62, 60]), np.array([6, 13, 18, 28, 52, 53, 61, 60])
    X, y = np.tile(dose, 2)[:, None], np.repeat([1, 0], 8)
    s = np.concatenate([killed, n - killed]).astype(float)
    result = inference(fitted(X, y, s), X, y, s)
    np.testing.assert_allclose(result.params, [-60.717, 34.270], atol=6e-4)
    np.testing.assert_allclose(result.bse, [5.181, 2.912], atol=6e-4)
    assert result.nobs == 481


def test_the_rings_of_the_challenger():
    """Dalal, Fowlkes and Hoadley (1989), as R's glm prints the fit: deviances 28.267 and 20.315."""
    warmth = [66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78, 67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58]
    X, y = np.array(warmth)[:, None], np.isin(np.arange(23), [1, 8, 9, 10, 13, 20, 22]).astype(int)
    result = inference(fitted(X, y), X, y)
    np.testing.assert_allclose(result.params, [15.0429, -0.2322], atol=6e-5)
    np.testing.assert_allclose(result.bse, [7.3786, 0.1082], atol=6e-5)
    np.testing.assert_allclose(
        [-2 * result.llnull, -2 * result.llf, result.aic], [28.267, 20.315, 24.315], atol=6e-4
    )
    np.testing.assert_allclose(result.pvalues, [0.0415, 0.0320], atol=6e-5)


@pytest.mark.parametrize("table", [[[20, 15], [30, 5]], [[7, 3, 9], [4, 12, 6], [8, 8, 21]]])
def test_saturated_tables_have_errors_in_closed_form(table):
    """The logarithm of an odds ratio has the variance 1/a + 1/b + 1/c + 1/d, model-based and HC0 alike."""
    table = np.array(table)
    level, y = (np.repeat(codes.ravel(), table.ravel()) for codes in np.indices(table.shape))
    X = (level[:, None] == np.arange(1, len(table))).astype(float)
    clf = fitted(X, y)
    for kind in ("iid", "HC0"):
        result = inference(clf, X, y, vcov=kind)
        params, bse = (a.reshape(len(table), -1) for a in (result.params, result.bse))
        for i, k in itertools.product(range(len(table)), range(1, table.shape[1])):
            cells = [table[i, k], table[i, 0]] + ([table[0, k], table[0, 0]] if i else [])
            odds = np.log(cells[0] / cells[1]) - (np.log(cells[2] / cells[3]) if i else 0)
            assert params[i, k - 1] == pytest.approx(odds, abs=1e-6)
            assert bse[i, k - 1] == pytest.approx(np.sqrt((1 / np.array(cells)).sum()), rel=1e-7)


# -- longhand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_covariances_by_longhand(name, sparse, classes, kind):
    X, y, groups, s = problem(classes=classes)
    given = scipy.sparse.csr_array(X) if sparse else X
    clf = fitted(given, y, s, solver="newton-cholesky").set_params(backend=name)
    theta, V = longhand(clf, X, y, s, kind, groups)
    result = inference(clf, given, y, s, vcov=vcov_of(kind, groups))
    np.testing.assert_allclose(result.params, theta.reshape(result.params.shape), rtol=1e-12)
    unit = np.sqrt(V.diagonal())
    np.testing.assert_allclose(
        result.cov_params() / np.outer(unit, unit), V / np.outer(unit, unit), atol=1e-8
    )
    np.testing.assert_allclose(result.bse.T.ravel(), unit, rtol=1e-8)
    assert kind == "iid" or "gᵢ·gᵢᵀ" in result.formula or "g_G" in result.formula


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_sums_are_made_in_float64_about_the_means(dtype):
    """This holds for every dtype of X and for columns far from zero."""
    X, y, groups, s = problem()
    X = np.round(X * [1e3, 1, 1e5, 1] + [0, 0, 1e4, 0]).clip(-3e4, 3e4).astype(dtype)
    clf = fitted(X, y, s, tol=1e-9)
    result = inference(clf, X, y, s, vcov={"CRV1": groups})
    mean = X.mean(axis=0, dtype=float)
    centred = copy.copy(clf)
    centred.intercept_ = clf.intercept_ + clf.coef_.astype(float) @ mean
    _, V = longhand(centred, X.astype(float) - mean, y, s, "CRV1", groups)
    np.testing.assert_allclose(result.bse[1:], np.sqrt(V.diagonal())[1:], rtol=1e-8)


def test_columns_whose_parts_of_the_intercept_cancel():
    """At 1e9 the intercept is a difference of products of which nine digits cancel."""
    X, y, groups, _ = problem()
    near, mean = np.round(X, 3), np.full(X.shape[1], 2.0**30)
    clf = fitted(near + mean, y)
    centred = copy.copy(clf)
    centred.intercept_ = (clf.intercept_ + clf.coef_ @ mean.astype(np.longdouble)).astype(float)
    _, V = longhand(centred, near + mean - mean, y, np.ones(len(y)), "CRV1", groups)
    result = inference(clf, near + mean, y, vcov={"CRV1": groups})
    np.testing.assert_allclose(result.bse[1:], np.sqrt(V.diagonal())[1:], rtol=1e-9)


def test_moving_a_column_changes_the_intercept_alone():
    X, y, groups, _ = problem()
    far = X + [0, 0, 1e6, 0]
    near, moved = (inference(fitted(A, y), A, y, vcov={"CRV1": groups}) for A in (X, far))
    np.testing.assert_allclose(moved.bse[1:], near.bse[1:], rtol=1e-6)
    assert moved.bse[0] == pytest.approx(1e6 * near.bse[3], rel=1e-4)


def test_a_weight_is_a_number_of_observations():
    """Sandwiches are the exception, since rows are their independent units."""
    X, y, _, _ = problem(m=150, classes=3)
    counts = np.random.default_rng(1).integers(0, 4, len(y))
    short = inference(fitted(X, y, counts), X, y, counts)
    X, y = np.repeat(X, counts, axis=0), np.repeat(y, counts)
    long = inference(fitted(X, y), X, y)
    for name in ("params", "bse", "llf", "llnull", "aic", "bic", "nobs", "df_resid", "prsquared"):
        np.testing.assert_allclose(getattr(short, name), getattr(long, name), rtol=1e-7, atol=1e-9)
    assert short.df_resid == counts.sum() - short.params.size


def test_groups_of_one_row_are_hc1_but_for_the_factor():
    X, y, _, s = problem()
    clf = fitted(X, y, s)
    hc1, alone = (inference(clf, X, y, s, vcov=v) for v in ("HC1", {"CRV1": np.arange(len(y))}))
    np.testing.assert_allclose(alone.cov_params(), hc1.cov_params(), rtol=1e-9)
    words = inference(clf, X, y, s, vcov={"CRV1": np.array([f"g{g}" for g in range(len(y))])})
    np.testing.assert_allclose(words.cov_params(), alone.cov_params(), rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_base_class_is_a_matter_of_words(classes):
    X, y, _, _ = problem(classes=classes)
    names = np.array(["none", "some", "all"])[y]
    clf = fitted(X, names)
    first = inference(clf, X, names)
    if classes == 2:
        with pytest.raises(ValueError, match="`base` is 'some'; of two classes it is 'none'"):
            inference(clf, X, names, base="some")
        return
    other = inference(clf, X, names, base="some")
    assert first.base == "all" and first.outcomes == ["none", "some"] and other.outcomes == ["all", "none"]
    np.testing.assert_allclose(first.params[:, 1], -other.params[:, 0], rtol=1e-12)
    np.testing.assert_allclose(first.bse[:, 1], other.bse[:, 0], rtol=1e-9)
    assert first.llf == pytest.approx(other.llf, rel=1e-14)


@pytest.mark.parametrize("kind, reads", [("iid", 1), ("HC1", 1), ("CRV1", 2)])
def test_at_most_two_reads(kind, reads, monkeypatch):
    X, y, groups, _ = problem()
    clf, counted, plain = fitted(X, y), [], Rows.sum
    monkeypatch.setattr(Rows, "sum", lambda rows, pass_: counted.append(pass_) or plain(rows, pass_))
    inference(clf, X, y, vcov=vcov_of(kind, groups))
    assert len(counted) == reads


@pytest.mark.parametrize("dtype", FLOATS)
def test_compiled_lanes_give_what_the_plain_body_gives(dtype):
    """There are rows for several lanes, and groups that extend across lanes."""
    X, y, groups, s = problem(m=120_000)
    X = np.hstack([X, X[:, :1] ** 2, X[:, :1] * X[:, 3:]]).astype(dtype)
    results = []
    for backend in ("numpy", "numba"):
        clf = fitted(X, y, s, backend=backend, tol=1e-9)
        clf.coef_, clf.intercept_ = (results or [clf])[0].coef_, (results or [clf])[0].intercept_
        results.append(clf)
        results.append(inference(clf, X, y, s, vcov={"CRV1": groups}))
        results.append(results[-1].get_margeff())
    for name in ("llf", "bse"):
        np.testing.assert_allclose(getattr(results[1], name), getattr(results[4], name), rtol=1e-9)
    np.testing.assert_allclose(results[2].margeff_se, results[5].margeff_se, rtol=1e-9)


# -- tests, effects ------------------------------------------------------------------------------------------


def test_tests_agree_with_each_other():
    X, y, _, _ = problem(classes=3)
    result = inference(fitted(X, y), X, y)
    R = np.eye(result.params.size)[6]
    single = result.wald_test(R)
    assert single.statistic == pytest.approx(result.zvalues.T.ravel()[6] ** 2, rel=1e-10) and single.df == 1
    assert single.pvalue == pytest.approx(result.pvalues.T.ravel()[6], rel=1e-9)
    named = result.wald_test(["x0", "x2"])
    assert named.df == 4 and named.pvalue == pytest.approx(chi2.sf(named.statistic, 4), rel=1e-12)
    small = inference(fitted(X[:, :2], y), X[:, :2], y)
    ratio = result.lr_test(small)
    assert ratio == small.lr_test(result) and ratio.df == 4
    assert ratio.statistic == pytest.approx(2 * (result.llf - small.llf))
    assert result.llr == pytest.approx(2 * (result.llf - result.llnull)) and result.df_model == 8
    low, high = np.moveaxis(result.conf_int(0.1), -1, 0)
    np.testing.assert_allclose((high - low).T, 2 * norm.ppf(0.95) * result.bse, rtol=1e-12)
    np.testing.assert_allclose(result.odds_ratios()["odds ratio"], np.exp(result.params.T.ravel()))


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("classes, intercept", [(2, True), (2, False), (3, True), (4, False)])
@pytest.mark.parametrize("dummies", ["auto", ()])
def test_effects_by_differences(sparse, classes, intercept, dummies):
    """Effects are differences of mean probabilities, and errors come from differences over the parameters."""
    X, y, _, s = problem(m=200, classes=classes)
    X = X - [0, 500, 0, 0] if not intercept else X
    given = scipy.sparse.csr_array(X) if sparse else X
    clf = fitted(given, y, s, fit_intercept=intercept)
    result = inference(clf, given, y, s, vcov="HC0")
    found = result.get_margeff(dummies)
    assert found.discrete.tolist() == [False, False, False, dummies == "auto"]

    def probabilities(theta, X):
        A = np.hstack([np.ones((len(X), 1)), X]) if intercept else X
        e = np.exp(np.hstack([np.zeros((len(X), 1)), A @ theta.reshape(-1, A.shape[1]).T]))
        return e / e.sum(axis=1, keepdims=True)

    def effects(theta):
        rows = []
        for j, discrete in enumerate(found.discrete):
            low, high = X.copy(), X.copy()
            h = 1e-4 * np.sqrt((X[:, j] ** 2).mean())
            low[:, j], high[:, j] = (0, 1) if discrete else (X[:, j] - h, X[:, j] + h)
            change = probabilities(theta, high) - probabilities(theta, low)
            rows.append(np.average(change, axis=0, weights=s) / (1 if discrete else 2 * h))
        return np.array(rows)

    theta = result.params.T.ravel()
    expected, shape = effects(theta), found.margeff.shape
    J = []
    for i, at in enumerate(theta):
        step = 1e-5 * result.bse.T.ravel()[i]
        ahead, behind = (effects(np.where(np.arange(len(theta)) == i, at + d, theta)) for d in (step, -step))
        J.append((ahead - behind) / (2 * step))
    error = np.sqrt(np.einsum("pjk,pq,qjk->jk", J, result.cov_params(), J))
    keep = (slice(None), 1) if classes == 2 else slice(None)
    np.testing.assert_allclose(found.margeff, expected[keep].reshape(shape), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.margeff_se, error[keep].reshape(shape), rtol=1e-4)
    if classes > 2:
        np.testing.assert_allclose(found.margeff.sum(axis=1), 0, atol=1e-9 * abs(found.margeff).max())


@pytest.mark.parametrize("classes", [2, 3])
def test_with_a_penalty_there_is_a_sandwich_and_no_test(classes):
    X, y, groups, _ = problem(classes=classes)
    clf = LogisticRegression(C=0.05, tol=1e-13).fit(X, y)
    with pytest.raises(ValueError, match="penalised=True for a sandwich"):
        inference(clf, X, y)
    result = inference(clf, X, y, vcov="HC0", penalised=True)
    plain = inference(clf, X, y, penalised=True)
    # longhand, over the weights of all classes, the intercept free
    A = np.hstack([np.ones((len(X), 1)), X])
    W = np.vstack([clf.intercept_, clf.coef_.T])
    W = np.hstack([0 * W, W]) if classes == 2 else W
    e = np.exp(A @ W - (A @ W).max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)
    if classes == 2:
        P, y1 = P[:, 1:], y[:, None]
    else:
        y1 = y[:, None] == np.arange(classes)
    k = P.shape[1]
    H = sum(np.kron(np.diag(p) - np.outer(p, p), np.outer(a, a)) for p, a in zip(P, A, strict=True))
    scores = ((P - y1)[:, :, None] * A[:, None]).reshape(len(A), -1)
    ridge = np.linalg.pinv(H + 20 * np.diag(np.tile([0, 1, 1, 1, 1], k)), hermitian=True, rcond=1e-14)
    D = np.eye(5) if classes == 2 else np.kron([[-1, 1, 0], [-1, 0, 1]], np.eye(5))
    for got, meat in ((result, scores.T @ scores), (plain, H)):
        np.testing.assert_allclose(
            got.bse.T.ravel() ** 2, (D @ ridge @ meat @ ridge @ D.T).diagonal(), rtol=1e-5
        )
        assert got.edf == pytest.approx(np.trace(ridge @ H), rel=1e-5)
        assert got.aic == pytest.approx(-2 * got.llf + 2 * got.edf)
    for name in ("pvalues", "zvalues"):
        with pytest.raises(ValueError, match=f"`{name}` is not available: a penalty"):
            getattr(result, name)
    for method in (result.conf_int, lambda: result.wald_test("x0"), lambda: result.lr_test(plain)):
        with pytest.raises(ValueError, match="is not available: a penalty"):
            method()
    assert "biased mean" in str(result.summary()) and "P>|z|" not in str(result.summary())
    with pytest.raises(ValueError, match="L1 penalty"):
        inference(LogisticRegression(l1_ratio=0.5).fit(X, y), X, y, penalised=True)


# -- coverage ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["iid", "CRV1"])
def test_intervals_cover_what_they_say(kind):
    """95 ± 1.5 % of 2,000 intervals contain the truth, for independent rows and for rows in groups, which
    repeat a row with its label."""
    rng, held, truth = np.random.default_rng(7), 0, np.array([-0.4, 0.7, 0.0])
    for _ in range(2000):
        m = 500
        X = rng.normal(size=(m, 2))
        y = (rng.random(m) < 1 / (1 + np.exp(-truth[0] - X @ truth[1:]))).astype(int)
        groups = np.arange(m)
        if kind == "CRV1":
            X, y, groups = (np.repeat(a, 3, axis=0) for a in (X, y, groups))
        result = inference(fitted(X, y, tol=1e-10), X, y, vcov=vcov_of(kind, groups))
        low, high = result.conf_int().T
        held += (low < truth) & (truth < high)
    assert (abs(held / 2000 - 0.95) <= 0.015).all(), held / 2000


def test_few_groups_are_told():
    X, y, _, _ = problem()
    clf = fitted(X, y)
    p = X.shape[1] + 1
    with pytest.warns(UserWarning, match=f"{p} groups for {p} parameters.*rank {p - 1}"):
        inference(clf, X, y, vcov={"CRV1": np.arange(len(y)) % p})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inference(clf, X, y, vcov={"CRV1": np.arange(len(y)) % (p + 1)})


def test_marginal_effects_of_many_rows_in_little_memory():
    """With four classes and 400,000 rows, no array may have a number for every row, class and column."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400_000, 8)).astype(np.float32)
    X[:, 6:] = X[:, 6:] > 0.3
    y = (X @ rng.standard_normal((8, 4)) + rng.gumbel(size=(len(X), 4))).argmax(axis=1)
    clf = LogisticRegression(C=np.inf, tol=1e-10, backend="numba").fit(X, y)
    tracemalloc.start()
    effects = inference(clf, X, y).get_margeff()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e8 and effects.discrete.tolist() == [False] * 6 + [True] * 2
    np.testing.assert_allclose(effects.margeff.sum(axis=1), 0, atol=1e-12)  # probabilities add up to 1
