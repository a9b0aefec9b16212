"""Once our kernels are in the cache, no fit on a GPU waits for CuPy to compile a template of its own."""

import functools
import importlib

import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import device_array, fake_cupy

from conftest import draw
from logreg_accel import LogisticRegression, fit_many, inference
from logreg_accel.backends import get_backend
from logreg_accel.data import as_labelled
from logreg_accel.rows import sampling
from logreg_accel.rows.masses import Masses

M, N = 3000, 10  # more than a sample of four classes has
PREDICTIONS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


@pytest.fixture
def asked(emulated_kernels, monkeypatch, tmp_path):
    """A function that calls another one as two processes would, of which the second finds our kernels.

    Both of them have an empty cache of CuPy's. It returns what CuPy had to compile.
    """
    if emulated_kernels is None:
        pytest.skip("a GPU is there, and its compiler is not counted")
    monkeypatch.setattr(emulated_kernels, "folder", tmp_path / "kept")

    def asked(function):
        for compilations in (True, False):
            with fake_cupy.in_place_of_cupy(emulated_kernels):
                fake_cupy.counts.clear()
                device_array.compiled.clear()
                function()
                assert (fake_cupy.counts["compilations"] > 0) == compilations
        return set(device_array.compiled)

    return asked


def problem(n_classes, weighted=False, m=M):
    X, y, s, _ = draw(m, N, "float32", weighted=weighted)
    return X, y if n_classes == 2 else (np.arange(m) % n_classes).astype(np.uint8), s


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions_of_rows_on_the_device_take_none(asked, n_classes, name):
    X, y, _ = problem(n_classes)
    model = LogisticRegression(backend="numpy", solver="lbfgs").fit(X, y)
    assert asked(lambda: getattr(model, name)(fake_cupy.asarray(X))) == set()


@pytest.mark.parametrize("solver", ["newton-subsampled", "newton-cholesky", "newton-cg", "lbfgs"])
def test_weights_on_the_device_take_none(asked, solver):
    """Some weights are zero."""
    X, y, s = problem(2, weighted=True)

    def fit():
        there = map(fake_cupy.asarray, (X, y, s))
        LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit(*there)

    assert asked(fit) == set()


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.uint8])
def test_labels_of_several_classes_on_the_device_take_none(asked, kind):
    """The weights are float32, which are converted to float64."""
    X, y, s = problem(7, weighted=True)
    sums = []

    def look():
        there = map(fake_cupy.asarray, (X, y.astype(kind) + 3, s.astype(np.float32)))
        labelled = as_labelled(*there)
        assert labelled.classes.tolist() == [*range(3, 10)] and labelled.classes.dtype == kind
        np.testing.assert_array_equal(labelled.block.y.get(), y)
        sums.append((labelled.total_weight, *labelled.class_shares[0]))

    assert asked(look) == set()
    expected = as_labelled(X, y, s.astype(np.float32))
    np.testing.assert_allclose(sums[0], [expected.total_weight, *expected.class_shares[0]], rtol=1e-12)


@pytest.mark.parametrize("solver", ["newton-subsampled", "newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("place", ["host", "device, weighted"])
def test_dense_rows_of_several_classes_take_none(asked, place, solver):
    X, y, s = problem(4, weighted="weighted" in place)
    send = fake_cupy.asarray if "device" in place else np.asarray

    def fit():
        given = [send(array) for array in (X, y, s) if array is not None]
        LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit(*given)

    assert asked(fit) == set()


@pytest.mark.parametrize("n_classes, solver", [(2, "newton-subsampled"), (4, "newton-cholesky")])
def test_systems_on_the_device_take_none(asked, monkeypatch, n_classes, solver):
    """Systems of many parameters are solved there."""
    X, y, s = problem(n_classes, weighted=True)

    def fit():
        backend = importlib.import_module("logreg_accel.backends.cupy")
        monkeypatch.setattr(backend, "_FACTORED_ON_HOST", 2)
        LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit(X, y, s)

    assert asked(fit) == set()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_l1_penalties_take_none(asked, n_classes):
    X, y, _ = problem(n_classes)
    assert (
        asked(lambda: LogisticRegression(backend="cupy", l1_ratio=1.0, C=0.05, tol=1e-6).fit(X, y)) == set()
    )


@pytest.mark.parametrize("solver", ["newton-subsampled", "newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize(
    "n_classes, weighted", [(2, True), pytest.param(4, False, marks=pytest.mark.slow), (4, True)]
)
def test_sparse_rows_take_none(asked, n_classes, weighted, solver):
    X, y, s = problem(n_classes, weighted, 6000 if solver == "newton-subsampled" else M)
    sparse = scipy.sparse.csr_array(X * (np.random.default_rng(0).random(X.shape) < 0.3))
    fit = LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit
    assert asked(lambda: fit(sparse, y, s)) == set()


@pytest.mark.parametrize(
    "solver, n_classes, sparse",
    [
        ("newton-subsampled", 2, False),
        ("newton-cholesky", 2, True),
        pytest.param("newton-cg", 2, False, marks=pytest.mark.slow),
        pytest.param("lbfgs", 2, False, marks=pytest.mark.slow),
        ("newton-cholesky", 4, False),
    ],
)
def test_offsets_take_none(asked, solver, n_classes, sparse):
    """With an offset, float32 rows are read in float64."""
    X, y, s = problem(n_classes, weighted=True)
    X = scipy.sparse.csr_array(X * (np.random.default_rng(0).random(X.shape) < 0.3)) if sparse else X
    offset = (
        np.linspace(-1, 1, M) if n_classes == 2 else np.outer(np.linspace(-1, 1, M), np.arange(n_classes))
    )
    fit = LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit
    assert asked(lambda: fit(X, y, s, offset=offset)) == set()


@pytest.mark.parametrize(
    "solver, n_classes",
    [("newton-subsampled", 2), pytest.param("newton-cholesky", 4, marks=pytest.mark.slow)],
)
def test_columns_far_from_zero_take_none(asked, solver, n_classes):
    X, y, s = problem(n_classes, weighted=True)
    fit = LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit
    assert asked(lambda: fit(X + 1000, y, s)) == set()


@pytest.mark.parametrize(
    "n_classes, weighted, solver",
    [(2, True, "auto"), (2, False, "lbfgs"), pytest.param(4, True, "auto", marks=pytest.mark.slow)],
)
def test_many_models_take_none(asked, n_classes, weighted, solver):
    """Their proofs gather rows, which are centred in float64, and use them for one model after the other."""
    X, y, s = problem(n_classes, weighted)
    Y = np.stack([y, np.roll(y, 1)], axis=1)
    several = functools.partial(fit_many, X, Y, C=[0.1, 1.0], sample_weight=s, tol=1e-6)
    fits = []
    assert asked(lambda: fits.append(several(solver=solver, backend="cupy"))) == set()
    for got, expected in zip(fits[-1], several(backend="numpy"), strict=True):
        assert got.status_ == "converged"
        np.testing.assert_allclose(got.coef_, expected.coef_, atol=2e-3)


@pytest.mark.parametrize("vcov", ["HC1", {"CRV1": np.arange(M) % 50}])
def test_inference_on_rows_on_the_device_takes_none(asked, vcov):
    X, y, s = problem(2, weighted=True)
    model = LogisticRegression(backend="numpy", solver="newton-cholesky", C=np.inf).fit(X, y, s)
    errors, expected = [], inference(model, X, y, s, vcov=vcov).bse
    model.set_params(backend="cupy")

    def infer():
        there = map(fake_cupy.asarray, (X, y, s))
        errors.append(inference(model, *there, vcov=vcov).bse)

    assert asked(infer) == set()
    np.testing.assert_allclose(errors[-1], expected, rtol=1e-6)


@pytest.mark.parametrize("positive", [40, M])
def test_draws_by_masses_whose_total_is_known_take_none(asked, positive):
    """Of 40 rows with mass, all are drawn."""
    mass = np.zeros(M, dtype=np.float32)
    mass[::-1][:positive] = np.random.default_rng(0).random(positive, dtype=np.float32) + 0.1
    drawn, (numpy, _) = [], get_backend("numpy", mass.nbytes)

    def draw_some():
        masses = Masses([fake_cupy.asarray(mass)], get_backend("cupy", mass.nbytes)[0])
        masses.total()
        drawn.append(sampling.draw(masses, 50, (1,), masses.backend)[0])

    assert asked(draw_some) == set()
    np.testing.assert_array_equal(drawn[-1], sampling.draw(mass, 50, (1,), numpy)[0])
