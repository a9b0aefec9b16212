"""Offsets and options of columns in many models: each is what a fit by itself finds."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold

from logreg_accel import LogisticRegression, LogisticRegressionCV, fit_many, logistic_regression_path

OPTIONS = {
    "penalty_factor": {"penalty_factor": [0.0, 2.0, 1.0, 5.0]},
    "standardize": {"standardize": True},
    "bounds": {"bounds": ([0.0, -0.1, -np.inf, 0.0], np.inf)},
    "all": {"penalty_factor": [1.0, 2.0, 1.0, 5.0], "standardize": True, "bounds": (-0.3, 0.3)},
    "no intercept": {"standardize": True, "fit_intercept": False},
}


def draw(classes=2, m=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 4)) * [1, 10, 0.1, 1]
    offset = rng.normal(size=(m, classes) if classes > 2 else m)
    z = X[:, :1] * np.arange(classes) + rng.gumbel(size=(m, classes))
    z[:, 1:] += offset[:, 1:] if classes > 2 else offset[:, None]
    return X, z.argmax(axis=1), offset, rng.random(m) + 0.1


def alike(model, alone, offset, X):
    told, expected = (clf.predict_proba(X, offset=offset) for clf in (model, alone))
    np.testing.assert_allclose(told, expected, atol=1e-4)  # margins of classes may be shifted together
    assert model.suboptimality_bound_ <= 1e-10
    if alone.scale_ is not None:
        np.testing.assert_allclose(model.scale_, alone.scale_)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "name, l1_ratio",
    [(name, share) for name in OPTIONS for share in (0.0, 0.5) if not (share and "bounds" in OPTIONS[name])],
)
def test_a_path_is_made_of_single_fits(name, l1_ratio, classes):
    X, y, offset, s = draw(classes)
    settings = {"tol": 1e-10, "l1_ratio": l1_ratio, **OPTIONS[name]}
    path = logistic_regression_path(X, y, Cs=[0.01, 0.3], sample_weight=s, offset=offset, **settings)
    for C, model in zip(path.Cs, path.models, strict=True):
        alike(model, LogisticRegression(C=C, **settings).fit(X, y, s, offset=offset), offset, X)


def test_targets_are_standardized_by_the_rows_that_have_them():
    X, y, offset, s = draw()
    Y = np.column_stack([y, 1 - y]).astype(float)
    Y[100:, 1] = np.nan
    models = fit_many(X, Y, C=[0.1, 1.0], offset=offset, sample_weight=s, tol=1e-10, standardize=True)
    for i, rows in enumerate([slice(None), slice(100)]):
        for C, model in zip([0.1, 1.0], models[2 * i : 2 * i + 2], strict=True):
            alone = LogisticRegression(C=C, tol=1e-10, standardize=True)
            alike(model, alone.fit(X[rows], Y[rows, i], s[rows], offset=offset[rows]), offset, X)


@pytest.mark.parametrize("name", ["penalty_factor", "standardize", "bounds"])
def test_splits_know_offsets_and_names_of_columns(name):
    X, y, offset, s = draw()
    frame = pd.DataFrame(X, columns=list("abcd"))
    options = {
        "penalty_factor": {"penalty_factor": {"b": 3.0, "d": 0.0}},
        "standardize": {"standardize": True},
        "bounds": {"bounds": {"a": "+", "c": (-0.2, 0.1)}},
    }[name]
    clf = LogisticRegressionCV(Cs=[0.01, 1.0], cv=3, tol=1e-10, **options).fit(frame, y, s, offset=offset)
    margins = np.empty(len(y))
    for split, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        scores = []
        for C in [0.01, 1.0]:
            alone = LogisticRegression(C=C, tol=1e-10, **options)
            alone.fit(frame.iloc[train], y[train], s[train], offset=offset[train])
            z = alone.decision_function(frame.iloc[test], offset=offset[test])
            scores.append(-np.average(np.logaddexp(0, np.where(y[test] == 1, -z, z)), weights=s[test]))
            if clf.C_ == C:
                margins[test] = z
        np.testing.assert_allclose(clf.scores_[split, 0], scores, rtol=1e-5)
    np.testing.assert_allclose(clf.oof_decision_function_, margins, atol=2e-4)
    whole = LogisticRegression(C=clf.C_, tol=1e-10, **options).fit(frame, y, s, offset=offset)
    alike(clf.best_estimator_, whole, offset, frame)
    assert list(clf.best_estimator_.feature_names_in_) == list("abcd")


@pytest.mark.parametrize(
    "given, told",
    [
        ({"offset": [0.0, 1.0]}, "`offset` has shape"),
        ({"penalty_factor": [1.0, -1.0, 1.0, 1.0]}, "at least 0"),
        ({"penalty_factor": [1.0]}, "expected one number per column"),
        ({"bounds": (1, 0)}, "lower <= upper"),
        ({"bounds": (0, 1), "solver": "lbfgs"}, "cannot handle `bounds`"),
        ({"bounds": (0, 1), "l1_ratio": 0.5}, "L1 penalty"),
        ({"standardize": "yes"}, "expected True or False"),
    ],
)
def test_options_that_are_refused(given, told):
    X, y, _, _ = draw()
    for fit in (logistic_regression_path, fit_many):
        with pytest.raises(ValueError, match=told):
            fit(X, y, **given)
    offset = {"offset": given["offset"]} if "offset" in given else {}
    own = {k: v for k, v in given.items() if k not in ("offset", "l1_ratio")}
    own |= {"l1_ratios": [given["l1_ratio"]]} if "l1_ratio" in given else {}
    with pytest.raises(ValueError, match=told):
        LogisticRegressionCV(**own).fit(X, y, **offset)


def test_rows_whose_loss_underflows_prove_nothing_and_break_nothing():
    """Far along a direction that separates them, float64 leaves no loss at all."""
    X = [[0.0, 0.3034684, 0.3687547, -0.7784402], [0.0, 1.0047703, -1.3675472, -0.06118263]]
    X = scipy.sparse.csr_array(np.array([*X, [0.0, -0.01833192, 0.43507907, -1.432688]], dtype=np.float32))
    weights = [9.83723128e-06, 1.06619424e-01, 1.89067991e-08]
    options = {"standardize": True, "fit_intercept": False, "backend": "numba", "tol": 1e-6}
    given = {"Cs": [6563.0, np.inf], "l1_ratio": 0.5, "sample_weight": weights, **options}
    with pytest.warns(ConvergenceWarning, match="separable"):
        path = logistic_regression_path(X, [1, 2, 0], **given)
    assert [model.status_ for model in path.models] == ["converged", "separable"]
