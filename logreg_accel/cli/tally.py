"""Predictions that were made batch by batch, in counts and sums from which all measures follow."""

import math

import numpy as np

BINS = 10
_PENDING = 1 << 16  # rows that are sorted at a time
_MOST = 1 << 18  # distinct probabilities that are kept, for all classes together
_LEAST = 1 << 12  # distinct probabilities of one class that are kept at least
_BITS = 52  # bits of the fraction of a float64


class Tally:
    """Rows whose labels are compared with predictions.

    Parameters
    ----------
    classes : ndarray

    Attributes
    ----------
    confusion : ndarray (n_classes, n_classes)
        How many rows of each class (first) are predicted as each class (second).
    """

    def __init__(self, classes):
        self.classes, count = classes, len(classes)
        self.confusion = np.zeros((count, count), dtype=np.int64)
        self.losses = self.squares = 0.0
        self.bins = np.zeros((3, BINS))  # rows, probabilities, hits
        most = max(_MOST // count, _LEAST)
        self.ranks = {k: Ranks(most) for k in range(count == 2, count)}

    def add(self, y, proba, labels):
        """Count some rows: labels y, probabilities of the classes, and predicted labels."""
        exact = proba.astype(np.float64)
        exact = exact / exact.sum(axis=1, keepdims=True)
        y, said = np.searchsorted(self.classes, y), np.searchsorted(self.classes, labels)
        np.add.at(self.confusion, (y, said), 1)
        of_label, eps = exact[np.arange(len(y)), y], np.finfo(np.float64).eps
        self.losses -= np.log(np.clip(of_label, eps, 1 - eps)).sum()
        self.squares += (exact**2).sum() + (1 - 2 * of_label).sum()
        if len(self.classes) == 2:
            told, hit = proba[:, 1].astype(np.float64), y == 1
        else:
            told, hit = proba.max(axis=1).astype(np.float64), y == proba.argmax(axis=1)
        places = np.minimum((told * BINS).astype(int), BINS - 1)
        for sums, values in zip(self.bins, (None, told, hit), strict=True):
            sums += np.bincount(places, values, BINS)
        for k, ranks in self.ranks.items():
            ranks.add(exact[:, k], y == k)
        return self

    def absorb(self, other):
        """Add the counts of another Tally."""
        self.confusion += other.confusion
        self.losses, self.squares = self.losses + other.losses, self.squares + other.squares
        self.bins += other.bins
        for k, ranks in self.ranks.items():
            ranks.absorb(other.ranks[k])
        return self

    @property
    def rows(self):
        return int(self.confusion.sum())

    def measures(self):
        """See `quality.quality`."""
        m, two = self.rows, len(self.classes) == 2
        hits, true, said = self.confusion.diagonal(), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        rates = true / m
        each = [_share(hits, said), _share(hits, true), _share(2 * hits, true + said)]
        precision, recall, f1 = (float(values[1] if two else values.mean()) for values in each)
        areas = [ranks.areas() for k, ranks in self.ranks.items() if 0 < rates[k] < 1]
        auc, pr_auc = np.mean(areas, axis=0).tolist() if areas else (math.nan, math.nan)
        return {
            "base_rate": float(rates.max()),
            "accuracy": float(hits.sum() / m),
            "loss": float(self.losses / m),
            "base_loss": float(-sum(rate * math.log(rate) for rate in rates if rate)),
            "brier": float(self.squares / m / (2 if two else 1)),
            "auc": auc,
            "pr_auc": pr_auc,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }

    def calibration(self):
        """See `quality.calibration`."""
        return [
            {
                "from": b / BINS,
                "to": (b + 1) / BINS,
                "rows": int(count),
                "said": float(told / count),
                "found": float(hits / count),
            }
            for b, (count, told, hits) in enumerate(self.bins.T)
            if count
        ]


def _share(part, whole):
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


class Ranks:
    """How many rows of a class, and of the others, have each probability.

    If every probability were kept, memory would grow with the rows. So when there are more than `most`
    distinct ones, they are rounded to so few bits that half of that remain; those near 1 are rounded in their
    distance from 1. An area then differs by no more than the share of pairs of rows whose probabilities have
    become equal.
    """

    def __init__(self, most):
        self.most, self.bits = most, _BITS
        self.values, self.counts = np.empty(0), np.empty((2, 0), dtype=np.int64)
        self._pending: list = []

    def add(self, values, own):
        self._pending.append((values, np.stack([~own, own]).astype(np.int64)))
        if sum(len(some) for some, _ in self._pending) >= _PENDING:
            self._settle()

    def absorb(self, other):
        other._settle()
        self.bits = min(self.bits, other.bits)
        self._pending.append((other.values, other.counts))
        self._settle()

    def _settle(self):
        values, counts = zip((self.values, self.counts), *self._pending, strict=True)
        self._pending = []
        self.values, self.counts = np.concatenate(values), np.concatenate(counts, axis=1)
        del values, counts  # they are as large as the result, and sorting takes as much again
        self.values, self.counts = _together(rounded(self.values, self.bits), self.counts)
        while len(self.values) > self.most:
            while self.bits > 1 and len(np.unique(rounded(self.values, self.bits))) > self.most // 2:
                self.bits -= 1
            self.values, self.counts = _together(rounded(self.values, self.bits), self.counts)

    def areas(self):
        """The areas under the curves of receiver operating characteristics, and of precision and recall."""
        self._settle()
        others, own = self.counts[:, ::-1].astype(np.float64)  # from the largest probability on
        hits, false = np.cumsum(own), np.cumsum(others)
        auc = (others * (hits - own / 2)).sum() / (hits[-1] * false[-1])
        return float(auc), float((own * hits / (hits + false)).sum() / hits[-1])


def rounded(values, bits):
    """Round probabilities to `bits` bits of their fraction, or of that of their distance from 1."""
    if bits == _BITS:
        return values
    near_one = values > 0.5
    small = np.where(near_one, 1 - values, values).view(np.int64) >> (_BITS - bits) << (_BITS - bits)
    return np.where(near_one, 1 - small.view(np.float64), small.view(np.float64))


def _together(values, counts):
    """The distinct values, ascending, and the sums of their counts."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    first = np.flatnonzero(np.diff(values, prepend=-np.inf))
    if not len(first):
        return values, counts
    return values[first], np.stack([np.add.reduceat(some[order], first) for some in counts])
