"""`logreg-accel train --cv`: the C of the model, chosen by cross-validation."""

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from ..many.cv import LogisticRegressionCV
from ..many.models import done
from ..many.selection import best_of
from . import UsageError
from .output import print_table

_COUNT = 10  # values of C from 1e-4 to 1e4 that "auto" tries


class _Scorer:
    """Minus the log loss of a model on held-out rows; it also records areas under curves."""

    def __init__(self):
        self.areas = []

    def __call__(self, model, X, y, sample_weight=None):
        p, classes = model.predict_proba(X), model.classes_
        self.areas.append(_area(y, p, classes, sample_weight))
        return -log_loss(y, p, labels=classes, sample_weight=sample_weight)


def _area(y, p, classes, sample_weight):
    """The area under the ROC curve; nan if the rows do not have all classes."""
    if len(np.unique(y)) < len(classes):
        return float("nan")
    given = p[:, 1] if len(classes) == 2 else p
    return float(roc_auc_score(y, given, sample_weight=sample_weight, multi_class="ovr"))


def check(options):
    """Raise UsageError where the options contradict each other."""
    if options.cv is None and (options.one_se or isinstance(options.C, list | str)):
        raise UsageError("--one-se, and a --C of auto or several values, need --cv: a number such as 5")
    if options.cv is not None and options.cv < 2:
        raise UsageError(f"--cv {options.cv}: expected at least 2 folds")


def choose(options, model, X, y, weight, progress):
    """Set the C of a model to that with the best held-out log loss, or with --one-se to a stronger one near
    it.

    Returns
    -------
    list of dict
        One for each C: its mean loss and standard error, mean AUC, in how many folds its fit was done, and
        which of them is "best" and "1se".

    Raises
    ------
    ValueError
        No fit was finished: losses of unfinished models say nothing about C.
    """
    search, scorer = _search(options, model, progress)
    search.set_params(refit=False).fit(X, y, sample_weight=weight)
    rows = _rows(search, scorer)
    _refuse_none_done(options, search, rows)
    wanted = "1se" if options.one_se else "best"
    model.set_params(C=next(row["C"] for row in rows if wanted in row["choice"]))
    return rows


def fit_the_best(options, model, source, progress):
    """Fit a model to a source with the C that `choose` would set, while its rows are loaded; see `choose`."""
    search, scorer = _search(options, model, progress)
    best = search.set_params(refit="1se" if options.one_se else True).fit(source).best_estimator_
    rows = _rows(search, scorer)
    _refuse_none_done(options, search, rows)
    vars(model).update(vars(best))
    return rows


def _refuse_none_done(options, search, rows):
    """Raise ValueError if no model of any C was finished."""
    if any(row["done"] for row in rows):
        return
    statuses = sorted(set(search.status_.ravel().tolist()))
    raise ValueError(
        f"--cv: none of the {search.status_.size} models was done ({', '.join(statuses)}), so that no C is "
        "the best. Raise --max-seconds, --max-passes or --max-iter, or give one --C without --cv."
    )


def _search(options, model, progress):
    """The cross-validation of a model's C, and its scorer."""
    shared = set(LogisticRegressionCV().get_params()) & set(model.get_params()) - {"callback"}
    settings = {name: value for name, value in model.get_params(deep=False).items() if name in shared}
    scorer, given = _Scorer(), options.C
    search = LogisticRegressionCV(
        Cs=_COUNT if given in (None, "auto") else np.atleast_1d(given).tolist(),
        l1_ratios=(model.l1_ratio,),
        cv=StratifiedKFold(options.cv, shuffle=True, random_state=options.seed),
        scoring=scorer,
        callback=lambda told: progress.count(
            told.n_done, told.n_models, f"{told.n_done} of {told.n_models} models, {told.n_passes:.4g} passes"
        ),
        **settings,
    )
    return search, scorer


def _rows(search, scorer):
    """The tried values of C, one row for each."""
    losses = -search.scores_[:, 0, :]
    areas = np.array(scorer.areas[-losses.size :]).reshape(losses.shape)
    best = search.Cs_[best_of(search.scores_.mean(axis=0), search.Cs_)[1]]
    ended = done(search.status_[:, 0, :], search.suboptimality_[:, 0, :], search.tol)
    return [
        {
            "C": float(C),
            "log_loss": float(losses[:, i].mean()),
            "standard_error": float(losses[:, i].std(ddof=1) / np.sqrt(len(losses))),
            "auc": float(areas[:, i].mean()),
            "folds": len(losses),
            "done": int(ended[:, i].sum()),
            "choice": " ".join(word for word, at in (("best", best), ("1se", search.C_1se_)) if C == at),
        }
        for i, C in enumerate(search.Cs_)
    ]


def tell(rows):
    """Print the table of tried values of C."""
    lines = [
        [
            f"{row['C']:.4g}",
            f"{row['log_loss']:.6f} ± {row['standard_error']:.6f}",
            f"{row['auc']:.4f}",
            row["choice"] + _unfinished(row),
        ]
        for row in rows
    ]
    print_table("Cross-validation", ["C", "log loss", "AUC", ""], lines)


def _unfinished(row):
    """A note beside a C for which a budget ended some models."""
    return "" if row["done"] == row["folds"] else f"  ({row['done']} of {row['folds']} folds done)"
