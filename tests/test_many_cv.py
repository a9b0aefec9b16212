"""LogisticRegressionCV: the choice, the scores and the layout of scikit-learn's, by other means."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression as Peer
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.utils.estimator_checks import check_estimator

from logreg_accel import LogisticRegression, LogisticRegressionCV


def draw(m=400, n=5, k=2, seed=0):
    sizes = {"n_samples": m, "n_features": n, "n_informative": max(n // 2, 2), "n_redundant": 0}
    return make_classification(**sizes, n_classes=k, flip_y=0.2, n_clusters_per_class=1, random_state=seed)


def reference(X, y, Cs, splits):
    """Scores (splits, 1, Cs) by scikit-learn's fits in float64, one after the other."""
    scores = []
    for train, test in splits:
        fits = [Peer(C=C, solver="newton-cholesky", tol=1e-10).fit(X[train], y[train]) for C in Cs]
        scores.append([-log_loss(y[test], fit.predict_proba(X[test]), labels=np.unique(y)) for fit in fits])
    return np.array(scores)[:, None, :]


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(s, marks=pytest.mark.slow) for s in range(3, 20))]
)
def test_the_choice_is_that_of_a_float64_reference(seed):
    rng = np.random.default_rng(seed)
    X, y = draw(int(rng.integers(60, 600)), int(rng.integers(2, 20)), 2 + seed % 3, seed)
    X = X * 10.0 ** rng.integers(-2, 2, X.shape[1])
    Cs = np.logspace(-4, 4, 10)
    clf = LogisticRegressionCV(cv=4, tol=1e-12).fit(X, y)
    expected = reference(X, y, Cs, StratifiedKFold(4).split(X, y))
    np.testing.assert_allclose(clf.scores_, expected, rtol=1e-6)
    assert clf.C_ == Cs[expected.mean(axis=0)[0].argmax()]
    whole = Peer(C=clf.C_, solver="newton-cholesky", tol=1e-10).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X), whole.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc", "accuracy", None, "neg_brier_score", "f1"])
def test_results_as_grid_search_lays_them_out(scoring):
    X, y = draw()
    clf = LogisticRegressionCV(Cs=[0.01, 1.0, 10.0], l1_ratios=[0, 0.5], scoring=scoring, cv=3).fit(X, y)
    grid = {"C": [0.01, 1.0, 10.0], "l1_ratio": [0.0, 0.5]}
    search = GridSearchCV(LogisticRegression(), grid, scoring=scoring, cv=3).fit(X, y)
    assert set(clf.cv_results_) == set(search.cv_results_)
    order = [search.cv_results_["params"].index(params) for params in clf.cv_results_["params"]]
    for name in ("mean_test_score", "std_test_score", "split1_test_score", "param_C", "param_l1_ratio"):
        found, expected = clf.cv_results_[name], search.cv_results_[name][order]
        np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=1e-3)
    assert clf.scores_.shape == clf.n_iter_.shape == clf.suboptimality_.shape == (3, 2, 3)
    assert clf.coefs_paths_.shape == (3, 2, 3, 1, 6)
    assert (clf.suboptimality_bound_ <= 1e-7).all() and (clf.status_ == "converged").all()
    assert clf.score(X, y) == pytest.approx(get_scorer(scoring or "accuracy")(clf, X, y))


def test_several_classes_and_labels_of_words():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    X = pd.DataFrame(X, columns=list("abcd"))
    clf = LogisticRegressionCV(Cs=4, cv=StratifiedKFold(3)).fit(X, names)
    assert clf.coefs_paths_.shape == (3, 1, 4, 3, 5) and list(clf.feature_names_in_) == list("abcd")
    assert clf.oof_decision_function_.shape == (150, 3) and clf.coef_.shape == (3, 4)
    np.testing.assert_allclose(clf.coef_, clf.best_estimator_.coef_)
    alone = LogisticRegression(C=clf.C_).fit(X, names)
    np.testing.assert_allclose(clf.predict_proba(X), alone.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize(
    "cv",
    [TimeSeriesSplit(3), ShuffleSplit(3, train_size=0.4, random_state=0), KFold(4), "masks", "pairs"],
    ids=str,
)
def test_any_splitter(cv):
    X, y = draw()
    rows, whole = np.arange(len(y)), isinstance(cv, KFold) or cv == "masks"
    if cv == "masks":
        cv = [(rows % 3 != i, rows % 3 == i) for i in range(3)]
    elif cv == "pairs":
        cv = [(rows[:300], rows[300:]), (rows[100:], rows[:50])]
    clf = LogisticRegressionCV(Cs=[0.1, 10.0], cv=cv).fit(X, y)
    splits = cv if isinstance(cv, list) else cv.split(X, y)
    np.testing.assert_allclose(clf.scores_, reference(X, y, [0.1, 10.0], splits), rtol=1e-6)
    assert hasattr(clf, "oof_decision_function_") == whole


def test_held_out_margins_are_those_of_the_models_that_did_not_see_the_rows():
    X, y = draw(100)
    clf = LogisticRegressionCV(Cs=[0.5], cv=LeaveOneOut()).fit(X, y)
    for row in (0, 57):
        kept = np.arange(100) != row
        alone = LogisticRegression(C=0.5).fit(X[kept], y[kept])
        assert clf.oof_decision_function_[row] == pytest.approx(
            alone.decision_function(X[[row]])[0], abs=1e-3
        )


def test_weights_count_in_fits_and_in_scores():
    X, y = draw()
    s = np.random.default_rng(0).random(len(y)) + 0.1
    clf = LogisticRegressionCV(Cs=[0.1, 1.0], cv=3, class_weight="balanced").fit(X, y, sample_weight=s)
    for split, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        alone = LogisticRegression(C=0.1, class_weight="balanced").fit(X[train], y[train], s[train])
        expected = -log_loss(y[test], alone.predict_proba(X[test]), sample_weight=s[test])
        assert clf.scores_[split, 0, 0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy", "roc_auc"])
def test_a_split_without_weight_to_test_on_is_refused_before_any_fit(scoring):
    """Its mean divided by zero, after all models had been fitted."""
    X, y = draw()
    s, steps = np.arange(len(y)) < len(y) // 2, []
    halves = np.flatnonzero(s), np.flatnonzero(~s)
    model = LogisticRegressionCV(Cs=2, cv=[halves], scoring=scoring, callback=steps.append)
    with pytest.raises(ValueError, match="In split 0 of `cv` all rows to test on have a `sample_weight` of"):
        model.fit(X, y, s.astype(float))
    assert not steps
    assert np.isfinite(model.fit(X, y).scores_).all()


def test_groups_and_metadata_routing():
    X, y = draw()
    groups = np.arange(len(y)) // 50
    plain = LogisticRegressionCV(Cs=3, cv=GroupKFold(4)).fit(X, y, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_scorer("neg_log_loss").set_score_request(sample_weight=True)
        clf = LogisticRegressionCV(Cs=3, cv=GroupKFold(4), scoring=scorer).set_fit_request(sample_weight=True)
        clf.fit(X, y, groups=groups, sample_weight=np.ones(len(y)))
        assert np.isfinite(clf.score(X, y, sample_weight=np.ones(len(y))))
    np.testing.assert_allclose(plain.scores_, clf.scores_, rtol=1e-6)
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        plain.fit(X, y, colour="red")


def test_of_scores_that_tie_the_strongest_penalty_and_one_standard_error():
    X, y = draw()
    constant = LogisticRegressionCV(Cs=[10.0, 0.1, 1.0], scoring=lambda model, X, y: 0.5).fit(X, y)
    assert constant.C_ == 0.1 == constant.C_1se_
    clf = LogisticRegressionCV(cv=5).fit(X, y)
    scores = clf.scores_[:, 0]
    best = scores.mean(axis=0).argmax()
    floor = scores[:, best].mean() - scores[:, best].std(ddof=1) / np.sqrt(5)
    assert clf.C_1se_ == clf.Cs_[np.flatnonzero(scores.mean(axis=0) >= floor)[0]] <= clf.C_


def test_a_scorer_of_the_users_sees_rows_and_model():
    X, y = draw()

    def scorer(model, rows, labels):
        assert rows.shape[1] == X.shape[1] and model.coef_.shape == (1, X.shape[1])
        return model.score(rows, labels)

    ours = LogisticRegressionCV(Cs=3, scoring=scorer).fit(X, y)
    assert (ours.scores_ == LogisticRegressionCV(Cs=3, scoring="accuracy").fit(X, y).scores_).all()


def test_without_a_refit_the_best_of_each_split_are_averaged():
    X, y = draw()
    clf = LogisticRegressionCV(refit=False, cv=3).fit(X, y)
    best = clf.scores_[:, 0].argmax(axis=1)
    assert clf.C_ == pytest.approx(clf.Cs_[best].mean()) and not hasattr(clf, "best_estimator_")
    expected = np.mean([clf.coefs_paths_[i, 0, b, 0] for i, b in enumerate(best)], axis=0)
    np.testing.assert_allclose(np.append(clf.coef_, clf.intercept_), expected)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_paths_of_several_classes_are_the_weights_of_single_fits(l1_ratio, fit_intercept):
    """Zeros are kept: weights that are shifted together give the same predictions but are no optimum under
    L1."""
    X, y = load_iris(return_X_y=True)
    template = LogisticRegression(C=0.3, l1_ratio=l1_ratio, fit_intercept=fit_intercept, tol=1e-12)
    cv, options = list(StratifiedKFold(3).split(X, y)), {"fit_intercept": fit_intercept, "tol": 1e-12}
    clf = LogisticRegressionCV(Cs=[0.3], l1_ratios=[l1_ratio], cv=cv, refit=False, **options).fit(X, y)
    alone = [clone(template).fit(X[train], y[train]) for train, _ in cv]
    for found, model in zip(clf.coefs_paths_[:, 0, 0], alone, strict=True):
        assert ((found[:, :4] == 0) == (model.coef_ == 0)).all()
        np.testing.assert_allclose(found[:, :4], model.coef_, atol=1e-4)
        if fit_intercept:
            np.testing.assert_allclose(found[:, 4], model.intercept_, atol=1e-4)
    np.testing.assert_allclose(clf.coef_, np.mean([model.coef_ for model in alone], axis=0), atol=1e-4)


def test_a_class_that_a_split_lacks():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="split 0 of `cv` .* only the classes"):
        LogisticRegressionCV(cv=KFold(2)).fit(X[:100], y[:100])
    clf = LogisticRegressionCV(Cs=[0.1], cv=KFold(3)).fit(X, y)  # each split trains on two classes of three
    assert np.isfinite(clf.scores_).all() and clf.coef_.shape == (3, 4)


def failing(model, X, y):
    raise RuntimeError("no such score")


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"Cs": 0}, ValueError, "`Cs` is 0"),
        ({"Cs": [1.0, -1.0]}, ValueError, "`Cs` is"),
        ({"Cs": []}, ValueError, "`Cs` is"),
        ({"l1_ratios": None}, ValueError, "`l1_ratios` must be"),
        ({"l1_ratios": [2]}, ValueError, "`l1_ratios` must be"),
        ({"scoring": failing}, RuntimeError, "no such score"),
        ({"scoring": "no"}, ValueError, "scoring"),
        ({"scoring": lambda model, X, y: "good"}, ValueError, "expected one number"),
        ({"cv": [([], [1, 2])]}, ValueError, "no rows to train or to test"),
        ({"cv": [([1, 1, 2], [3])]}, ValueError, "more than once"),
        ({"cv": []}, ValueError, "no split"),
        ({"cv": [([1, 2], [3]), ([0, 1], [60])]}, ValueError, "Split 1 .* from 0 to 59"),
        ({"cv": [(np.ones(9, bool), np.ones(9, bool))]}, ValueError, "masks with 60 entries"),
        ({"use_legacy_attributes": True}, ValueError, "use_legacy_attributes"),
        ({"tol": "x"}, ValueError, "`tol`"),
        ({"refit": 3}, ValueError, "`refit`"),
    ],
)
def test_bad_input_leaves_no_trace(settings, error, message, monkeypatch):
    X, y = draw(60)
    clf = LogisticRegressionCV(Cs=[1.0]).fit(X, y)
    before = clf.coef_
    monkeypatch.setattr("logreg_accel.many.folds.solve_table", None)  # nothing is read
    with pytest.raises(error, match=message):
        clf.set_params(**settings).fit(X, y)
    assert clf.coef_ is before


def test_estimator_checks():
    check_estimator(LogisticRegressionCV(Cs=3, cv=3))


def test_a_metric_that_wants_all_labels():
    X, y = load_iris(return_X_y=True)
    scoring = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")
    folds = [(np.r_[0:40, 50:150], np.arange(40, 50)), (np.r_[10:150], np.arange(10))]
    ours = LogisticRegressionCV(Cs=[0.1, 1.0], cv=folds, scoring=scoring).fit(X, y)
    by_name = LogisticRegressionCV(Cs=[0.1, 1.0], cv=folds).fit(X, y)
    np.testing.assert_allclose(ours.scores_, by_name.scores_, rtol=1e-6)
