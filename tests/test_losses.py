"""The pointwise formulas, against exact arithmetic and at the ends of the floating-point range."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import FLOATS
from logreg_accel.losses import Logistic

getcontext().prec = 700
MARGINS = [0.0, 1e-8, 1e-3, 0.5, 1.0, 5.0, 17.0, 36.7, 40.0, 87.0, 100.0, 700.0]


def exact(z, y):
    """ℓ, residual and curvature in 700 digits: 1 + exp(-700) needs 300."""
    z = Decimal(z)
    signed = z if y else -z
    e = (-signed).exp()
    miss = e / (1 + e)
    return (1 + e).ln(), -miss if y else miss, e / (1 + e) ** 2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("y", [0, 1])
@pytest.mark.parametrize("margin", MARGINS)
def test_formulas_keep_their_digits(margin, y, sign):
    z = sign * margin
    value, residual = Logistic().value_residual(np.array([[z]]), np.array([y]))
    curvature = Logistic().curvature(np.array([[z]]), np.array([y]))
    for actual, wanted in zip((value, residual, curvature), exact(z, y), strict=True):
        assert float(actual[0, 0]) == pytest.approx(float(wanted), rel=1e-15 * (4 + abs(z)), abs=0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("y", [0, 1])
def test_derivatives_along_a_line_are_those_of_the_margins(y, dtype):
    """The slope keeps its digits; the error of a curvature is at most the rounding of the slope from which it
    is computed."""
    z = np.concatenate([MARGINS, np.negative(MARGINS)]).astype(dtype)[:, None]
    d = np.linspace(-3, 2, len(z)).astype(dtype)[:, None]
    slope, curvature = Logistic().line_terms(z, np.full(len(z), y), d)
    info = np.finfo(dtype)
    for margin, change, first, second in zip(z[:, 0], d[:, 0], slope[:, 0], curvature[:, 0], strict=True):
        _, residual, wanted = map(float, exact(float(margin), y))
        rounding, change = float(info.eps) * (8 + abs(float(margin))), float(change)
        least = float(info.tiny)  # what underflows
        assert float(first) == pytest.approx(residual * change, rel=rounding, abs=abs(change) * least)
        off = rounding * change * change * abs(residual) + least * abs(change)
        assert float(second) == pytest.approx(wanted * change * change, rel=rounding, abs=off)


@pytest.mark.parametrize("dtype", FLOATS)
def test_finite_for_every_finite_margin(dtype):
    info = np.finfo(dtype)
    ends = np.array([info.max, info.tiny, info.smallest_subnormal, 0.0, 1.0, 88.0, 104.0, 745.0], dtype=dtype)
    z = np.concatenate([ends, -ends])[:, None]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for y in (np.zeros(len(z)), np.ones(len(z))):
            value, residual = Logistic().value_residual(z, y)
            assert np.isfinite(value).all() and (np.abs(residual) <= 1).all()
            assert (Logistic().curvature(z, y) <= 0.25).all()
        p = Logistic().probabilities(z)
        assert ((p >= 0) & (p <= 1)).all() and np.allclose(p.sum(axis=1), 1)
        assert np.isfinite(Logistic().log_probabilities(z)).all()


def test_nan_stays_nan():
    value, residual = Logistic().value_residual(np.array([[np.nan]]), np.array([1]))
    assert np.isnan(value).all() and np.isnan(residual).all()


@given(st.floats(-30, 30), st.integers(0, 1))
def test_residual_is_the_slope_of_the_value(z, y):
    h = 1e-5
    around = np.array([[z - h], [z + h]])
    value, residual = Logistic().value_residual(around, np.array([y, y]))
    slope = Logistic().value_residual(np.array([[z]]), np.array([y]))[1][0, 0]
    curvature = Logistic().curvature(np.array([[z]]), np.array([y]))[0, 0]
    assert (value[1, 0] - value[0, 0]) / (2 * h) == pytest.approx(slope, abs=1e-9)
    assert (residual[1, 0] - residual[0, 0]) / (2 * h) == pytest.approx(curvature, abs=1e-9)


def test_columns_are_independent_models():
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((50, 3)), rng.integers(0, 2, 50)
    value, residual = Logistic().value_residual(z, y)
    for j in range(3):
        one_value, one_residual = Logistic().value_residual(z[:, j : j + 1], y)
        assert np.array_equal(value[:, j : j + 1], one_value) and np.array_equal(
            residual[:, j : j + 1], one_residual
        )


def test_class_rule():
    z = np.array([[-1e-300], [0.0], [1e-300]])
    assert (
        (Logistic().probabilities(z)[:, 1] > 0.5) == (z[:, 0] > 0)
    ).sum() >= 2  # 1e-300 rounds to one half
    assert Logistic().probabilities(np.array([[0.0]]))[0, 1] == 0.5
