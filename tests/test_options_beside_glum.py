"""Offsets, penalty factors, bounds and standardized columns beside glum, on random cases."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from logreg_accel import LogisticRegression

glum = pytest.importorskip("glum")


def case(seed):
    """Data and options, as LogisticRegression takes them."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(40, 1500)), int(rng.integers(1, 25))
    X = rng.normal(size=(m, n)) @ (np.eye(n) + rng.choice([0.0, 0.5]) * rng.normal(size=(n, n)))
    X = X * 10.0 ** rng.integers(-1, 2, n) + rng.choice([0, 1], n)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=n) * rng.choice([0.3, 1.0])
    y = (z + rng.logistic(size=m) > 0).astype(int)
    y[:2] = 0, 1
    s = rng.random(m) + 0.1 if rng.random() < 0.5 else np.ones(m)
    offset = rng.normal(size=m) * rng.choice([0.0, 1.0])
    options = {"C": float(10.0 ** rng.uniform(-3, 1)), "fit_intercept": bool(rng.random() < 0.8)}
    if rng.random() < 0.6:
        options["penalty_factor"] = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(0.1, 5, n))
    if rng.random() < 0.3:
        options["standardize"] = True
    if rng.random() < 0.6:
        lower = rng.choice([-np.inf, 0.0, -0.1], n)
        options["bounds"] = lower, np.maximum(rng.choice([np.inf, 0.0, 0.2], n), lower)
    return X, y, s, offset, options


def hostile(seed):
    """The same with one thing that is hard."""
    X, y, s, offset, options = case(seed)
    rng, (m, n) = np.random.default_rng([seed, 1]), X.shape
    what = ["collinear between bounds", "separated", "far offsets", "weights", "float32", "sparse"][seed % 6]
    if what == "collinear between bounds":
        X = np.column_stack([X, X @ rng.choice([-1.0, 0.0, 1.0], n)])
        options = {
            "C": options["C"],
            "bounds": (rng.choice([-np.inf, 0.0, -0.1], n + 1), np.full(n + 1, 0.2)),
        }
    elif what == "separated":  # by a column with a penalty, beside columns without
        X = np.column_stack([X, (2 * y - 1) * (rng.random(m) + 0.01)])
        options = {"C": options["C"], "penalty_factor": np.append(np.zeros(n), 1.0)}
    elif what == "far offsets":
        offset = np.where(rng.random(m) < 0.1, rng.choice([-1e4, 1e4], m), offset)
    elif what == "weights":
        s = 10.0 ** rng.uniform(-5, 5, m)
    elif what == "float32":
        X = X.astype(np.float32)
    else:
        X = sparse.csr_array(X * (rng.random((m, n)) < 0.4))
    return X, y, s, offset, options


def objective(coef, intercept, X, y, s, offset, ridge):
    X, coef = X.astype(np.float64), coef.astype(np.float64)
    z = X @ coef + intercept + offset
    return float((s * np.logaddexp(0, np.where(y == 1, -z, z))).sum() + ridge @ coef**2 / 2)


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [case, hostile])
@pytest.mark.parametrize("first", range(0, 200, 25))
def test_no_objective_is_above_that_of_glum(first, drawn):
    for seed in range(first, first + 25):
        X, y, s, offset, options = drawn(seed)
        clf = LogisticRegression(tol=1e-9, **options).fit(X, y, s, offset=offset)
        scale = np.ones(X.shape[1]) if clf.scale_ is None else clf.scale_
        ridge = options.get("penalty_factor", np.ones(X.shape[1])) * scale**2 / options["C"]
        lower, upper = options.get("bounds", (None, None))
        peer = glum.GeneralizedLinearRegressor(
            family="binomial",
            alpha=1.0,
            l1_ratio=0.0,
            P2=ridge / s.sum(),
            lower_bounds=lower,
            upper_bounds=upper,
            fit_intercept=clf.fit_intercept,
            gradient_tol=1e-10,
            max_iter=2000,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                peer.fit(X.tocsc() if sparse.issparse(X) else X.astype(float), y, s, offset=offset)
            except np.linalg.LinAlgError:  # its own, of margins that are far
                assert drawn is hostile and clf.status_ == "converged", (seed, clf.status_)
                continue
        ours = objective(clf.coef_[0], clf.intercept_[0], X, y, s, offset, ridge)
        theirs = peer.coef_ if lower is None else np.clip(peer.coef_, lower, upper)
        theirs = objective(theirs, peer.intercept_, X, y, s, offset, ridge)
        assert ours <= theirs * (1 + 1e-9), seed
        # a proof that glum's point disproves is none
        assert ours - theirs <= clf.suboptimality_bound_ * ours + 1e-13 * ours, seed
        assert clf.status_ == "converged", (seed, clf.status_)
        if lower is not None:
            assert (clf.coef_ >= lower).all() and (clf.coef_ <= upper).all()
