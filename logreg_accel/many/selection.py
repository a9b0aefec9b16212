"""The choice of the best model by scores on held-out rows, and the scores in GridSearchCV's layout."""

import itertools

import numpy as np
from scipy.stats import rankdata

_TIED = 1e-12
"""Relative difference of mean scores that counts as a tie."""


def best_of(means, strengths):
    """The place (l1_ratio, C) of the best mean score; among ties, the strongest penalty."""
    if not np.isfinite(means).any():
        raise ValueError("All scores are nan or infinite; check `scoring` and the labels of the splits.")
    best = np.nanmax(means)
    tied = np.argwhere(means >= best - _TIED * max(abs(best), _TIED))
    return tuple(min(tied.tolist(), key=lambda place: (strengths[place[1]], place[0])))


def within_one_error(scores, best, strengths):
    """The place of the strongest penalty whose mean score is within one standard error of the best score.

    Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees, § 3.4.3; for the best
    l1_ratio.
    """
    n_splits = len(scores)
    if n_splits < 2:
        return best
    own = scores[:, best[0], :]
    error = own[:, best[1]].std(ddof=1) / np.sqrt(n_splits)
    good = np.flatnonzero(own.mean(axis=0) >= own[:, best[1]].mean() - error)
    return best[0], int(min([*good, best[1]], key=lambda place: strengths[place]))


def grid_results(scores, l1_ratios, strengths, fit_seconds, score_seconds):
    """`cv_results_` from scores (splits, l1_ratios, Cs), ordered by l1_ratio, then C.

    Models of a split share their reads, so each candidate's time is its share.
    """
    grid = [{"C": strength, "l1_ratio": share} for share, strength in itertools.product(l1_ratios, strengths)]
    flat = scores.reshape(len(scores), -1)
    share = np.ones(len(grid)) / flat.size
    results = {
        "mean_fit_time": fit_seconds * share,
        "std_fit_time": 0 * share,
        "mean_score_time": score_seconds * share,
        "std_score_time": 0 * share,
    }
    for name in ("C", "l1_ratio"):
        results[f"param_{name}"] = np.ma.MaskedArray([one[name] for one in grid], mask=False)
    results["params"] = grid
    results.update({f"split{i}_test_score": own for i, own in enumerate(flat)})
    means = flat.mean(axis=0)
    results["mean_test_score"], results["std_test_score"] = means, flat.std(axis=0)
    worst = np.nanmin(means, initial=0) - 1
    ranks = rankdata(-np.where(np.isnan(means), worst, means), method="min")
    return {**results, "rank_test_score": ranks.astype(np.int32)}
