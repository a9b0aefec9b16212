"""A model as a SELECT over a table."""

import numpy as np

from .document import plain_labels
from .encoded import NumberTerm, terms_of

_LARGEST = 1.7976931348623157e308
"""The largest number. Neither NULL nor, in databases that sort NaN above all numbers, NaN is at most that."""

_BLANKS = " \t\n\r\v\f\u00a0\u2003\u3000"
_FARTHEST = 700
"""Differences of margins beyond which exp would overflow and a probability is 0 up to 1e-304."""


def to_sql(model, table, columns=None):
    """See `Exports.to_sql`."""
    encoded = columns is None and hasattr(model, "encoder_")
    terms = terms_of(model) if encoded else []
    names = [term.name for term in terms] if encoded else _names(model, columns)
    labels = plain_labels(model.classes_)
    k = len(model.coef_)
    ends = [""] if k == 1 else [f"_{label}" for label in labels]
    if len({end.lower() for end in ends}) < k:  # databases do not distinguish upper and lower case in names
        ends = [f"_{i}" for i in range(k)]
    made = {"prediction", *(f"{kind}{end}".lower() for kind in ("margin", "probability") for end in ends)}
    clash = sorted(name for name in names if name.lower() in made)
    if clash:
        raise ValueError(
            f"`columns` has {clash[0]!r}, which is a name of the result; rename it in the table."
        )
    margins = [_name(f"margin{end}") for end in ends]
    coef, intercept = model.coef_.astype(np.float64), model.intercept_
    sums = [
        [_term(term, i) for term in terms] if encoded else _products(names, w) for i, w in enumerate(coef)
    ]
    scored = ",\n  ".join(
        f"{_sum([_number(b), *own])} AS {margin}"
        for own, b, margin in zip(sums, intercept, margins, strict=True)
    )
    told = [
        f"{p} AS {_name('probability' + end)}" for p, end in zip(_probabilities(margins), ends, strict=True)
    ]
    source = ".".join(map(_name, table.split(".")))
    return (
        f"WITH scored AS (SELECT *,\n  {scored}\nFROM {source})\nSELECT *,\n  "
        + ",\n  ".join([*told, f"{_prediction(margins, labels)} AS prediction"])
        + "\nFROM scored"
    )


def _names(model, columns):
    if columns is None and not hasattr(model, "feature_names_in_"):
        raise ValueError(
            f"`columns` is None and the model has no names of its features; give "
            f"{model.n_features_in_} names."
        )
    names = [str(name) for name in (model.feature_names_in_ if columns is None else columns)]
    if len(names) != model.n_features_in_ or len(set(names)) != len(names):
        raise ValueError(
            f"`columns` has {len(set(names))} names; expected {model.n_features_in_} different ones."
        )
    return names


def _products(names, w):
    """The terms of x·w."""
    return [f"{_double(name)} * {_number(v)}" for name, v in zip(names, w, strict=True)]


def _double(name):
    return f"CAST({_name(name)} AS DOUBLE PRECISION)"


def _term(term, i):
    """The contribution of a column of a table to the margin of output i, by the rules of the encoder."""
    missing = _number(term.missing[i])
    if isinstance(term, NumberTerm):
        value = _double(term.name)
        product = f"{value} / {_number(term.scale)} * {_number(term.slope[i])}"
        return f"CASE WHEN {value} <= {_number(_LARGEST)} THEN {product} ELSE {missing} END"
    text = f"trim(CAST({_name(term.name)} AS VARCHAR), {_literal(_BLANKS)})"
    pairs = zip(term.levels, term.weights[:, i], strict=True)
    cases = "".join(f" WHEN {_literal(level)} THEN {_number(w)}" for level, w in pairs)
    other = _number(term.other[i])
    known = f"CASE {text}{cases} ELSE {other} END" if cases else other
    return f"CASE WHEN {_name(term.name)} IS NULL OR {text} = '' THEN {missing} ELSE {known} END"


def _sum(terms):
    """A balanced tree of sums: a chain would exceed SQLite's limit on depth."""
    while len(terms) > 1:
        terms = [f"({' + '.join(terms[i : i + 2])})" for i in range(0, len(terms), 2)]
    return terms[0]


def _probabilities(margins):
    """Probabilities of classes_[1], or of each of several classes, from any margins without overflow."""
    if len(margins) == 1:
        z = margins[0]
        small = f"exp(-abs({z}))"
        return [f"CASE WHEN {z} > 0 THEN 1 / (1 + {small}) ELSE {small} / (1 + {small}) END"]
    out = []
    for own in margins:
        gaps = [f"{other} - {own}" for other in margins if other != own]
        odds = [f"exp(CASE WHEN {gap} > {_FARTHEST} THEN {_FARTHEST} ELSE {gap} END)" for gap in gaps]
        out.append(f"1 / (1 + {' + '.join(odds)})")
    return out


def _prediction(margins, labels):
    words = [_literal(label) for label in labels]
    if len(margins) == 1:
        z = margins[0]
        return f"CASE WHEN {z} > 0 THEN {words[1]} WHEN {z} <= 0 THEN {words[0]} END"
    cases = []
    for own, word in zip(margins, words, strict=True):
        largest = " AND ".join(f"{own} >= {other}" for other in margins if other != own)
        cases.append(f"WHEN {largest} THEN {word}")
    return f"CASE {' '.join(cases)} END"


def _number(value):
    """A literal with an exponent, without which some databases read a decimal of few digits."""
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def _name(name):
    if "\x00" in name:
        raise ValueError(f"{name!r} is not a name in SQL.")
    return '"' + name.replace('"', '""') + '"'


def _literal(label):
    if isinstance(label, bool):
        return "TRUE" if label else "FALSE"
    if isinstance(label, str):
        if "\x00" in label:
            raise ValueError(f"`classes_` has {label!r}, for which SQL has no literal.")
        return "'" + label.replace("'", "''") + "'"
    return str(label) if isinstance(label, int) else _number(label)
