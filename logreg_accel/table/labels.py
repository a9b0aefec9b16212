"""Columns of a table that are no features: labels and weights."""

import numpy as np

from .learning import is_number, numbers_of, texts_of

_FEW_LABELS = 20  # different numbers that may be names of classes


def labels_of(name, column, place):
    """The labels in a column of an Arrow table, as an array of texts, whole numbers, numbers or bools.

    `place` says where a row stands, for the message.

    Raises
    ------
    ValueError
        Some are missing, or they are neither text nor numbers.
    """
    import pyarrow as pa

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
        if not whole and values.dtype.kind == "f":  # which scikit-learn would take for a quantity
            return values.astype(str) if len(np.unique(values)) <= _FEW_LABELS else values
        return values.astype(np.int64) if whole else values
    codes, texts = texts_of(column)
    texts = np.array([*texts.fill_null("").to_pylist(), ""], dtype=str)  # the last for missing ones, code -1
    absent = (texts == "")[codes]
    _refuse_lacking(name, "label", np.flatnonzero(absent), len(column), place)
    return texts[codes]


def weights_of(name, column, place):
    """The weights in a column.

    Raises
    ------
    ValueError
        Some are missing or no numbers.
    """
    weights = numbers_of(name, column)
    _refuse_lacking(name, "weight", np.flatnonzero(np.isnan(weights)), len(weights), place)
    return weights


def _refuse_lacking(name, what, rows, count, place):
    if len(rows):
        raise ValueError(
            f"column {name!r} has no {what} in {len(rows):,} of {count:,} rows, the first in "
            f"{place(rows[0])}; "
            "fill them in or leave these rows out"
        )


def as_known(labels, classes):
    """Labels with the type of `classes`, by how they are written: 1 and "1" and 1.0 are one label."""
    if labels.dtype.kind == classes.dtype.kind or {labels.dtype.kind, classes.dtype.kind} <= set("iufb"):
        return labels
    known = {str(label): label for label in classes.tolist()}
    found, codes = np.unique(labels, return_inverse=True)
    values = [known.get(str(label), label) for label in found.tolist()]
    return np.array(values, dtype=classes.dtype if set(map(str, found)) <= set(known) else object)[codes]
