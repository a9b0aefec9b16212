"""Firth's penalty: published tables, closed forms, and an independent reference in extended precision."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.stats import chi2

import logreg_accel
from logreg_accel import firth

LONG = np.longdouble
SEX2 = (  # case, age, oc, vic, vicl, vis, dia and how many women; Heinze and Ploner's logistf, from Foxman
    "0000010:1 0001000:2 0001010:1 0001100:8 0001110:18 0010000:42 0010010:1 0011000:1 0011100:5 0011110:6 "
    "0101100:2 0101110:4 0110000:14 0110010:1 0111000:1 0111110:2 1000010:1 1001000:14 1001010:3 1001100:10 "
    "1001110:12 1001111:1 1010000:44 1010001:3 1011000:15 1011001:1 1011010:2 1011100:7 1011110:3 1101000:2 "
    "1101010:1 1101011:1 1101100:1 1101111:1 1110000:5 1111000:3"
)


def sex2():
    patterns, counts = zip(*(one.split(":") for one in SEX2.split()), strict=True)
    rows = np.array([[float(digit) for digit in pattern] for pattern in patterns])
    return rows[:, 1:], rows[:, 0].astype(int), np.array(counts, dtype=float)


# -- the reference ---------------------------------------------------------------------------------------


def inverse(H):
    """H⁻¹ and log|H| by elimination, in extended precision."""
    p, log_determinant = len(H), LONG(0)
    both = np.hstack([H, np.eye(p, dtype=LONG)])
    for i in range(p):
        log_determinant += np.log(both[i, i])
        both[i] /= both[i, i]
        for j in range(p):
            if j != i:
                both[j] -= both[j, i] * both[i]
    return both[:, p:], log_determinant


def penalised(theta, X, y, s, offset):
    """ℓ*, its score and I⁻¹, from their definitions."""
    z = X @ theta + offset
    prob = 1 / (1 + np.exp(-z))
    c = s * prob * (1 - prob)
    inverted, log_determinant = inverse((X * c[:, None]).T @ X)
    h = c * np.einsum("ij,jk,ik->i", X, inverted, X)
    value = -(s * np.log1p(np.exp(np.where(y == 1, -z, z)))).sum() + log_determinant / 2
    return value, X.T @ (s * (y - prob) + h * (0.5 - prob)), inverted


def reference(X, y, s, offset=0.0, held=None, start=None):
    """The maximum of ℓ*, with some of θ held, in extended precision."""
    X, s, offset = X.astype(LONG), s.astype(LONG), np.asarray(offset).astype(LONG)
    theta = np.zeros(X.shape[1], dtype=LONG) if start is None else np.array(start, dtype=LONG)
    free = np.ones(len(theta), dtype=bool)
    for j, value in (held or {}).items():
        theta[j], free[j] = value, False
    value, score, inverted = penalised(theta, X, y, s, offset)
    for _ in range(100):
        scoring = inverse(inverse(inverted)[0][np.ix_(free, free)])[0] @ score[free]
        if scoring @ score[free] < 1e-20:
            break
        steps = [scoring / LONG(2) ** i for i in range(60)]
        H = np.array([_change(theta, j, X, y, s, offset, inverted)[free] for j in np.flatnonzero(free)])
        if (np.linalg.eigvalsh(H.astype(float)) < 0).all():
            steps.insert(0, inverse(-(H + H.T) / 2)[0] @ score[free])
        for step in steps:
            there = theta.copy()
            there[free] += step
            found = penalised(there, X, y, s, offset)
            if found[0] >= value:
                break
        theta, (value, score, inverted) = there, found
    return theta, (value, score, inverted)


def _change(theta, j, X, y, s, offset, inverted):
    """The derivative of the score by θⱼ."""
    h = np.zeros_like(theta)
    h[j] = 1e-5 * np.sqrt(inverted[j, j])
    there, back = (penalised(theta + sign * h, X, y, s, offset)[1] for sign in (1, -1))
    return (there - back) / (2 * h[j])


def problem(seed, m=None, n=None):
    rng = np.random.default_rng(seed)
    m, n = m or int(rng.integers(12, 80)), n or int(rng.integers(1, 5))
    X = rng.normal(size=(m, n)) * 10.0 ** rng.integers(-2, 3, n) + rng.integers(-3, 4, n)
    X[:, 0] = rng.random(m) < 0.3
    X[0, 0], X[1, 0] = 0, 1
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=n) * rng.choice([0.3, 1, 30]) - rng.choice(
        [0, 2]
    )
    y = (z + rng.logistic(size=m) > 0).astype(int)
    y[:2] = 0, 1
    return X, y, rng.integers(1, 4, m).astype(float), rng.normal(size=m)


# -- what is published, and closed forms -----------------------------------------------------------------


def test_the_table_of_logistf():
    """Heinze and Schemper (2002); logistf 1.26 prints these digits."""
    X, y, counts = sex2()
    result = firth(pd.DataFrame(X, columns=["age", "oc", "vic", "vicl", "vis", "dia"]), y, counts)
    params = [0.12025404, -1.10598130, -0.06881673, 2.26887464, -2.11140816, -0.78831694, 3.09601166]
    errors = [0.4855415, 0.4236601, 0.4437934, 0.5484160, 0.5430823, 0.4173676, 1.6750220]
    low = [-0.8185591, -1.9737884, -0.9414363, 1.2730216, -3.2608611, -1.6080879, 0.7745682]
    high = [1.07315122, -0.30742514, 0.78920202, 3.43543273, -1.11773495, 0.01518468, 8.03029352]
    statistics = [0.06286298, 7.50773092, 0.02467044, 22.93139022, 19.10407252, 3.69740975, 7.89693139]
    np.testing.assert_allclose(result.params, params, atol=2e-7)
    np.testing.assert_allclose(result.bse, errors, atol=2e-5)  # those before the last step
    np.testing.assert_allclose(result.conf_int(), np.transpose([low, high]), atol=1e-6)
    np.testing.assert_allclose(result.table()["chi2"], statistics, atol=1e-6)
    np.testing.assert_allclose(result.pvalues, chi2.sf(statistics, 1), rtol=1e-5)
    assert result.llr == pytest.approx(49.09064, abs=1e-5) and result.llr_pvalue == pytest.approx(7.15089e-9)
    assert result.lr_test(result.exog_names[1:]).statistic == pytest.approx(result.llr, abs=1e-9)
    assert "Firth" in str(result.summary()) and "<td>dia</td>" in result.summary().as_html()


@pytest.mark.parametrize("cells", [(8, 2, 3, 7), (10, 0, 0, 10), (5, 0, 4, 6), (1, 999, 3, 400)])
@pytest.mark.parametrize("as_weights", [True, False])
def test_half_an_observation_is_added_to_each_cell(cells, as_weights):
    """Where a model is saturated Jeffreys' prior is half an observation a cell (Firth 1993)."""
    X, y = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([1, 0, 1, 0])
    weights = np.array(cells, dtype=float)
    if not as_weights:
        X, y, weights = np.repeat(X, cells, axis=0), np.repeat(y, cells), None
    result = firth(X, y, weights)
    a, b, c, d = np.array(cells) + 0.5
    np.testing.assert_allclose(result.params, [np.log(a / b), np.log(c * b / d / a)], atol=1e-7)
    np.testing.assert_allclose(result.model.predict_proba([[0.0], [1.0]])[:, 1], [a / (a + b), c / (c + d)])


# -- the reference ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("intercept", [True, False])
def test_the_maximum_and_its_profile(seed, intercept):
    X, y, s, offset = problem(seed)
    offset = offset if seed % 2 else None
    result = firth(X, y, s, offset=offset, fit_intercept=intercept)
    design = np.hstack([np.ones((len(y), 1)), X]) if intercept else X
    theta, (best, _, inverted) = reference(design, y, s, 0.0 if offset is None else offset)
    error = np.sqrt(inverted.diagonal()).astype(float)
    np.testing.assert_allclose(result.bse, error, rtol=1e-6)
    assert (abs(result.params - theta.astype(float)) <= 1e-6 * error).all()
    assert result.llf == pytest.approx(float(best), abs=1e-9)
    if seed < 4:
        j = seed % len(theta)
        given = (design, y, s, 0.0 if offset is None else offset)
        along = inverted[j] / inverted[j, j]
        for end in result.conf_int(columns=[result.exog_names[j]])[0]:
            _, (held, *_) = reference(*given, {j: end}, theta + (end - theta[j]) * along)
            assert 2 * float(best - held) == pytest.approx(chi2.isf(0.05, 1), abs=1e-5)
        _, (without, *_) = reference(*given, {j: 0.0}, theta - theta[j] * along)
        assert result.lr_test(result.exog_names[j]).statistic == pytest.approx(
            2 * float(best - without), abs=1e-7
        )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("store", [np.asarray, np.float32, np.asfortranarray, scipy.sparse.csr_array])
def test_the_same_in_every_layout(store, backend):
    X, y, s, _ = problem(3, m=500, n=4)
    X = X.astype(np.float32).astype(float)
    plain = firth(X, y, s, intervals="wald", backend="numpy")
    other = firth(store(X), y, s, intervals="wald", backend=backend)
    np.testing.assert_allclose(other.params, plain.params, atol=1e-9 * abs(plain.params).max())
    np.testing.assert_allclose(other.bse, plain.bse, rtol=1e-7)


def test_rows_of_a_source(tmp_path):
    X, y, _, _ = problem(4, m=300, n=3)
    pd.DataFrame(X, columns=list("abc")).assign(y=y).to_parquet(tmp_path / "rows.parquet")
    source = logreg_accel.scan(tmp_path / "rows.parquet", target="y")
    streamed, plain = firth(source, intervals="wald"), firth(X, y, intervals="wald")
    np.testing.assert_allclose(streamed.params, plain.params, atol=1e-6 * plain.bse.min())
    np.testing.assert_allclose(streamed.conf_int(), plain.conf_int(), rtol=1e-6)


def test_columns_far_from_zero_and_of_any_scale():
    X, y, s, _ = problem(5, m=200, n=3)
    plain = firth(X, y, s, intervals="wald")
    moved = firth(X * [1, 1e-6, 1e6] + [0, 1e3, 1e9], y, s, intervals="wald")
    np.testing.assert_allclose(moved.zvalues[1:], plain.zvalues[1:], rtol=1e-5)
    assert moved.llf - plain.llf == pytest.approx(0, abs=1e-5)  # scales of columns cancel: 1e-6 and 1e6


def test_what_comes_back_is_an_inference():
    X, y, counts = sex2()
    result = firth(X, y, counts)
    wald = result.conf_int(method="wald")
    np.testing.assert_allclose(wald[:, 1] - result.params, 1.959963985 * result.bse, rtol=1e-8)
    assert result.wald_test(["x0", "x5"]).df == 2
    assert result.odds_ratios()["odds ratio"][6] == pytest.approx(np.exp(result.params[6]))
    np.testing.assert_allclose(result.odds_ratios()["[0.025"], np.exp(result.conf_int()[:, 0]))
    assert result.get_margeff().margeff.shape == (6,)
    assert list(result.to_frame("pandas")["name"]) == result.exog_names
    np.testing.assert_allclose(result.model.decision_function(X), X @ result.params[1:] + result.params[0])
    back = pickle.loads(pickle.dumps(result))
    np.testing.assert_allclose(back.conf_int(), result.conf_int())
    assert back.llnull == result.llnull
    with pytest.raises(ValueError, match="kept in a pickle"):
        back.conf_int(alpha=0.1)


def test_a_model_of_it_is_saved(tmp_path):
    X, y, counts = sex2()
    model = firth(X, np.where(y == 1, "yes", "no"), counts, intervals="wald").model
    model.save(tmp_path / "model.npz")
    back = logreg_accel.load(tmp_path / "model.npz")
    assert back.predict(X).tolist() == model.predict(X).tolist()
    assert set(back.classes_) == {"no", "yes"}


@pytest.mark.parametrize(
    "change, told",
    [
        ({"y": [0, 1, 2] * 10}, "3 classes"),
        ({"y": [1] * 30}, "class"),
        ({"X": np.ones((30, 2))}, "collinear|constant"),
        ({"intervals": "bootstrap"}, "'profile' or 'wald'"),
        ({"max_iter": 0}, "`max_iter`"),
        ({"offset": [0.0]}, "`offset` has shape"),
        ({"sample_weight": -np.ones(30)}, "weight"),
    ],
)
def test_arguments_that_are_refused(change, told):
    rng = np.random.default_rng(0)
    given = {"X": rng.normal(size=(30, 2)), "y": [0, 1] * 15} | change
    with pytest.raises(ValueError, match=told):
        firth(**given)


def test_refused_questions():
    X, y, counts = sex2()
    result = firth(X, y, counts)
    for ask, told in [
        (lambda: result.lr_test([]), "`columns` is empty"),
        (lambda: result.lr_test("weight"), "'weight' is not a parameter; expected one of"),
        (lambda: result.conf_int(alpha=2), "`alpha`"),
        (lambda: result.conf_int(method="bca"), "`method`"),
    ]:
        with pytest.raises(ValueError, match=told):
            ask()


def test_few_steps_warn():
    X, y, counts = sex2()
    with pytest.warns(UserWarning, match="raise `max_iter`=1"):
        firth(X, y, counts, max_iter=1)
