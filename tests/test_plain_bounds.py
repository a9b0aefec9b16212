"""Plain bounds: margins are shifted until residuals sum to zero, so that an intercept is at its optimum."""

import numpy as np
import pytest
from family import losses
from family.reference import Exact, optimum

from logreg_accel import Objective
from logreg_accel.duality import plain
from logreg_accel.solvers.questions import Evaluate


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("k", [2, 3])
def test_what_the_sums_of_residuals_lack_costs_no_digits(seed, k):
    """Where they lacked 1e-12 of what they had lacked, F* was taken to be above itself by as much; it is the
    bound of a later point, too. The classes are far apart in size, so that intercepts are long."""
    rng = np.random.default_rng(seed)
    X, s = 1e-9 * rng.standard_normal((14, 2)), rng.integers(1, 1000, 14).astype(float)
    y = np.append(np.arange(k), np.zeros(14 - k, int))
    objective = Objective.from_arrays(X, y, sample_weight=s, C=1e-12, backend="numpy")
    point = objective.answer(Evaluate(np.zeros(objective.size)))
    exact = optimum(Exact(X, losses.of(y, k), s, 1e12, 0.0, intercept=True))
    missing = float(point.value - exact.upper / s.sum())
    assert missing - 8 * np.finfo(float).eps * point.value <= plain(objective, point) < 1.001 * missing
