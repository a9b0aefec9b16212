"""Systems on a GPU, or the stand-in for one: matrices made of sums, and their factors."""

import importlib

import numpy as np
import pytest

from conftest import BACKENDS, cpu_or_gpu
from logreg_accel import metric
from logreg_accel.backends import linalg

pytestmark = pytest.mark.parametrize("name", [one for one in BACKENDS if one not in ("numpy", "numba")])
P = 37


@pytest.fixture
def on_device(monkeypatch):
    """A function that gives the backend, which factors every matrix on the device."""

    def backend(name):
        found = cpu_or_gpu(name)
        monkeypatch.setattr(importlib.import_module("logreg_accel.backends.cupy"), "_FACTORED_ON_HOST", 0)
        return found

    return backend


def positive(rank=2 * P, scales=0):
    A = np.random.default_rng(0).standard_normal((rank, P)) * np.logspace(-scales, scales, P)
    return A.T @ A


@pytest.mark.parametrize("size", [P, P - 1])
def test_a_mean_with_its_ridge(name, on_device, size):
    """Without an intercept the last row and column of the sums are left out."""
    backend, sums, ridge = on_device(name), positive(), np.linspace(0, 1, size)
    H = backend.mean_matrix(backend.xp.asarray(sums), size, 3.0, ridge)
    expected = sums[:size, :size] / 3.0 + np.diag(ridge)
    np.testing.assert_allclose(backend.to_host(H), expected, rtol=1e-15)
    both = backend.xp.asarray(np.stack([sums, 2 * sums]))
    np.testing.assert_array_equal(backend.diagonals(both), [np.diag(sums), 2 * np.diag(sums)])


@pytest.mark.parametrize("features", [range(0), [11], np.array([0, 4, 11])])
def test_shifts_of_all_classes(name, on_device, features):
    backend, H = on_device(name), positive()[:36, :36].copy()
    there = backend.xp.asarray(H)
    backend.against_shifts(there, 3, features)
    metric.against_shifts(H, 3, features)
    np.testing.assert_allclose(backend.to_host(there), H, rtol=1e-14)


@pytest.mark.parametrize("shape", [(P,), (P, 1), (P, 3)])
def test_a_factor_solves_over_decades_of_scale(name, on_device, shape):
    backend, H = on_device(name), positive(scales=5)
    v = np.random.default_rng(1).standard_normal(shape)
    there = backend.xp.asarray(H)
    solve = backend.factor(there, 1e-16)
    np.testing.assert_array_equal(backend.to_host(there), H)
    np.testing.assert_allclose(solve(v), linalg.factor(H, 1e-16)(v), rtol=1e-9)
    np.testing.assert_array_equal(solve(v), backend.factor(there, 1e-16)(v))


def test_a_singular_matrix_is_lifted(name, on_device):
    """One cause is a column that is zero in all rows."""
    backend, H = on_device(name), positive(rank=5)
    H[3] = H[:, 3] = 0
    x = backend.factor(backend.xp.asarray(H), 1e-10)(H @ np.ones(P))
    assert np.isfinite(x).all()
    np.testing.assert_allclose(H @ x, H @ np.ones(P), rtol=1e-5, atol=1e-5)
    with pytest.raises(FloatingPointError, match="not finite"):
        backend.factor(backend.xp.asarray(np.full((3, 3), np.nan)), 1e-10)


def test_a_matrix_from_the_host(name, on_device):
    """Proofs factor such a matrix: it is not changed, and None is returned unless it is positive definite."""
    backend, A = on_device(name), positive()
    kept, v = A.copy(), np.random.default_rng(1).standard_normal((P, 2))
    solve, diagonal = backend.cholesky(A)
    np.testing.assert_array_equal(A, kept)
    np.testing.assert_allclose(A @ solve(v), v, atol=1e-9)
    np.testing.assert_allclose(diagonal, np.linalg.cholesky(A).diagonal(), rtol=1e-12)
    A[7, 7] = -1
    assert backend.cholesky(A) is None
