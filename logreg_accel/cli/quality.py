"""How good a model is on labelled rows: scikit-learn's metrics beside those of the base rate."""

import math

import numpy as np

from .output import print_table, text

BINS = 10
HEADINGS = {
    "base_rate": "base rate",
    "accuracy": "accuracy",
    "loss": "log loss",
    "base_loss": "log loss of the base rate",
    "brier": "Brier score",
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}


def quality(y, proba, labels, classes):
    """The measures in `HEADINGS`, from labels y and predictions.

    `base_rate` is the accuracy of always predicting the most frequent class. For several classes, areas are
    means of one against the rest, and precision, recall and F1 are means over the classes; for two, they are
    those of the second.
    """
    from sklearn import metrics

    exact = proba.astype(np.float64)
    exact = exact / exact.sum(axis=1, keepdims=True)
    y, labels, codes = np.searchsorted(classes, y), np.searchsorted(classes, labels), np.arange(len(classes))
    own = y[:, None] == codes
    rates = own.mean(axis=0)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        y, labels, labels=codes, average="macro" if len(classes) > 2 else None, zero_division=0
    )
    if len(classes) == 2:
        precision, recall, f1 = precision[1], recall[1], f1[1]
    both = [(own[:, k], exact[:, k]) for k in range(len(classes) == 2, len(classes)) if 0 < rates[k] < 1]
    squares = ((exact - own) ** 2).sum(axis=1).mean()
    return {
        "base_rate": float(rates.max()),
        "accuracy": float(metrics.accuracy_score(y, labels)),
        "loss": float(metrics.log_loss(y, exact, labels=codes)),
        "base_loss": float(-sum(rate * math.log(rate) for rate in rates if rate)),
        "brier": float(squares / 2 if len(classes) == 2 else squares),
        "auc": _mean(metrics.roc_auc_score(*pair) for pair in both),
        "pr_auc": _mean(metrics.average_precision_score(*pair) for pair in both),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


def _mean(values):
    values = [float(value) for value in values]
    return float(np.mean(values)) if values else math.nan


def calibration(y, proba, classes):
    """Rows, mean probability and share of hits in ten bins of probability, without empty bins.

    For two classes, of the second; for several, of the likeliest.
    """
    if len(classes) == 2:
        said, hit = proba[:, 1].astype(np.float64), y == classes[1]
    else:
        said, hit = proba.max(axis=1).astype(np.float64), y == classes[proba.argmax(axis=1)]
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    return [
        {
            "from": b / BINS,
            "to": (b + 1) / BINS,
            "rows": int((bins == b).sum()),
            "said": float(said[bins == b].mean()),
            "found": float(hit[bins == b].mean()),
        }
        for b in range(BINS)
        if (bins == b).any()
    ]


def best_threshold(rule, y, score):
    """The threshold on the probability of the second class that is best for "f1" or "youden"."""
    from sklearn import metrics

    if rule == "f1":
        precision, recall, thresholds = metrics.precision_recall_curve(y, score)
        total = precision + recall
        f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
        return float(thresholds[f1[:-1].argmax()])
    fall_out, recall, thresholds = metrics.roc_curve(y, score)
    return float(min(thresholds[(recall - fall_out).argmax()], 1.0))


def measure(value):
    """A measure as text: four decimals, and more digits where it is very small."""
    if not isinstance(value, float):
        return text(value)
    return f"{value:.3g}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"


def print_quality(title, measured, classes):
    """Print measures side by side, a column for each name in `measured`."""
    several = "mean over classes" if len(classes) > 2 else f"of {classes[1]}"
    rows = [
        [
            f"{heading} {several}" if key == "precision" else heading,
            *(measure(m[key]) for m in measured.values()),
        ]
        for key, heading in HEADINGS.items()
    ]
    print_table(title, ["", *measured], rows)
