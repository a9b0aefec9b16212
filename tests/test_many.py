"""Tables of models: what is fitted together is what is fitted alone, and each is proven like a single fit."""

import gc
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning

from logreg_accel import LogisticRegression, LogisticRegressionCV, fit_many, logistic_regression_path
from logreg_accel.backends.numba import NumbaBackend
from logreg_accel.backends.passes import Hessian, Model
from logreg_accel.data import as_matrix
from logreg_accel.many import solve, start
from logreg_accel.many.models import fitted_model
from logreg_accel.many.solve import solve_table
from logreg_accel.many.table import Shared, Spec, packed


def tall(m=6000, n=8, targets=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n)) @ np.diag(np.logspace(0, -1, n))
    Y = (X @ rng.standard_normal((n, targets)) * 2 + rng.logistic(size=(m, targets)) > 0.5).astype(float)
    return X.astype(dtype), Y


def agree(found, alone, atol):
    scale = abs(alone.coef_).max()
    np.testing.assert_allclose(found.coef_ / scale, alone.coef_ / scale, rtol=0, atol=atol)
    np.testing.assert_allclose(found.intercept_, alone.intercept_, rtol=0, atol=10 * atol * (1 + scale))


@pytest.mark.parametrize("solver", ["newton-subsampled", "newton-cholesky", "newton-cg", "lbfgs"])
def test_a_model_of_many_is_its_single_fit(solver, monkeypatch):
    monkeypatch.setattr(solve, "_TOGETHER", solve._TOGETHER_WHERE_DEAR)
    X, Y = tall()
    s = np.random.default_rng(1).random(len(X)) + 0.5
    settings = {"tol": 1e-15, "solver": solver, "backend": "numba", "max_iter": 3000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits may be rounding
        models = fit_many(X, Y, C=[0.01, 10.0], sample_weight=s, **settings)
        for i, model in enumerate(models):
            alone = LogisticRegression(C=[0.01, 10.0][i % 2], **settings).fit(X, Y[:, i // 2], s)
            agree(model, alone, 1e-7)
            assert model.suboptimality_bound_ < 1e-11


def test_wide_sparse_rows_follow_the_path():
    """Every C has the solver of its single fit, and an extrapolation from its neighbours saves reads."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((600, 900), density=0.02, rng=rng, format="csr")
    X = scipy.sparse.csr_array(X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1) + 1e-12)[:, None]))
    y, Cs = X @ rng.standard_normal(900) + 0.3 * rng.standard_normal(600) > 0, np.logspace(-2, 4, 7)
    path = logistic_regression_path(X, y, Cs=Cs, backend="numba", tol=1e-7)
    alone = [LogisticRegression(C=C, backend="numba", tol=1e-7).fit(X, y) for C in Cs]
    assert [model.solver_ for model in path.models] == [one.solver_ for one in alone]
    assert len({model.solver_ for model in path.models}) > 1
    assert all(model.suboptimality_bound_ <= 1e-7 for model in path.models)
    assert path.n_passes < 0.7 * sum(one.n_passes_ for one in alone)
    repeated = logistic_regression_path(X, y, Cs=[1.0, 10.0, 10.0, 1.0, 20.0], backend="numba", tol=1e-4)
    np.testing.assert_allclose(repeated.coef[0], repeated.coef[3], atol=1e-2)


@pytest.mark.parametrize("kind", ["sparse", "softmax", "float32", "no intercept"])
def test_kinds_of_data(kind):
    X, Y = tall(3000)
    y, settings = Y[:, 0], {"tol": 1e-13}
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 0.5, X, 0))
    elif kind == "softmax":
        y = Y[:, 0] + Y[:, 1]
    elif kind == "float32":
        X, settings = X.astype(np.float32), {"tol": 1e-9}
    else:
        settings["fit_intercept"] = False
    path = logistic_regression_path(X, y, Cs=[0.01, 1.0, 100.0], backend="numba", **settings)
    for model in path.models:
        alone = LogisticRegression(C=model.C, **settings).fit(X, y)
        agree(model, alone, 1e-4 if kind == "float32" else 1e-6)
        assert model.status_ == "converged" and model.suboptimality_bound_ <= max(settings["tol"], 1e-7)


def test_reads_are_shared_and_proofs_are_each_models_own():
    X, Y = tall(40_000, 10, 6)
    models = fit_many(X, Y, C=np.logspace(-3, 3, 4), solver="newton-subsampled", backend="numba", tol=1e-6)
    assert len(models) == 24 and max(model.n_passes_ for model in models) < 12
    for i, model in enumerate(models):
        assert model.status_ == "converged" and model.suboptimality_bound_ <= 1e-6
        z = X @ model.coef_[0] + model.intercept_[0]
        best = LogisticRegression(C=model.C, tol=1e-13).fit(X, Y[:, i // 4])
        z0 = X @ best.coef_[0] + best.intercept_[0]
        side = 2 * Y[:, i // 4] - 1
        value, least = (
            np.logaddexp(0, -side * m).sum() + (w**2).sum() / (2 * model.C)
            for m, w in ((z, model.coef_), (z0, best.coef_))
        )
        assert (value - least) / value <= model.suboptimality_bound_ + 1e-12


def test_neighbours_on_a_path_share_hessians_where_these_are_dear(monkeypatch):
    X, Y = tall(6000, 50)
    Cs, settings = np.logspace(-4, 3, 31), {"solver": "newton-subsampled", "backend": "numba", "tol": 1e-9}
    run, made = NumbaBackend.run, []

    def counted(backend, pass_, block):
        made.append(isinstance(pass_, Hessian) and block.X.shape[0] > 1000)  # those of proofs are smaller
        return run(backend, pass_, block)

    monkeypatch.setattr(NumbaBackend, "run", counted)

    def fitted(n_threads):
        made.clear()
        path = logistic_regression_path(X, Y[:, 0], Cs=Cs, n_threads=n_threads, **settings)
        return path, sum(made)

    (one, hessians), (two, _) = fitted(1), fitted(2)
    assert (one.coef == two.coef).all()
    monkeypatch.setattr(start, "_NEAR", 0.0)
    own, more = fitted(1)
    assert hessians <= more - 8 and one.n_passes < own.n_passes + 3
    for model in one.models[::6]:
        assert model.status_ == "converged" and model.suboptimality_bound_ <= 1e-9
        agree(model, LogisticRegression(C=model.C, **settings).fit(X, Y[:, 0]), 1e-3)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_same_bits_at_any_number_of_threads(backend):
    X, Y = tall(20_000, 12, 4, dtype=np.float32)
    one, two = (fit_many(X, Y, C=[0.1, 10.0], backend=backend, n_threads=t, tol=1e-6) for t in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert (a.coef_ == b.coef_).all() and (a.intercept_ == b.intercept_).all()


@pytest.mark.parametrize("missing", [np.nan, -1])
def test_missing_labels_do_not_count(missing):
    X, Y = tall(900)
    gone = np.random.default_rng(2).random(Y.shape) < 0.2
    models = fit_many(X, np.where(gone, missing, Y), tol=1e-13, class_weight="balanced")
    for target, model in enumerate(models):
        kept = ~gone[:, target]
        alone = LogisticRegression(tol=1e-13, class_weight="balanced").fit(X[kept], Y[kept, target])
        agree(model, alone, 1e-7)


def test_minus_one_and_one_are_two_labels():
    X, Y = tall(200)
    assert (fit_many(X, 2 * Y - 1)[0].classes_ == [-1, 1]).all()


def test_paths_of_an_l1_penalty_go_from_neighbour_to_neighbour():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    path = logistic_regression_path(X, y, Cs=[1.0, 0.01, 0.1], l1_ratio=1.0, tol=1e-10)
    for model in path.models:
        alone = LogisticRegression(C=model.C, l1_ratio=1.0, tol=1e-10).fit(X, y)
        agree(model, alone, 1e-3)
        assert ((model.coef_ == 0) == (alone.coef_ == 0)).all()
    assert list(path.Cs) == [1.0, 0.01, 0.1] and (path.coef[1] != 0).sum() < (path.coef[0] != 0).sum()


def test_columns_far_from_zero_and_collinear_ones():
    X, Y = tall(2000, 5)
    X = np.column_stack([X + [1e6, 0, 0, 0, 0], X[:, 0], np.ones(len(X))])
    for model in fit_many(X, Y, C=[1.0, 1e3], tol=1e-9):
        assert model.suboptimality_bound_ <= 1e-8


def test_sparse_rows_with_a_column_far_from_zero():
    X, Y = tall(2000, 5)
    X = np.column_stack([np.where(abs(X) > 0.5, X, 0), 100 + X[:, 0]]).astype(np.float32)
    settings = {"tol": 1e-7, "solver": "newton-cg", "backend": "numba"}
    for target, model in enumerate(fit_many(scipy.sparse.csr_array(X), Y, **settings)):
        agree(model, LogisticRegression(tol=1e-9).fit(X, Y[:, target]), 1e-2)
        assert model.suboptimality_bound_ <= 1e-6


def test_a_callback_stops_all_models():
    X, Y = tall(3000)
    told = []

    def stop(progress):
        told.append(progress)
        return len(told) == 3

    with warnings.catch_warnings(record=True):
        models = fit_many(X, Y, C=[0.1, 1.0], callback=stop, tol=1e-14, solver="newton-cg", backend="numba")
    assert len(told) == 3 and told[0].n_models == 6 and told[-1].n_passes >= told[0].n_passes
    assert {model.status_ for model in models} <= {"callback", "converged"}


@pytest.mark.parametrize("budget", [{"max_passes": 3}, {"max_seconds": 1e-3}])
def test_budgets_hold_for_all_models_together(budget):
    X, Y = tall(20_000)
    with pytest.warns(ConvergenceWarning, match="models stopped"):
        models = fit_many(X, Y, C=[0.1, 1.0], tol=1e-14, solver="lbfgs", backend="numba", **budget)
    assert max(model.n_passes_ for model in models) <= budget.get("max_passes", 4)
    assert all(np.isfinite(model.coef_).all() for model in models)


def test_ctrl_c_ends_all_models():
    X, Y = tall(3000)

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_many(X, Y, callback=interrupt, solver="lbfgs")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"C": 0.0}, "`C` is 0.0"),
        ({"C": [1.0, -2.0]}, "`C` is -2.0"),
        ({"Y": np.array([[0, 0], [1, 2], [0, 0], [1, 2]])}, "column 0 only"),
        ({"Y": np.array([[0, 0], [1, 0], [0, 0], [1, 0]])}, "column 1 only"),
        ({"Y": np.zeros((3, 2))}, "has shape"),
        ({"Y": np.full((4, 2), np.nan)}, "only missing labels"),
        ({"sample_weight": [1, 1]}, "one weight per row"),
        ({"sample_weight": [1, 0, 1, 0]}, "at least two are needed"),
        ({"class_weight": {5: 1.0}}, "labels that are not in `y`"),
        ({"tol": -1}, "`tol` is -1"),
        ({"X": np.array([[0.0], [np.nan], [1.0], [2.0]])}, "row 1, column 0"),
    ],
    ids=str,
)
def test_bad_input_is_refused(change, message, monkeypatch):
    if "X" not in change:  # what is wrong with X, passes over it tell
        monkeypatch.setattr("logreg_accel.backends.base.Backend.run", None)
    given = {"X": np.arange(4.0)[:, None], "Y": np.array([[0, 1], [1, 0], [0, 1], [1, 0]]), **change}
    with pytest.raises(ValueError, match=message):
        fit_many(given.pop("X"), given.pop("Y"), **given)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_random_family(seed):
    rng = np.random.default_rng(seed)
    m, n, k = int(rng.integers(50, 3000)), int(rng.integers(1, 40)), int(rng.integers(2, 5))
    sizes = {"n_samples": m, "n_features": n + 3, "n_informative": max(n // 2, 3), "n_redundant": 0}
    X, y = make_classification(**sizes, n_classes=k, n_clusters_per_class=1, random_state=seed)
    X = X * 10.0 ** rng.integers(-3, 3, X.shape[1]) + rng.integers(0, 2) * 50
    trains = rng.random((m, 3)) < 0.8
    shared = Shared(as_matrix(X), y.astype(np.uint8), rng.random(m), packed(trains), np.arange(k))
    specs = [Spec(Model(0, split), C) for split in range(3) for C in (1e-3, 1.0, 1e3)]
    template = LogisticRegression(tol=1e-10)
    template._matrix(X, reset=True)
    for spec, fitted in zip(specs, solve_table(template, shared, specs).fitted, strict=True):
        model = fitted_model(template, shared, spec, fitted)
        kept = trains[:, spec.model.split]
        alone = LogisticRegression(C=spec.C, tol=1e-10).fit(X[kept], y[kept], shared.weights[kept])
        assert model.suboptimality_bound_ <= max(1e-9, 10 * alone.suboptimality_bound_)
        np.testing.assert_allclose(model.predict_proba(X), alone.predict_proba(X), atol=1e-3)


def test_models_keep_no_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30_000, 20), dtype=np.float32)
    y = (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(np.uint8)
    shared = Shared(as_matrix(X), y, None, packed(rng.random((len(y), 3)) < 0.8), np.arange(2))
    specs = [Spec(Model(0, split), C) for split in range(3) for C in (0.01, 0.1, 1.0, 10.0)]
    template = LogisticRegression(solver="newton-subsampled", backend="numpy")
    solve_table(template, shared, specs)  # whatever is loaded once
    gc.collect()
    gc.disable()  # what is kept by cycles alone would stay for long
    tracemalloc.start()
    try:
        outcome = solve_table(template, shared, specs)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert len(outcome.fitted) == 12 and kept < X.nbytes / 8 < peak


BUSY = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


@pytest.mark.parametrize("m, drawn", [(75_000, True), (90_000, True), (150_000, False)])
def test_memory_of_a_cross_validation(m, drawn):
    """It takes vectors of all models, margins, the held-out margins of all candidates, and margins of four
    models, at any number of threads. Where proofs take many `drawn` rows, it holds them once, however many
    models wait for a read in the middle of a proof, and a weighted copy.

    On a busy machine two threads come to their reads in any order; one thread always in the same.
    """
    rng, n = np.random.default_rng(0), 20
    X = rng.standard_normal((m, n), dtype=np.float32)
    y = (X @ rng.standard_normal(n) + rng.logistic(size=m) > 0).astype(np.uint8)
    fold = rng.integers(0, 5, m).astype(np.uint8)
    splits = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(5)]
    settings = {"Cs": 10, "cv": splits, "refit": False, "backend": "numba", "n_threads": 2}
    LogisticRegressionCV(**settings).fit(X, y)  # loops are compiled and whatever else is loaded once

    def peak_of(n_threads):
        tracemalloc.start()
        try:
            LogisticRegressionCV(**settings | {"n_threads": n_threads}).fit(X, y)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak = peak_of(1)
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(3)]
    try:
        peak = max(peak, peak_of(2), peak_of(2))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    vectors, bits, held_out, margins = n * 50 * 8 * 30, m * 5 / 8, m * (10 + 1) * 4, 4 * m * 4
    proof = m * (2 * 8 * 2.5 * 1.25 + 8) if drawn else 0  # and 8 bytes for smaller draws
    assert peak <= 1.1 * (vectors + bits + max(held_out, proof) + margins)


def test_no_strength_is_told_by_the_name_of_the_parameter():
    X, y = make_classification(40, random_state=0)
    with pytest.raises(ValueError, match="`C` is empty; expected at least one positive number"):
        fit_many(X, y, C=[])
