"""Predictions for the rows of files, batch by batch, so that the files need not fit into memory."""

import argparse
from typing import Any, NamedTuple

import numpy as np

from .. import read_file, scan
from ..data.finding import find_files
from ..data.frames import chained
from ..data.gathering import Tables
from ..table.labels import labels_of
from . import UsageError
from .quality import best_threshold
from .reading import is_table, known_labels, layout, types_to_use, without_names


class Scored(NamedTuple):
    """Some rows: probabilities (rows, classes), predicted labels, true labels or None, and columns that are
    kept, by name, as Arrow arrays.
    """

    probability: np.ndarray
    label: np.ndarray
    y: Any = None
    kept: Any = None


def scored(options, model, target=None, keep=(), say=lambda text: None, files=None):
    """Yield Scored, batch by batch, with labels if a target is named.

    With `files`, these are read in place of those of the options, and there is no threshold.
    """
    if files:
        options = argparse.Namespace(**{**vars(options), "file": files, "threshold": None})
    encoder = getattr(model, "encoder_", None)
    table = is_table(options.file, "auto")
    if encoder is not None and table:
        yield from _encoded(options, model, target, keep, say)
        return
    if keep:
        raise UsageError("--keep needs a table with named columns and a model that was trained on one")
    if encoder is not None:
        known = ", ".join(map(repr, encoder.feature_names_in_[:5]))
        raise ValueError(
            f"{options.file[0]!r} has columns with no names; the model was trained on a table with {known}."
        )
    by_name = table and hasattr(model, "feature_names_in_")
    yield from _of_files(options, model, target) if by_name else _of_arrays(options, model, target)


def together(parts):
    """All rows of several Scored as one."""
    first, *rest = parts
    if not rest:
        return first
    probability, label, y, kept = zip(first, *rest, strict=True)
    columns = {name: chained([part[name] for part in kept]) for name in first.kept or ()}
    return Scored(
        np.concatenate(probability),
        np.concatenate(label),
        None if first.y is None else np.concatenate(y),
        columns,
    )


def probabilities(model, X):
    """Predict probabilities for the rows of a file."""
    return without_names(lambda: model.predict_proba(X))


def predicted(model, X, probability, threshold=None):
    """Predict classes: with a threshold, the second one from there on; otherwise the most likely one."""
    threshold = getattr(model, "threshold_", None) if threshold is None else threshold
    if threshold is None:
        return without_names(lambda: model.predict(X))
    return model.classes_[(probability[:, 1] >= threshold).astype(int)]


def score(model, X, threshold=None, y=None, kept=None):
    """The Scored of the rows of a matrix."""
    probability = probabilities(model, X)
    return Scored(probability, predicted(model, X, probability, threshold), y, kept)


def threshold_of(wanted, model, known):
    """The threshold of --threshold: a number, or the best one on the rows whose (labels, probabilities) are
    `known`.
    """
    if len(model.classes_) != 2:
        raise ValueError(f"--threshold {wanted} needs two classes; there are {len(model.classes_)}.")
    if isinstance(wanted, float):
        return wanted
    y, probability = known
    return best_threshold(wanted, y == model.classes_[1], probability[:, 1])


# -- tables --------------------------------------------------------------------------------------------------


def _encoded(options, model, target, keep, say):
    source = scan(options.file, encoder=model.encoder_, layout=layout(options))
    tables, start = source.tables, 0
    target = target and tables.find(target)
    keep = tables.names if list(keep) == ["all"] and "all" not in tables.names else [*map(tables.find, keep)]
    types = types_to_use(model.encoder_, model.classes_, target)
    numbers = [name for name in keep if types.get(name, "text") != "text"]
    types |= {name: "text" for name in keep if name not in types}
    written = Tables(options.file, **layout(options)).as_written(numbers)
    for X, batch, _ in source.encoded([*([target] if target else []), *keep], types):
        place = lambda row, start=start: tables.place(start + row)  # noqa: E731
        y = None
        if target:
            y = known_labels(labels_of(target, batch.column(target), place), model.classes_, tables.name)
        again = written(batch.num_rows)
        yield score(model, X, options.threshold, y, {n: again.get(n, batch.column(n)) for n in keep})
        start += batch.num_rows
    counts = source.counts
    known = {target, *keep, *getattr(model, "aside_", ())}
    counts.extra = [name for name in counts.extra if name not in known]
    for sentence in counts.sentences():
        say(sentence)


# -- numbers as they are -------------------------------------------------------------------------------------


def _of_files(options, model, target):
    """Tables for a model that was trained on numbers only."""
    source = scan(options.file, target=target, features=model.feature_names_in_.tolist())
    for piece in source.pieces(labelled=target is not None):
        y = piece.chunk.y
        y = None if y is None else known_labels(np.asarray(y), model.classes_, piece.where)
        yield score(model, model._like_fitted(piece), options.threshold, y)


def _of_arrays(options, model, target):
    """Files whose columns have no names, and tables where pyarrow is not installed, one by one."""
    names = model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None
    for path in find_files(options.file):
        table = read_file(path, target=target, features=names, n_features=model.n_features_in_)
        y = None if table.target is None else known_labels(table.target, model.classes_, path)
        yield score(model, table.X, options.threshold, y)
