"""The line search: where it stops, and that it descends."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.solvers.line_search import minimum
from logreg_accel.solvers.questions import LineMinimum


@pytest.mark.parametrize("kink", [1e-4, 0.01, 0.3])
@pytest.mark.parametrize("slope_beyond", [0.009, 0.5, 5.0])
def test_the_point_found_lies_below_the_start(kink, slope_beyond):
    """Beyond the minimum, a slope of less than 1 % of the first one does not bound the value."""
    width = kink / 10

    def rise(t):
        return (np.tanh((t - kink) / width) - np.tanh(-kink / width)) / 2

    def slope_and_curvature(t):
        curvature = (1 + slope_beyond) * (1 - np.tanh((t - kink) / width) ** 2) / (2 * width)
        return -1 + (1 + slope_beyond) * rise(t), curvature

    t = minimum(slope_and_curvature, slope_and_curvature(0.0)[0])
    way = np.linspace(0, t, 100_001)
    slopes = -1 + (1 + slope_beyond) * rise(way)
    assert np.trapezoid(slopes, way) < 0
    assert -0.01 <= slopes[-1] <= 0


@pytest.mark.parametrize("lowest", [0.003, 0.4, 1.0, 7.0])
def test_what_is_known_of_the_end_spares_an_evaluation(lowest):
    """On a parabola a line through both slopes gives the minimum at once, which may lie beyond the end."""
    asked = []

    def slope_and_curvature(t):
        asked.append(t)
        return t - lowest, 1.0

    first, last = -lowest, 1 - lowest
    t = minimum(slope_and_curvature, first, last)
    assert 0.99 * lowest <= t <= lowest
    assert 1.0 not in asked and len(asked) <= 2


def test_ends_that_are_known_wrongly_cost_evaluations_alone():
    for last in (1e-3, 1e9, 0.5):
        t = minimum(lambda t: (np.sinh(t - 0.7), np.cosh(t - 0.7)), -np.sinh(0.7), last)
        assert -0.01 * np.sinh(0.7) <= np.sinh(t - 0.7) <= 0


@pytest.mark.parametrize("size", [1e-3, 1e-12, 1e-40, 1e-131])
def test_a_step_too_long_by_many_magnitudes(size):
    """Rows have no curvature there, and halvings ended at 1e-18 of the step."""

    def slope_and_curvature(t):
        rise = np.tanh(t / size - 2)
        return rise, (1 - rise**2) / size

    first = slope_and_curvature(0.0)[0]
    t = minimum(slope_and_curvature, first)
    assert 0.01 * first <= slope_and_curvature(t)[0] <= 0


def test_a_line_without_a_minimum_is_followed_far():
    assert minimum(lambda t: (-np.exp(-t), np.exp(-t)), -1.0) > 4
    assert minimum(lambda t: (-1.0, 0.0), -1.0) >= 1e5
    assert minimum(lambda t: (1.0, 1.0), 1.0) == 0


def test_very_wide_data_are_trained():
    """A first step that was far too long ended at a point above the start, and the fit at zero."""
    X = np.random.default_rng(0).standard_normal((100, 60_000), dtype=np.float32)
    clf = LogisticRegression(backend="numpy", solver="lbfgs").fit(X, X[:, 0] > 0)
    assert clf.status_ == "converged" and clf.score(X, X[:, 0] > 0) == 1


def test_a_step_below_the_rounding_of_values_is_not_searched_along(monkeypatch):
    """Its slopes are rounding as well, and took sixty evaluations."""
    X, y = load_breast_cancer(return_X_y=True)
    objective = Objective.from_arrays(X.astype(np.float32), y, C=1.0, backend="numpy")
    asked, answer = [], objective.answer

    def listen(question):
        if isinstance(question, LineMinimum):
            asked.append(-(question.start.gradient @ (question.end.w - question.start.w)))
            assert asked[-1] > question.start.rounding
        return answer(question)

    monkeypatch.setattr(objective, "answer", listen)
    found = driver.run(solvers.newton_cholesky(), objective, np.zeros(objective.size), tol=1e-6)
    assert found.status == "converged" and asked


def test_a_line_of_next_to_no_curvature_is_no_warning():
    """Large offsets saturate all rows, so that Newton's step along the line overflows."""

    def slope_and_curvature(t):
        return np.float64(-1.0 if t < 3 else 1.0), np.float64(1e-309)

    with np.errstate(over="raise"):
        assert 0 < minimum(slope_and_curvature, -1.0) <= 3
