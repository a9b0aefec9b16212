"""LogisticRegressionCV: C and l1_ratio chosen by cross-validation, with shared reads for all models."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing

from .. import fitting
from ..data.scan import Source
from ..interop import hooks
from ..prediction import Predictor
from .folds import Folds, models_of
from .models import check_choice, shares_of, strengths_of, template_of, warn_of, with_columns_of
from .opened import opened
from .scoring import Scoring, score_of_source, scorer_of
from .selection import best_of, grid_results, within_one_error
from .splits import split_of
from .table import Spec

_OWN = {"Cs", "l1_ratios", "cv", "scoring", "refit", "use_legacy_attributes", "class_weight"}


class LogisticRegressionCV(Predictor, ClassifierMixin, BaseEstimator):
    """Logistic regression with C and l1_ratio chosen by cross-validation.

    The models of all splits and candidates have the objective of `LogisticRegression`. They share reads of X,
    and each has its own proof, like a single fit. Where shared reads do not pay (X with many columns, sparse
    rows), models are fitted one after the other along the path of C, each starting from its neighbours.

    Parameters
    ----------
    Cs : int or sequence of float, default 10
        A number of values from 1e-4 to 1e4, or the values.
    l1_ratios : sequence of float, default (0.0,)
        Models with an l1_ratio above 0 or an infinite C are fitted one after the other along the path.
    cv : int, splitter, iterable of (train, test) or None
        Number of stratified folds (None: 5), or a splitter of scikit-learn.
    scoring : str, callable or None, default "neg_log_loss"
        None is accuracy.
    refit : bool or "1se", default True
        True fits a model with the best C and l1_ratio to all rows; "1se" takes the strongest penalty within
        one standard error of the best instead; False averages the best models of the splits.
    use_legacy_attributes : False
        Only scikit-learn's new attributes exist here.
    tol, fit_intercept, class_weight, solver, max_iter, max_passes, max_seconds, random_state, verbose, \
            backend, n_threads, penalty_factor, standardize, bounds
        As for `LogisticRegression`. "balanced" class weights and the standard deviations of columns are those
        of the training rows of each split; budgets hold for all models together.
    callback : callable Progress -> bool or None
        Called with a `logreg_accel.many.solve.Progress` after every read, or after every model if models are
        fitted one by one; True stops all models.

    Attributes
    ----------
    C_, l1_ratio_ : float
        The best values by the mean score of all splits; of equally good ones, the strongest penalty. With
        refit="1se", C_ is C_1se_; with refit=False, the mean over the splits of the best value of each.
    C_1se_ : float
        The strongest penalty whose mean score is within one standard error of the best.
    Cs_, l1_ratios_ : ndarray
    scores_ : ndarray (n_splits, n_l1_ratios, n_cs)
        A class that a split does not train on has probability zero in its scores, as at the optimum of a
        model with an intercept; in scikit-learn's scores this depends on `tol`.
    coefs_paths_ : ndarray (n_splits, n_l1_ratios, n_cs, n_classes or 1, n_features + fit_intercept)
    n_iter_, suboptimality_, suboptimality_bound_, status_ : ndarray (n_splits, n_l1_ratios, n_cs)
    cv_results_ : dict
        In the layout of GridSearchCV, over l1_ratios and, within each, over Cs.
    oof_decision_function_ : ndarray (n_samples,) or (n_samples, n_classes)
        Margins of each row by the best candidate's model of the split that held the row out; only if the test
        sets contain every row exactly once. Of a source with little memory, they are in a temporary file.
    best_estimator_ : LogisticRegression
        The model that was fitted to all rows, unless refit=False.
    n_passes_ : float
        Reads of X, including those for held-out scores.
    coef_, intercept_, classes_, n_features_in_, feature_names_in_
        As in `LogisticRegression`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from logreg_accel import LogisticRegressionCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = LogisticRegressionCV(Cs=[0.01, 0.1, 1.0, 10.0]).fit(scale(X), y)
    >>> clf.C_, clf.scores_.shape
    (1.0, (5, 1, 4))
    """

    # The weights of `score` go to the scorer, which requests them itself; a request here would conflict.
    __metadata_request__score = {"sample_weight": UNUSED}

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratios: Any = (0.0,),
        cv: Any = None,
        scoring: Any = "neg_log_loss",
        refit: bool | str = True,
        use_legacy_attributes: bool = False,
        tol: float = 1e-8,
        fit_intercept: bool = True,
        class_weight: dict | str | None = None,
        solver: Any = "auto",
        max_iter: int = 1000,
        max_passes: float | None = None,
        max_seconds: float | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: int = 0,
        callback: Callable[[Any], bool | None] | None = None,
        backend: str = "auto",
        n_threads: int | None = None,
        penalty_factor: Any = None,
        standardize: bool = False,
        bounds: Sequence[Any] | np.ndarray | dict[str, Any] | None = None,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.use_legacy_attributes = use_legacy_attributes
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.max_iter = max_iter
        self.max_passes = max_passes
        self.max_seconds = max_seconds
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.backend = backend
        self.n_threads = n_threads
        self.penalty_factor = penalty_factor
        self.standardize = standardize
        self.bounds = bounds

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, offset: Any = None, **params: Any
    ) -> Self:
        """Fit the models of all splits, choose, and fit the best to all rows.

        Parameters
        ----------
        X : array, frame, table or sparse matrix (n_samples, n_features)
            Or the result of `logreg_accel.scan`, which has labels and weights, and whose rows need not fit
            into memory; labels, weights and one bit per row and split do have to fit. Splitters and scorers
            then do not see X.
        y : (n_samples,) labels of two or more classes
        sample_weight : (n_samples,) or None
            For fitting and, unless metadata routing says otherwise, also for scoring.
        offset : (n_samples,), of more than two classes (n_samples, n_classes), or None
            Added to the margins of every model, also for held-out rows.
        **params
            For the splitter and the scorer under scikit-learn's metadata routing; without it, `groups`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, RuntimeError
            Before the first read: parameters or data that cannot be used, a split without rows or with only
            one class, or a scorer that fails.

        Warns
        -----
        ConvergenceWarning
            Some models ended above `tol`.
        """
        with fitting.unchanged_where_refused(self):
            strengths, shares = strengths_of(self.Cs), shares_of(self.l1_ratios)
            template = self._template(strengths)
            with opened(template, X, y, sample_weight, offset) as shared:
                with_columns_of(self, template)
                fold = self._fitted(template, shared, strengths, shares, (X, y, sample_weight), params)
                self._choose(fold, strengths, shares)
        warn_of(template, fold.fitted, len(self.classes_), stacklevel=2)
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> float:
        """The score of X and y, or of a source, by `scoring`.

        Parameters
        ----------
        X, y, sample_weight
            As for `LogisticRegression.score`.
        **params
            For the scorer, under scikit-learn's metadata routing.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As `LogisticRegression.score`; also what the scorer raises, and `params` without routing.
        """
        if isinstance(X, Source):
            return score_of_source(self, X)
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if hooks.routes_metadata():
            given = process_routing(self, "score", **given, **params).scorer.score
        elif params:
            raise ValueError(hooks.without_routing("score", params))
        return scorer_of(self.scoring)(self, X, y, **given)

    def get_metadata_routing(self):
        """Which metadata the splitter and the scorer receive, a scikit-learn `MetadataRouter`."""
        to_scorer = MethodMapping().add(caller="score", callee="score").add(caller="fit", callee="score")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
            .add(scorer=scorer_of(self.scoring), method_mapping=to_scorer)
        )

    def _margins(self, X, offset=None):
        """Return margins in float64: in float32, probabilities near 1 would be 1, and their logarithms 0."""
        backend, margins = super()._margins(X, offset)
        return backend, margins.astype(np.float64)

    # -- the pieces ------------------------------------------------------------------------------------------

    def _fitted(self, template, shared, strengths, shares, given, params):
        """The Folds, fitted and scored."""
        X, y, weights = given
        if shared.streamed:
            X, y, weights = None, None, shared.weights
        to_split, to_score = self._routed(weights, params)
        split = split_of(self.cv, shared, X, y, to_split)
        split.refuse_without_weight(to_score.get("sample_weight"))
        shared, self.classes_ = shared._replace(splits=split.bits), shared.classes
        models = models_of(shared, len(split.sizes), self.class_weight)
        scoring = Scoring(self.scoring, shared.classes, X, y, to_score)
        specs = [Spec(m, C, share) for m in models for share in shares for C in strengths]
        shape = (len(models), len(shares), len(strengths))
        fold = Folds(self.callback, template, shared, split, specs, shape)
        fold.fit(scoring)
        return fold

    def _template(self, strengths):
        check_choice(self.use_legacy_attributes, self.refit)
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k not in _OWN}
        return template_of(parameters, strengths)

    def _routed(self, sample_weight, params):
        """The metadata for the splitter and for the scorer."""
        if hooks.routes_metadata():
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return routed.splitter.split, routed.scorer.score
        if set(params) - {"groups"}:
            raise ValueError(hooks.without_routing("fit", params))
        return params, {} if sample_weight is None else {"sample_weight": sample_weight}

    def _choose(self, fold, strengths, shares):
        """Set the attributes, and refit."""
        scores, fitted = fold.scores, fold.fitted
        means = scores.mean(axis=0)
        place = best_of(means, strengths)
        self.Cs_, self.l1_ratios_ = np.array(strengths), np.array(shares)
        self.scores_, self.coefs_paths_ = scores, fold.points()
        self.n_iter_ = fold.of_all(lambda s: max(s.n_iter, 1), np.int32)
        self.suboptimality_ = fold.of_all(lambda s: s.suboptimality, float)
        self.suboptimality_bound_ = fold.of_all(lambda s: s.bound, float)
        self.status_ = fold.of_all(lambda s: s.status, object)
        self.cv_results_ = grid_results(scores, shares, strengths, *fold.seconds)
        within = within_one_error(scores, place, strengths)
        self.C_1se_ = strengths[within[1]]
        place = within if self.refit == "1se" else place
        self.C_, self.l1_ratio_ = strengths[place[1]], shares[place[0]]
        self.backend_, self.solver_ = fitted[0].backend, fitted[0].solver
        vars(self).pop("oof_decision_function_", None)
        if fold.partition:
            margins = fold.out_of_fold(place)
            self.oof_decision_function_ = margins if fold.k > 1 else margins[:, 0]
        vars(self).pop("best_estimator_", None)
        if self.refit:
            model = fold.refit(place, self.C_, self.l1_ratio_, self.class_weight)
            self.best_estimator_, self.coef_, self.intercept_ = model, model.coef_, model.intercept_
            self.class_shares_ = model.class_shares_
        else:
            own = [best_of(one, strengths) for one in scores]
            self.C_ = float(np.mean([strengths[i] for _, i in own]))
            self.l1_ratio_ = float(np.mean([shares[i] for i, _ in own]))
            W = np.mean([self.coefs_paths_[i][place] for i, place in enumerate(own)], axis=0)
            n = self.n_features_in_
            self.coef_, self.intercept_ = W[:, :n], W[:, n] if self.fit_intercept else np.zeros(len(W))
        self.n_passes_ = fold.n_passes
