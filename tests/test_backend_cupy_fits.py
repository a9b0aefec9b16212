"""Whole fits on a GPU, or the stand-in for one, whose systems are too large for the host."""

import importlib

import numpy as np
import pytest
import scipy.sparse

from conftest import BACKENDS, block_of, cpu_or_gpu, draw
from logreg_accel import LogisticRegression
from logreg_accel.backends import passes
from logreg_accel.data import centred
from logreg_accel.losses import Logistic

M, N = 1500, 11
pytestmark = pytest.mark.parametrize("name", [one for one in BACKENDS if one not in ("numpy", "numba")])
NEWTONS = ("newton-cholesky", "newton-subsampled", "newton-cg", "lbfgs", "row-space", "dual")


@pytest.fixture
def on_device(monkeypatch):
    """Every Hessian stays on the device and is factored there, as those of wide problems are."""
    cupy_backend = importlib.import_module("logreg_accel.backends.cupy")
    monkeypatch.setattr(cupy_backend, "_FACTORED_ON_HOST", 2)


def fits_alike(name, X, y, **parameters):
    here, there = (
        LogisticRegression(tol=1e-9, backend=one, random_state=3, **parameters).fit(X, y)
        for one in ("numpy", name)
    )
    assert there.backend_ == "cupy" and there.status_ == here.status_ == "converged"
    np.testing.assert_allclose(there.coef_, here.coef_, atol=2e-4 * abs(here.coef_).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", NEWTONS)
def test_two_classes(name, on_device, solver, dtype):
    X, y, _, _ = draw(M, N, dtype)
    fits_alike(name, X, y, solver=solver, C=0.1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_wide_rows_from_the_host_choose_a_solver(name, n_classes):
    """The choice of a solver asks which kernels there are before the rows are uploaded."""
    X, _, _, _ = draw(500, 512, "float32")
    y = np.argmax(X[:, :n_classes] + np.random.default_rng(0).gumbel(size=(500, n_classes)), axis=1)
    model = LogisticRegression(backend=name, tol=1e-4).fit(X, y)
    assert model.backend_ == "cupy" and model.status_ == "converged" and model.solver_ != "dual"


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-subsampled", "newton-cg", "lbfgs"])
def test_softmax(name, on_device, solver):
    X, _, _, _ = draw(M, N, "float32")
    y = np.argmax(X[:, :4] + np.random.default_rng(0).gumbel(size=(M, 4)), axis=1)
    fits_alike(name, X, y, solver=solver, C=0.1)


@pytest.mark.parametrize("far", [False, True])
def test_sparse_rows_in_float64(name, far):
    """Proofs read some of the rows like this, with or without centred columns."""
    X, y, s, W = draw(300, N, "float32", weighted=True)
    X[:, 1:] *= np.random.default_rng(1).random((300, N - 1)) < 0.4
    centre = np.where(np.arange(N) == 0, 0.5, 0) if far else np.zeros(N)
    here, backend = block_of(scipy.sparse.csr_array(X), y, s), cpu_or_gpu(name)
    there = backend.upload(here)
    there = there._replace(X=centred(there.X, backend.xp.asarray(centre)))
    here = here._replace(X=centred(here.X, centre))
    parts = (
        [there, backend.rows(there, slice(100, 300))],
        [here, cpu_or_gpu("numpy").rows(here, slice(100, 300))],
    )
    for mine, plain in zip(*parts, strict=True):
        for asked in (passes.LossGradient(W, Logistic()), passes.Hessian(W, Logistic())):
            got, expected = backend.run(asked, mine), cpu_or_gpu("numpy").run(asked, plain)
            if isinstance(asked, passes.LossGradient):
                got, expected = got.gradient, expected.gradient
            np.testing.assert_allclose(backend.to_host(got), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("solver, l1_ratio", [("prox-newton", 0.7), ("fista", 1.0)])
def test_l1_penalties(name, on_device, solver, l1_ratio):
    X, y, _, _ = draw(M, N, "float64")
    fits_alike(name, X, y, solver=solver, l1_ratio=l1_ratio, C=0.1)


def test_bounds(name, on_device):
    X, y, _, _ = draw(M, N, "float64")
    fits_alike(name, X, y, solver="projected-newton", bounds=(0, np.inf), C=0.1)


def test_sparse_rows_that_were_uploaded_before(name):
    X, y, _, _ = draw(M, N, "float32")
    X = scipy.sparse.csr_array(X * (np.random.default_rng(0).random(X.shape) < 0.3))
    uploaded = cpu_or_gpu(name).upload(block_of(X, y)).X
    here, there = (LogisticRegression(backend=name).fit(rows, y) for rows in (X, uploaded))
    np.testing.assert_array_equal(there.coef_, here.coef_)
