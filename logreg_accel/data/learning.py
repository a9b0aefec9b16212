"""Learning the labels chunk by chunk, and the classes that result."""

import numpy as np

from .labels import missing_labels, values_of

_MOST = 1 << 16
_KINDS = {"i": "numbers", "u": "numbers", "f": "numbers", "b": "truth values", "m": "times", "M": "times"}


class LabelBook:
    """Gives every label a code, in order of first occurrence.

    Parameters
    ----------
    given : ndarray or None
        All labels; None learns them.
    """

    def __init__(self, given=None):
        self.given, self.codes, self.kind, self.origin = given, {}, None, None
        self.found, self.rows = [], {}
        self.settled = None  # the part before which two classes were known
        self.part = None

    def codes_of(self, y, piece, rows=None):
        """Return the codes (rows,) of the labels of a piece.

        `rows` are the numbers of the rows in the part, if they are not those from `piece.start` on.

        Raises
        ------
        ValueError
            A label is missing, is of another kind than the others, or is new after two were known; the
            message names file and row.
        """
        if (
            piece.part != self.part
            and self.part is not None
            and len(self.codes) >= 2
            and self.settled is None
        ):
            self.settled = piece.where
        self.part = piece.part
        _refuse_missing(y, piece)
        kind = _KINDS.get(y.dtype.kind) or _kind_of_object(y[0])
        if self.kind is None:
            self.kind, self.origin = kind, piece.where
        if kind != self.kind:
            raise ValueError(
                f"{piece.where!r}, row {piece.start}: the label {_plain(y[0])!r} is one of {kind}, and "
                f"those of {self.origin!r} are {self.kind}; expected labels of one kind."
            )
        unique, inverse = np.unique(y, return_inverse=True)
        self.found.append(unique)
        codes = [self._code(label, y, piece, rows) for label in values_of(unique)]
        return np.array(codes, dtype=np.uint16)[inverse]

    def _code(self, label, y, piece, rows):
        code = self.codes.get(label)
        if code is not None:
            return code
        row = int(np.flatnonzero(y == label)[0])
        row = self.rows[label] = piece.start + row if rows is None else int(rows[row])
        known = values_of(self.given) if self.given is not None else list(self.codes)
        if (self.given is not None and label not in known) or (
            self.given is None and self.settled is not None
        ):
            advice = "Drop those rows, or name it in `classes`."
            if self.given is None:
                advice = f"If it is a class, use scan(..., classes={[*known, label]})."
            raise ValueError(
                f"{piece.where!r} has the label {label!r} in row {row}, which is not among {known}, those "
                f"{'given' if self.given is not None else 'of the files before'}. {advice}"
            )
        if len(self.codes) == _MOST - 1:
            raise ValueError(f"there are more than {_MOST - 1} labels; is the target a column of numbers?")
        return self.codes.setdefault(label, len(self.codes))

    def expected(self):
        """The number of labels given, or of those found so far."""
        return len(self.codes if self.given is None else self.given)

    def classes(self):
        """The sorted classes, and for each code, in order of occurrence, that of its class.

        Raises
        ------
        ValueError
            There is only one class, or the labels look like a regression target.
        """
        from sklearn.utils.multiclass import check_classification_targets

        classes = np.unique(np.concatenate(self.found))
        check_classification_targets(classes)
        if len(classes) < 2:
            raise ValueError(
                f"`y` has only one class, {classes.tolist()[0]!r}; at least two classes are needed to fit a "
                "classifier."
            )
        if self.given is not None and len(classes) < len(self.given):
            absent = [label for label in values_of(self.given) if label not in self.codes]
            raise ValueError(f"no row has the labels {absent[:5]} of `classes`; leave them out.")
        order = [self.codes[label] for label in values_of(classes)]
        places = np.empty(len(order), dtype=np.min_scalar_type(len(order) - 1))
        places[order] = np.arange(len(order))
        return classes, places


def _refuse_missing(y, piece):
    missing = missing_labels(y)
    if missing.any():
        raise ValueError(
            f"{piece.where!r} has no label (NaN or null) in row {piece.start + int(missing.argmax())}. "
            "Drop those rows."
        )


def _kind_of_object(label):
    if isinstance(label, str | bytes):
        return "text"
    return _KINDS.get(np.asarray(label).dtype.kind, type(label).__name__)


def _plain(label):
    return label.item() if isinstance(label, np.generic) else label


class Totals:
    """Rows and weights of each class, in order of first occurrence."""

    def __init__(self):
        self.rows = np.zeros(0, dtype=np.int64)
        self.sums, self.most = np.zeros(0), np.zeros(0)
        self.least = np.zeros(0)

    def add(self, codes, s):
        """Add the rows of a chunk; s (rows,) or None."""
        k = max(int(codes.max()) + 1, len(self.rows))
        self.rows = _longer(self.rows, k, 0) + np.bincount(codes, minlength=k)
        weights = np.ones(len(codes)) if s is None else s
        self.sums = _longer(self.sums, k, 0.0) + np.bincount(codes, weights, minlength=k)
        self.most, self.least = _longer(self.most, k, 0.0), _longer(self.least, k, np.inf)
        np.maximum.at(self.most, codes, weights)
        positive = weights > 0
        np.minimum.at(self.least, codes[positive], weights[positive])

    def merge(self, codes, totals):
        """Add the totals of a part, whose labels have these codes, all different."""
        k = max(int(codes.max()) + 1, len(self.rows))
        rows, sums, most, least = totals
        self.rows, self.sums = _longer(self.rows, k, 0), _longer(self.sums, k, 0.0)
        self.most, self.least = _longer(self.most, k, 0.0), _longer(self.least, k, np.inf)
        self.rows[codes] += rows
        self.sums[codes] += sums
        self.most[codes] = np.maximum(self.most[codes], most)
        self.least[codes] = np.minimum(self.least[codes], least)

    def of_classes(self, places):
        """Rows, sum, largest and least positive weight of each class, in the order of the classes."""
        order = np.argsort(places)
        return tuple(values[order] for values in self.in_order_of_coming())

    def in_order_of_coming(self):
        """Rows, sum, largest and least positive weight of each class, in order of first occurrence."""
        return self.rows, self.sums, self.most, self.least


def _longer(array, k, fill):
    return np.append(array, np.full(k - len(array), fill, dtype=array.dtype))
