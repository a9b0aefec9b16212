"""Which columns separate classes where weights have no penalty."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from conftest import CPU_BACKENDS
from logreg_accel import LogisticRegression


def drawn(m, n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n))
    return rng, X, (rng.random(m) < 1 / (1 + np.exp(-X @ rng.standard_normal(n)))).astype(int)


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("l1_ratio", [0, 0.5])
@pytest.mark.parametrize("m", [500, 20000])
def test_a_column_without_a_penalty_that_separates_a_part_is_named(name, l1_ratio, m):
    """Such fits were watched only if no column had a penalty."""
    rng, X, y = drawn(m, 6)
    X[:, 0] = np.where(rng.random(m) < 0.1, abs(X[:, 0]) * np.where(y == 1, 1, -1), 0)
    with pytest.warns(ConvergenceWarning, match="some have no penalty.*the weights of column 0 grow"):
        found = LogisticRegression(penalty_factor=[0, 0, 1, 1, 1, 1], l1_ratio=l1_ratio, backend=name).fit(
            X, y
        )
    assert found.status_ == "separable" and found.suboptimality_bound_ < 1e-3
    held = LogisticRegression(penalty_factor=[1, 0, 0, 1, 1, 1], l1_ratio=l1_ratio, backend=name).fit(X, y)
    assert held.status_ == "converged"
