"""The measures of `evaluate`, which are counted batch by batch: scikit-learn's are the reference."""

import numpy as np
import pytest
from sklearn import metrics

from logreg_accel.cli import tally
from logreg_accel.cli.tally import Tally

MANY = 4000


def predictions(n_classes, seed, decimals=None):
    rng = np.random.default_rng(seed)
    z = 2 * rng.standard_normal((MANY, n_classes))
    proba = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    if decimals is not None:
        proba = proba.round(decimals) + 10.0**-decimals
        proba /= proba.sum(axis=1, keepdims=True)
    classes = np.array(["a", "b", "c", "d"][:n_classes])
    y = classes[(z + rng.gumbel(size=z.shape)).argmax(axis=1)]
    return y, proba, classes[proba.argmax(axis=1)], classes


def in_batches(y, proba, labels, classes):
    counted, other = Tally(classes), Tally(classes)
    for start in range(0, MANY, 700):
        rows = slice(start, start + 700)
        (counted if start < 2000 else other).add(y[rows], proba[rows], labels[rows])
    return counted.absorb(other)


def areas(y, proba, classes):
    which = range(1, 2) if len(classes) == 2 else range(len(classes))
    exact = proba / proba.sum(axis=1, keepdims=True)  # as they are counted, or other ones would be equal
    pairs = [(y == classes[k], exact[:, k]) for k in which]
    return [
        np.mean([area(*pair) for pair in pairs])
        for area in (metrics.roc_auc_score, metrics.average_precision_score)
    ]


@pytest.mark.parametrize("decimals", [None, 2])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_measures_are_those_of_scikit_learn(n_classes, decimals, monkeypatch):
    monkeypatch.setattr(tally, "_PENDING", 1000)
    y, proba, labels, classes = predictions(n_classes, 0, decimals)
    counted = in_batches(y, proba, labels, classes)
    np.testing.assert_array_equal(counted.confusion, metrics.confusion_matrix(y, labels, labels=classes))
    average = "macro" if n_classes > 2 else None
    each = metrics.precision_recall_fscore_support(y, labels, labels=classes, average=average)[:3]
    found = counted.measures()
    expected = {
        "accuracy": metrics.accuracy_score(y, labels),
        "loss": metrics.log_loss(y, proba, labels=classes),
        "brier": ((proba - (y[:, None] == classes)) ** 2).sum(axis=1).mean() / (2 if n_classes == 2 else 1),
        **dict(zip(("auc", "pr_auc"), areas(y, proba, classes), strict=True)),
    }
    for name, own in zip(("precision", "recall", "f1"), each, strict=True):
        expected[name] = own[1] if n_classes == 2 else own
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("n_classes", [2, 4])
def test_many_different_probabilities_are_rounded(n_classes, monkeypatch):
    """The areas differ by less than the share of pairs that became equal by rounding."""
    monkeypatch.setattr(tally, "_PENDING", 500)
    monkeypatch.setattr(tally, "_MOST", 0)
    monkeypatch.setattr(tally, "_LEAST", 512)
    y, proba, labels, classes = predictions(n_classes, 1)
    counted = in_batches(y, proba, labels, classes)
    for ranks in counted.ranks.values():
        assert len(ranks.values) <= 512 and ranks.bits < 52 and ranks.counts.sum() == MANY
    found = counted.measures()
    ours = found["auc"], found["pr_auc"]
    np.testing.assert_allclose(ours, areas(y, proba, classes), atol=2 / 256)


def test_one_class_alone_has_no_areas():
    y, proba, labels, classes = predictions(2, 2)
    rows = y == "a"
    found = Tally(classes).add(y[rows], proba[rows], labels[rows]).measures()
    assert np.isnan(found["auc"]) and np.isnan(found["pr_auc"]) and found["base_rate"] == 1
