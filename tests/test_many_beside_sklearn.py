"""LogisticRegressionCV beside scikit-learn's: who is given which metadata, and classes that a split lacks."""

import numpy as np
import pytest
import sklearn
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression as Peer
from sklearn.linear_model import LogisticRegressionCV as PeerCV
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from logreg_accel import LogisticRegressionCV

pytestmark = pytest.mark.skipif(
    "use_legacy_attributes" not in PeerCV().get_params(), reason="this scikit-learn has no new attributes"
)

NEW = {"scoring": "neg_log_loss", "use_legacy_attributes": False, "l1_ratios": (0,)}
GROUPS = np.arange(240) // 12
WEIGHTS = np.random.default_rng(0).random(240) + 0.1


def draw(m=240, n=5, k=2, seed=0):
    sizes = {"n_samples": m, "n_features": n, "n_informative": max(n // 2, 2), "n_redundant": 0}
    return make_classification(**sizes, n_classes=k, flip_y=0.2, n_clusters_per_class=1, random_state=seed)


def ours(**settings):
    return LogisticRegressionCV(**{"Cs": [0.01, 1.0], "tol": 1e-12, **settings})


def theirs(**settings):
    return PeerCV(**{"Cs": [0.01, 1.0], "solver": "newton-cholesky", "tol": 1e-10, **NEW, **settings})


def weighing(name=True):
    return get_scorer("neg_log_loss").set_score_request(sample_weight=name)


def weighed(make):
    """A pipeline whose every part asks for weights, and whose inner splits go by groups."""
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    last = make(cv=GroupKFold(3), scoring=weighing()).set_fit_request(sample_weight=True)
    return make_pipeline(scaler, last)


def grouped(make):
    return make_pipeline(StandardScaler(), make(cv=GroupKFold(3)))


BOTH = {"groups": GROUPS, "sample_weight": WEIGHTS}
OUTER = {"cv": GroupKFold(4), "error_score": "raise"}
GRID = {"logisticregressioncv__class_weight": [None, "balanced"]}
ROUTES = {
    "groups": lambda make, X, y: grouped(make).fit(X, y, groups=GROUPS)[-1].scores_,
    "pipelines in a pipeline": lambda make, X, y: (
        make_pipeline(StandardScaler(), grouped(make)).fit(X, y, groups=GROUPS).predict_proba(X)
    ),
    "weights of fits and scores": lambda make, X, y: weighed(make).fit(X, y, **BOTH)[-1].scores_,
    "weights of scores alone": lambda make, X, y: (
        make(scoring=weighing()).set_fit_request(sample_weight=False).fit(X, y, sample_weight=WEIGHTS).scores_
    ),
    "weights of scores, under another name": lambda make, X, y: (
        make_pipeline(make(scoring=weighing("v")).set_fit_request(sample_weight=True))
        .fit(X, y, sample_weight=WEIGHTS, v=WEIGHTS**2)[-1]
        .scores_
    ),
    "the score of a pipeline": lambda make, X, y: (
        weighed(make).fit(X, y, **BOTH).score(X, y, sample_weight=WEIGHTS)
    ),
    "cross_validate": lambda make, X, y: cross_validate(
        weighed(make), X, y, scoring=weighing(), params=BOTH, **OUTER
    )["test_score"],
    "cross_validate by its own score": lambda make, X, y: cross_validate(
        weighed(make), X, y, params=BOTH, **OUTER
    )["test_score"],
    "cross_val_predict": lambda make, X, y: cross_val_predict(
        grouped(make), X, y, cv=GroupKFold(4), params={"groups": GROUPS}, method="predict_proba"
    ),
    "GridSearchCV": lambda make, X, y: (
        GridSearchCV(weighed(make), GRID, scoring=weighing(), **OUTER)
        .fit(X, y, **BOTH)
        .cv_results_["mean_test_score"]
    ),
}


@pytest.mark.parametrize("route", ROUTES)
def test_metadata_go_where_scikit_learn_sends_them(route):
    X, y = draw()
    with sklearn.config_context(enable_metadata_routing=True):
        found, expected = (ROUTES[route](make, X, y) for make in (ours, theirs))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "settings, given",
    [
        ({}, {"sample_weight": WEIGHTS}),  # nobody said whether it is for the scores, too
        ({"cv": KFold(3)}, {"groups": GROUPS}),
        ({}, {"colour": WEIGHTS}),
    ],
    ids=str,
)
def test_metadata_that_nobody_asks_for_are_refused_as_there(settings, given):
    X, y = draw()
    with sklearn.config_context(enable_metadata_routing=True):
        told = []
        for make in (ours, theirs):
            with pytest.raises((TypeError, ValueError)) as error:
                make(**settings).set_fit_request(sample_weight=True).fit(X, y, **given)
            told.append((error.type, str(error.value)))
    assert told[0] == told[1]


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_scores_of_a_class_that_a_split_lacks_are_those_of_the_optimum(fit_intercept):
    """With an intercept its probability is zero there; scikit-learn's depends on where its solver stops."""
    X, y = draw(300, 6, 4)
    late = np.argsort(y == 3, kind="stable")
    X, y, rows = X[late], y[late], np.arange(300)
    splits = [(rows[:200], rows[200:]), (rows[rows % 3 > 0], rows[rows % 3 == 0])]
    assert 3 not in y[:200]
    settings = {"Cs": [0.1, 10.0], "cv": splits, "fit_intercept": fit_intercept}
    clf = LogisticRegressionCV(**settings, tol=1e-12).fit(X, y)
    if fit_intercept:
        expected = np.zeros((2, 100, 4))
        for i, C in enumerate(settings["Cs"]):
            fit = Peer(C=C, solver="newton-cholesky", tol=1e-10).fit(X[:200], y[:200])
            expected[i, :, :3] = fit.predict_proba(X[200:])
        losses = [-log_loss(y[200:], own, labels=range(4)) for own in expected]
        np.testing.assert_allclose(clf.scores_[0, 0], losses, rtol=1e-6)
    peer = PeerCV(**settings, **NEW, tol=1e-10, max_iter=10_000).fit(X, y)
    same = [1] if fit_intercept else [0, 1]
    np.testing.assert_allclose(clf.scores_[same], peer.scores_[same], rtol=1e-5)
