"""Columns of a table that are not features: labels and weights."""

from typing import Any, NamedTuple

import numpy as np

from .values import is_number, is_text, numbers_of, texts_of

_MOST_LABELS = 1 << 15
_FEW_LABELS = 20  # distinct numbers up to which they may be names of classes


def labels_of(name, column, place):
    """The labels in a column of an Arrow table, as an array of texts, whole numbers, numbers or bools.

    `place` gives the place of a row, for the message.

    Raises
    ------
    ValueError
        Some are missing, or they are neither text nor numbers.
    """
    import pyarrow as pa

    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    kind = column.type
    if pa.types.is_boolean(kind) or is_number(kind):
        lacking = np.flatnonzero(column.is_null(nan_is_null=True).to_numpy())
        _refuse_lacking(name, "label", lacking, len(column), place)
        if pa.types.is_boolean(kind):
            return column.cast(pa.uint8()).to_numpy().astype(bool)
        values = (
            column.cast(pa.float64(), safe=False).to_numpy()
            if pa.types.is_decimal(kind)
            else column.to_numpy()
        )
        whole = values.dtype.kind == "f" and (values == np.rint(values)).all() and (abs(values) < 2**53).all()
        if not whole and values.dtype.kind == "f":  # scikit-learn would take them for a quantity
            return values.astype(str) if len(np.unique(values)) <= _FEW_LABELS else values
        return values.astype(np.int64) if whole else values
    codes, texts = texts_of(column)
    texts = np.array([*texts.fill_null("").to_pylist(), ""], dtype=str)  # code -1, missing, takes the last
    absent = (texts == "")[codes]
    _refuse_lacking(name, "label", np.flatnonzero(absent), len(column), place)
    return texts[codes]


def weights_of(name, column, place):
    """The weights in a column.

    Raises
    ------
    ValueError
        Some are missing, negative or not numbers.
    """
    weights = numbers_of(name, column)
    _refuse_lacking(name, "weight", np.flatnonzero(np.isnan(weights)), len(weights), place)
    if (below := np.flatnonzero(weights < 0)).size:
        raise ValueError(
            f"column {name!r} has the negative weight {weights[below[0]]:g} in {place(below[0])}; expected "
            "weights of at least 0"
        )
    return weights


class LabelFacts:
    """The labels of a column in pieces, and their counts.

    Attributes
    ----------
    counts : dict
        Number of rows of each value, as it stands in the column.
    """

    def __init__(self, name):
        self.name, self.counts, self._kind, self._rows, self._lacking = name, {}, None, 0, []

    def add(self, column):
        """Take the next rows in.

        Raises
        ------
        ValueError
            There are too many labels for classes.
        """
        import pyarrow as pa

        column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        self._kind, lacks = column.type, _lacks(column)
        if lacks.any():
            self._lacking.append(self._rows + np.flatnonzero(lacks))
            column = column.filter(pa.array(~lacks))
        for pair in column.value_counts().to_pylist():
            self.counts[pair["values"]] = self.counts.get(pair["values"], 0) + pair["counts"]
        self._rows += len(lacks)
        if len(self.counts) > _MOST_LABELS:
            raise ValueError(
                f"column {self.name!r} has more than {_MOST_LABELS:,} different values: that is a quantity "
                "or a name, not a class; name another target, or make classes of it"
            )

    def coder(self, place):
        """The Coder that turns values of the column into labels.

        Raises
        ------
        ValueError
            Some rows have no label.
        """
        import pyarrow as pa

        if self._lacking:
            _refuse_lacking(self.name, "label", np.concatenate(self._lacking), self._rows, place)
        values = pa.array(list(self.counts), type=self._kind)
        return Coder(values, labels_of(self.name, values, place), np.array(list(self.counts.values())))


class Coder(NamedTuple):
    """The values of a column, the label of each, and its number of rows."""

    values: Any
    labels: np.ndarray
    counts: np.ndarray

    def __call__(self, column):
        """The labels of some rows, all of whose values are known."""
        import pyarrow.compute as pc

        column = column if column.type == self.values.type else column.cast(self.values.type)
        return self.labels[pc.index_in(column, value_set=self.values).to_numpy(zero_copy_only=False)]

    @property
    def classes(self):
        """The sorted labels, and how many rows each has."""
        classes, places = np.unique(self.labels, return_inverse=True)
        return classes, np.bincount(places, self.counts).astype(np.int64)


def _lacks(column):
    """Which rows have no label."""
    import pyarrow.compute as pc

    if is_text(column.type):
        blank = pc.equal(pc.utf8_trim_whitespace(column.cast("string")), "")
        return pc.fill_null(blank, True).to_numpy(zero_copy_only=False)
    return column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)


def _refuse_lacking(name, what, rows, count, place):
    if len(rows):
        raise ValueError(
            f"column {name!r} has no {what} in {len(rows):,} of {count:,} rows, the first in "
            f"{place(rows[0])}; "
            "fill them in or leave these rows out"
        )


def as_known(labels, classes):
    """Labels with the type of `classes`, compared as text: 1 and "1" and 1.0 are the same label."""
    numbers = set("iufb")
    if {labels.dtype.kind, classes.dtype.kind} <= numbers:
        return labels
    known = {str(label): label for label in classes.tolist()}
    found, codes = np.unique(labels, return_inverse=True)
    values = [known.get(str(label), known.get(_as_number(label), label)) for label in found.tolist()]
    return np.array(values, dtype=classes.dtype if set(values) <= set(known.values()) else object)[codes]


def _as_number(label):
    """The text of a label that is a number."""
    try:
        return str(float(label))
    except (TypeError, ValueError):
        return None
