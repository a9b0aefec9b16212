"""Which columns separate classes in rows that are read from a source, and where many models are fitted."""

import warnings

import numpy as np
import pytest
import scipy.optimize
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning

from conftest import CPU_BACKENDS, evaluate
from logreg_accel import (
    LogisticRegression,
    LogisticRegressionCV,
    Objective,
    fit_many,
    logistic_regression_path,
    one_sided,
    scan,
)
from logreg_accel.rows import stream
from logreg_accel.separation import Separation


def drawn(kind, classes, m=1500, n=6, seed=0):
    """Rows that nothing separates, or column 0 one class in some of them, or columns 0 and 1 together one
    class, or all columns all classes."""
    rng = np.random.default_rng([seed, classes])
    X = rng.integers(-64, 65, (m, n)) / 32.0
    Z = X @ rng.standard_normal((n, classes))
    y = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
    side = np.where(y == 1, 1, -1)
    if kind == "column":
        X[:, 0] = np.where(rng.random(m) < 0.1, abs(X[:, 0]) * side, 0)
    if kind == "combination":
        X[:, 1] = np.where(rng.random(m) < 0.5, 0, rng.integers(1, 64, m) / 16) * side - X[:, 0]
    if kind == "all":
        best = np.sort(Z, axis=1)
        clear = best[:, -1] - best[:, -2] > 0.1
        X, y = X[clear], Z[clear].argmax(axis=1)
    return X, y


def source(X, y, *weights, chunks=4):
    pieces = np.array_split(np.arange(len(y)), chunks)
    return scan(lambda: ((X[rows], y[rows], *(s[rows] for s in weights)) for rows in pieces))


COLUMNS = {"column": [0], "combination": [0, 1], "all": list(range(6))}


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("dtype, layout", [(np.float64, np.asarray), (np.float32, csr_array)])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_source_is_searched_as_rows_in_memory_are(kind, classes, dtype, layout, name):
    """Fits of sources took up to 150 reads, and in float32 had a bound of 1 or named more columns."""
    X, y = drawn(kind, classes)
    model = LogisticRegression(C=np.inf, backend=name)
    with pytest.warns(ConvergenceWarning, match="the weights of column 0.* grow"):
        model.fit(source(layout(X.astype(dtype)), y))
    assert model.status_ == "separable" and model.n_passes_ < (50 if kind == "combination" else 25)
    assert np.flatnonzero(model._separating).tolist() == COLUMNS[kind]
    if kind == "all":
        assert model.score(X, y) == 1
    else:
        assert model.suboptimality_bound_ < 1e-6


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("scale", [[1e4, 1e-3, 1, 1, 1, 1], [1e-3, 1e4, 1, 1, 1e5, 1], [1e-4] * 2 + [1] * 4])
def test_the_units_of_columns_do_not_matter(scale, kind):
    """Weights were compared as they were, so that columns of small numbers hid others."""
    X, y = drawn(kind, 3)
    with pytest.warns(ConvergenceWarning, match="grow"):
        model = LogisticRegression(C=np.inf, backend="numpy").fit(source(X * np.array(scale), y))
    assert np.flatnonzero(model._separating).tolist() == COLUMNS[kind] and model.n_passes_ < 30


def test_only_what_a_corrected_step_consists_of_is_named():
    """The step itself was asked, whose other parts move rows that are not separated."""
    X, y = drawn("column", 2)
    objective = Objective.from_arrays(X, y, C=np.inf)
    found = Separation(objective.start(np.zeros(objective.size)))
    found.direction, found.along = np.arange(1.0, 8.0), np.eye(7)[0]
    asked = found.parameters(evaluate(objective, np.zeros(objective.size)))
    next(asked)
    with pytest.raises(StopIteration) as ended:
        asked.send(np.eye(7))
    assert ended.value.value.tolist() == [True] + 6 * [False]


@pytest.mark.parametrize("classes", [2, 4])
def test_a_source_that_nothing_separates_takes_no_read_more(monkeypatch, classes):
    X, y = drawn("none", classes)
    reads = [LogisticRegression(C=np.inf, backend="numpy").fit(source(X, y)).n_passes_]
    monkeypatch.setattr(one_sided, "possible", lambda *_: False)
    reads.append(LogisticRegression(C=np.inf, backend="numpy").fit(source(X, y)).n_passes_)
    assert reads[0] == reads[1]


def levels(classes, m=900):
    """Levels of which one class has several alone, and weights some of which are zero."""
    rng = np.random.default_rng(classes)
    level = rng.integers(0, 12, m)
    X = np.c_[rng.standard_normal((m, 2)), np.eye(12)[level]]
    y = (X[:, :2] @ rng.standard_normal((2, classes)) + rng.gumbel(size=(m, classes))).argmax(axis=1)
    y[(level < 3) & (y == 0)] = 1
    return X, y, rng.integers(0, 3, m).astype(float)


@pytest.mark.parametrize("classes", [2, 4])
def test_leads_that_are_written_to_a_file_give_the_same_bits(monkeypatch, classes):
    X, y, s = levels(classes)
    fits = []
    for share in (stream.VECTORS, 0.0):
        monkeypatch.setattr(stream, "VECTORS", share)
        with pytest.warns(ConvergenceWarning, match="columns? 2, column 3, column 4 grow"):
            fits.append(LogisticRegression(C=np.inf, backend="numpy").fit(source(X, y, s)))
    assert (fits[0].coef_ == fits[1].coef_).all() and fits[0].n_passes_ == fits[1].n_passes_
    with pytest.warns(ConvergenceWarning, match="columns? 2, column 3, column 4 grow"):
        here = LogisticRegression(C=np.inf, backend="numpy").fit(X, y, sample_weight=s)
    F, truth = (float(model.history_[-1].value) for model in (fits[0], here))
    assert abs(F - truth) <= (fits[0].suboptimality_bound_ + here.suboptimality_bound_ + 1e-12) * F < 1e-6


def test_a_killed_fit_of_separable_rows_continues_with_the_same_bits(tmp_path):
    (X, y), log = drawn("combination", 3), tmp_path / "log"
    with pytest.warns(ConvergenceWarning, match="grow"):
        whole = LogisticRegression(C=np.inf, backend="numpy").fit(source(X, y))
    with pytest.warns(ConvergenceWarning, match="max_passes"):
        LogisticRegression(C=np.inf, backend="numpy", max_passes=12).fit(source(X, y), checkpoint=log)
    with pytest.warns(ConvergenceWarning, match="grow"):
        again = LogisticRegression(C=np.inf, backend="numpy").fit(source(X, y), checkpoint=log)
    assert again.status_ == "separable" and (again.coef_ == whole.coef_).all()


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", ["column", "combination"])
def test_the_search_of_a_source_keeps_to_the_budget(kind, most):
    X, y = drawn(kind, 3)
    with pytest.warns(ConvergenceWarning):
        model = LogisticRegression(C=np.inf, max_passes=most).fit(source(X, y))
    assert model.n_passes_ <= most and np.isfinite(model.coef_).all()


def separable(X, y, classes):
    """Whether a direction separates some rows, by a linear programme over all of them."""
    A = np.c_[X, np.ones(len(X))]
    if classes == 2:
        D = np.where(y == 1, 1, -1)[:, None] * A
    else:
        rows, other = np.nonzero(np.arange(classes) != y[:, None])
        E = np.eye(classes)[y[rows]] - np.eye(classes)[other]
        D = (E[:, :, None] * A[rows][:, None]).reshape(len(rows), -1)
    found = scipy.optimize.linprog(-D.mean(axis=0), A_ub=-D, b_ub=np.zeros(len(D)), bounds=(-1, 1))
    assert found.success
    return -found.fun > 1e-9


@pytest.mark.parametrize("seed", range(24))
def test_a_source_is_called_separable_if_and_only_if_a_linear_programme_says_so(seed):
    rng = np.random.default_rng([seed, 5])
    classes, m = int(rng.choice([2, 3, 4])), int(rng.integers(30, 200))
    X, y = drawn(str(rng.choice(["none", "column", "combination", "all"])), classes, m, 4, seed)
    if rng.random() < 0.5:
        X = np.c_[X, np.eye(6)[rng.integers(0, 6, len(X))]]
    y = np.unique(y, return_inverse=True)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=np.inf, backend="numpy").fit(source(X, y, chunks=1 + seed % 4))
    assert (model.status_ == "separable") == separable(X, y, len(model.classes_))


@pytest.mark.parametrize("streamed", [False, True])
def test_the_warning_of_many_models_names_the_columns(streamed):
    """It said to raise `max_iter`, which does not help."""
    X, y = drawn("column", 2)
    given = (source(X, y),) if streamed else (X, y)
    with pytest.warns(ConvergenceWarning, match="1 of 2 models are separable.*column 0 grow") as told:
        path = logistic_regression_path(*given, Cs=[1.0, np.inf])
    assert len(told) == 1 and [model.status_ for model in path.models] == ["converged", "separable"]
    assert np.flatnonzero(path.models[1]._separating).tolist() == [0]


def test_the_columns_of_several_targets_and_of_a_cross_validation():
    X, y = drawn("combination", 2)
    with pytest.warns(ConvergenceWarning, match="1 of 2 models are separable.*column 0, column 1 grow"):
        models = fit_many(X, np.c_[y, np.roll(y, 1)], C=np.inf)
    assert [model.status_ for model in models] == ["separable", "converged"]
    with pytest.warns(ConvergenceWarning, match="3 of 4 models are separable|4 of 4 models are separable"):
        LogisticRegressionCV(Cs=[np.inf], cv=3).fit(X, y)
