"""The input of `train`: rows to learn from, and held-out rows."""

import csv
import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from .. import TableEncoder
from ..data.files import read_files
from ..data.finding import find_files
from ..data.gathering import Tables, with_places
from ..data.opening import kind_of
from ..data.reader import TABLES
from ..data.tables import has_pyarrow
from ..table.labels import as_known, labels_of, weights_of
from ..table.stream import types_of
from . import UsageError
from .plan import tell


class Rows(NamedTuple):
    """Features, names of their columns or None, labels, weights, held-out rows, an encoder if there is one,
    and the columns that are not features, that of the labels first.
    """

    X: Any
    names: list | None
    y: Any = None
    weight: Any = None
    held_out: Any = None
    encoder: Any = None
    aside: Any = None


def listed(text):
    """The names in an option that accepts several; double quotes enclose names with commas, as in CSV."""
    return [name for row in csv.reader([text or ""]) for name in row if name]


def columns_aside(options, find=str):
    """The columns that the options exclude from the features, that of the labels first; [] without labels."""
    if options.target is None:
        return []
    return [find(name) for name in (options.target, *filter(None, [options.weight]), *listed(options.drop))]


def rows_to_learn(options, progress):
    """Read the rows to learn from and the held-out rows, encoded if they are a table."""
    if not is_table(options.file, options.encode):
        return _numbers_to_learn(options)
    tables = check_target(options)
    target, weight = tables.find(options.target), options.weight and tables.find(options.weight)
    aside = columns_aside(options, tables.find)
    levels, numbers = ([tables.find(n) for n in listed(t)] for t in (options.categorical, options.numeric))
    types = {**dict.fromkeys(levels, "text"), **dict.fromkeys(numbers, "number")}
    table = tables.read(types)
    y = _labels(table, target, tables)
    weights = weights_of(weight, table[weight], tables.place) if weight else None
    check_classes(target, *np.unique(y, return_counts=True))
    features = table.drop_columns(sorted(set(aside)))
    if not features.num_columns:
        raise ValueError(f"{tables.name!r} has no column left for the features.")
    kept, out = np.arange(len(y)), None
    if options.test_size:
        kept, out = split(y, options)
    encoder = TableEncoder(
        min_count=options.min_count,
        categorical=tuple(levels),
        numeric=tuple(numbers),
        scale=options.scale,
        drop_first=_bases(options, tables),
    )
    given = features.take(kept) if out is not None else features
    try:
        encoder.fit(given)
    except ValueError as error:
        raise ValueError(with_places(str(error), lambda row: tables.place(kept[row]))) from error
    count, penalised = 0 if out is None else len(out), options.C != math.inf and not options.firth
    tell(progress, tables.name, encoder, given, target, y[kept], held_out=count, penalised=penalised)
    X = encoder.encode(given)[0]
    held_out = None if out is None else (encoder.encode(features.take(out))[0], y[out])
    if options.valid:
        held_out = _valid(options, encoder, aside, y, progress)
    return Rows(
        X, encoder.get_feature_names_out().tolist(), y[kept], None if weight is None else weights[kept],
        held_out, encoder, aside,
    )  # fmt: skip


def _bases(options, tables):
    """What the encoder leaves out, so that columns are not collinear with the intercept."""
    if not (options.inference or options.firth) or options.no_intercept:
        return False
    return {tables.find(column): level for column, level in (options.base or {}).items()}


def check_target(options):
    """The tables to learn from; raises UsageError without --target."""
    tables = Tables(options.file, **layout(options))
    if options.target is None:
        raise UsageError(_which_target(options.file[0], tables.names))
    return tables


def _valid(options, encoder, aside, y, progress):
    classes, target = np.unique(y), aside[0]
    tables = Tables(options.valid, **layout(options))
    table = tables.read(types_to_use(encoder, classes, tables.find(target)))
    try:
        X, counts = encoder.encode(table)
    except ValueError as error:
        raise ValueError(with_places(str(error), tables.place)) from error
    counts.extra = [name for name in counts.extra if name not in aside]
    for sentence in counts.sentences():
        progress.say(sentence)
    return X, known_labels(_labels(table, target, tables), classes, tables.name)


def types_to_use(encoder, classes, target=None):
    """The types for reading text columns for a fitted encoder and known labels."""
    types = types_of(encoder)
    if target is not None:
        types.pop(target, None)
        if classes.dtype.kind in "OU":
            types[target] = "text"
        elif classes.dtype.kind in "iuf":
            types[target] = "number"
    return types


def known_labels(y, classes, path):
    """Labels in the form that the model knows.

    Raises
    ------
    ValueError
        The model does not know some labels.
    """
    y = as_known(y, classes)
    strange = sorted(set(np.unique(y).tolist()) - set(classes.tolist()), key=str)
    if strange:
        raise ValueError(
            f"{path} has labels that the model does not know: {strange[:5]}; it knows {classes.tolist()}."
        )
    return y


def check_classes(target, classes, counts):
    """Raise ValueError for labels that are not classes."""
    rows = int(counts.sum())
    if len(classes) == 1:
        raise ValueError(
            f"column {target!r} has only one class, {classes[0].item()!r}; expected rows of two "
            "classes or more"
        )
    most = min(max(20, rows // 10), max(2, rows // 2))
    if len(classes) > most or classes.dtype.kind == "f":
        raise ValueError(
            f"column {target!r} has {len(classes):,} different values in {rows:,} rows: that is a quantity "
            "or a name, not a class; name another --target, or make classes of it"
        )


def refuse_gaps(X, names, error):
    """Raise ValueError that names all columns with missing numbers, after a fit has named one of them."""
    if names is None or not isinstance(X, np.ndarray):
        return
    lacking = np.count_nonzero(~np.isfinite(X), axis=0)
    columns = [f"{names[j]!r} ({lacking[j]:,} rows)" for j in np.flatnonzero(lacking)]
    if columns:
        more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
        raise ValueError(
            f"{error} Columns with NaN or inf: {', '.join(columns[:20])}{more}. --encode auto encodes "
            "missing values, --drop leaves columns out."
        ) from error


def split(y, options):
    """Numbers of the rows to learn from and of those held out, in order, both with all classes."""
    from sklearn.model_selection import train_test_split

    rows, classes = np.arange(len(y)), len(np.unique(y))
    out = math.ceil(options.test_size * len(y))
    if min(out, len(y) - out) < classes:
        raise ValueError(
            f"--test-size {options.test_size:g} holds out {out:,} of {len(y):,} rows; expected at least one "
            f"row of each of the {classes} classes on either side"
        )
    kept, out = train_test_split(rows, test_size=options.test_size, random_state=options.seed, stratify=y)
    return np.sort(kept), np.sort(out)


def _labels(table, target, tables):
    return labels_of(target, table[target], tables.place)


def layout(options):
    """The options for reading text tables."""
    return {
        "separator": options.sep,
        "header": not options.no_header,
        "missing": listed(options.na),
        "encoding": options.encoding,
    }


def _which_target(path, names):
    usual = [name for name in names if name.lower() in ("target", "label", "y", "class", "outcome")]
    guess = f"; perhaps --target {usual[0]}" if usual else ""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (
        f"{path}: --target is missing; expected the column of the labels, one of "
        f"{', '.join(names[:20])}{more}"
        f"{guess}"
    )


def is_table(patterns, encode):
    """Whether files are tables to encode; without pyarrow, text can only be read as numbers."""
    return encode != "none" and has_pyarrow() and kind_of(find_files(patterns)[0]) in TABLES


# -- numbers as they are -------------------------------------------------------------------------------------


def _numbers_to_learn(options):
    given = {"target": options.target, "weight": options.weight}
    table = read_files(find_files(options.file), **given, drop=tuple(listed(options.drop)))
    if table.target is None:
        raise UsageError(f"{options.file[0]}: --target is missing; expected the column of the labels")
    X, y, weight, held_out = table.X, table.target, table.weight, None
    if options.test_size:
        kept, out = split(y, options)
        held_out = (X[out], y[out])
        X, y, weight = X[kept], y[kept], None if weight is None else weight[kept]
    if options.valid:
        reading = {**given, "features": table.names, "n_features": X.shape[1]}
        valid = read_files(find_files(options.valid), **reading)
        held_out = (valid.X, known_labels(valid.target, np.unique(y), options.valid[0]))
    return Rows(X, table.names, y, weight, held_out, aside=columns_aside(options))


def without_names(function):
    """Call a function without its warning that the columns of a matrix have no names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return function()
