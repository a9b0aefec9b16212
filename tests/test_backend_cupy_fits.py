"""Whole fits on a GPU, or the stand-in for one, whose systems are too large for the host."""

import importlib

import numpy as np
import pytest

from conftest import BACKENDS, draw
from logreg_accel import LogisticRegression

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


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-subsampled", "newton-cg", "lbfgs"])
def test_softmax(name, on_device, solver):
    X, _, _, _ = draw(M, N, "float32")
    y = np.argmax(X[:, :4] + np.random.default_rng(0).gumbel(size=(M, 4)), axis=1)
    fits_alike(name, X, y, solver=solver, C=0.1)


@pytest.mark.parametrize("solver, l1_ratio", [("prox-newton", 0.7), ("fista", 1.0)])
def test_l1(name, on_device, solver, l1_ratio):
    X, y, _, _ = draw(M, N, "float64")
    fits_alike(name, X, y, solver=solver, l1_ratio=l1_ratio, C=0.1)


def test_bounds(name, on_device):
    X, y, _, _ = draw(M, N, "float64")
    fits_alike(name, X, y, solver="projected-newton", bounds=(0, np.inf), C=0.1)
