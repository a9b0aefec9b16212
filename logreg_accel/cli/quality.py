"""The quality of a model on labelled rows and that of the base rate, by scikit-learn's definitions."""

import numpy as np

from .output import print_table, text
from .tally import Tally

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
    return Tally(classes).add(y, proba, labels).measures()


def warn_of_weights(model, warn):
    """Warn that class weights have shifted the probabilities of which a model's measures are computed."""
    if model.class_weight is not None:
        warn(
            "class weights shift probabilities, which log loss, Brier score and calibration show; in Python, "
            "predict_proba(X, prior='data') gives those without the shift"
        )


def calibration(y, proba, classes):
    """Rows, mean probability and share of hits in ten bins of probability, without empty bins.

    The probability is that of the second of two classes, or of the likeliest of several.
    """
    return Tally(classes).add(y, proba, y).calibration()


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
