"""What predictions make of margins on a GPU: what the plain array code gives, however the margins lie."""

import numpy as np
import pytest

from conftest import FLOATS, cpu_or_gpu
from logreg_accel.losses import loss_of

pytestmark = pytest.mark.gpu
M = 1000


def margins(cupy, classes, real, by_rows):
    """Small and huge ones, zeros and ties, on the host and on the device: of two classes (m, 1)."""
    rng = np.random.default_rng(classes)
    Z = rng.standard_normal((M, 1 if classes == 2 else classes)) * np.logspace(-3, 3, M)[:, None]
    Z[::7] = 0
    Z[::5, -1] = Z[::5, 0]
    Z = Z.astype(real)
    there = cupy.xp.asarray(Z if by_rows else np.ascontiguousarray(Z.T))
    return Z, there if by_rows else there.T


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("classes", [2, 3, 300])
def test_predictions_are_those_of_the_array_code(cupy, classes, real, by_rows):
    Z, there = margins(cupy, classes, real, by_rows)
    here, loss = cpu_or_gpu("numpy"), loss_of(classes)
    one = (lambda Z: Z[:, 0]) if classes == 2 else (lambda Z: Z)
    codes = cupy.likeliest(one(there), classes)
    assert codes.dtype == (np.uint8 if classes < 256 else np.uint16)
    np.testing.assert_array_equal(cupy.to_host(codes), here.likeliest(one(Z), classes))
    eps, least = np.finfo(real).eps, np.finfo(real).tiny  # a GPU's float32 has no smaller numbers
    # exp makes a relative error of what rounds a margin, and a row has as many terms as classes
    rounding = (abs(Z).max() + classes) * eps
    for what in ("probabilities", "log_probabilities"):
        expected = here.probabilities(what, loss, Z)
        told = cupy.to_host(cupy.probabilities(what, loss, there))
        assert told.dtype == real and told.shape == (M, classes)
        np.testing.assert_allclose(told, expected, rtol=rounding, atol=2 * least)


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("strange", [None, np.nan, np.inf, -np.inf])
def test_one_margin_that_is_not_finite_is_found(cupy, real, strange):
    Z = np.zeros((M, 3), dtype=real)
    Z[0] = np.finfo(real).max
    if strange is not None:
        Z[M - 1, 1] = strange
    assert cupy.all_finite(cupy.xp.asarray(Z)) == (strange is None)
    assert cupy.all_finite(cupy.xp.asarray(np.ascontiguousarray(Z.T)).T) == (strange is None)
