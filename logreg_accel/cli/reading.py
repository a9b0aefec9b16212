"""What the verbs read: rows to learn from, and rows that a model is used on."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from .. import TableEncoder, read_file
from ..data.gathering import Tables, with_places
from ..data.opening import kind_of
from ..data.reader import TABLES, find_files
from ..data.tables import has_pyarrow
from ..table import Levels, Number
from ..table.labels import as_known, labels_of, weights_of
from . import UsageError
from .plan import tell


class Rows(NamedTuple):
    """Features, names of their columns or None, labels, weights; a table and an encoder where there are."""

    X: Any
    names: list | None
    y: Any = None
    weight: Any = None
    held_out: Any = None
    encoder: Any = None
    table: Any = None


def listed(text):
    """The names in an option that takes several."""
    return [name for name in (text or "").split(",") if name]


def rows_to_learn(options, progress):
    """Read what `train` learns from, and rows that are held out, encoded if they are a table."""
    if not is_table(options.file, options.encode):
        return _numbers_to_learn(options)
    tables = check_target(options)
    target, weight = tables.find(options.target), options.weight and tables.find(options.weight)
    aside = [target, *([weight] if weight else []), *map(tables.find, listed(options.drop))]
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
        min_count=options.min_count, categorical=tuple(levels), numeric=tuple(numbers), scale=options.scale
    )
    given = features.take(kept) if out is not None else features
    try:
        encoder.fit(given)
    except ValueError as error:
        raise ValueError(with_places(str(error), lambda row: tables.place(kept[row]))) from error
    tell(progress, tables.name, encoder, given, target, y[kept])
    X = encoder.encode(given)[0]
    held_out = None if out is None else (encoder.encode(features.take(out))[0], y[out])
    if options.valid:
        held_out = _valid(options, encoder, target, y, progress)
    return Rows(
        X, encoder.get_feature_names_out().tolist(), y[kept], None if weight is None else weights[kept],
        held_out, encoder,
    )  # fmt: skip


def check_target(options):
    """The tables that `train` learns from; raises UsageError where nobody says which column is the target."""
    tables = Tables(options.file, **layout(options))
    if options.target is None:
        raise UsageError(_which_target(options.file[0], tables.names))
    return tables


def _valid(options, encoder, target, y, progress):
    tables = Tables(options.valid, **layout(options))
    table = tables.read(types_of(encoder, np.unique(y), tables.find(target)))
    X = _encoded(
        encoder, table, [target, *listed(options.weight), *listed(options.drop)], tables, progress.say
    )
    return X, known_labels(_labels(table, target, tables), np.unique(y), tables.name)


def rows_to_use(options, model, target=None, keep=(), say=lambda text: None):
    """Read what a model is used on, with labels if a target is named.

    Returns
    -------
    Rows
        `table` has the columns to keep as they are written.
    """
    encoder = getattr(model, "encoder_", None)
    if encoder is None or not is_table(options.file, "auto"):
        return _numbers_to_use(options, model, target, keep)
    tables = Tables(options.file, **layout(options))
    target = target and tables.find(target)
    keep = tables.names if list(keep) == ["all"] and "all" not in tables.names else [*map(tables.find, keep)]
    types = types_of(encoder, model.classes_, target)
    table = tables.read({**{name: "text" for name in keep if name not in types}, **types})
    X = _encoded(encoder, table, [*([target] if target else []), *keep], tables, say)
    y = known_labels(_labels(table, target, tables), model.classes_, tables.name) if target else None
    as_written = [name for name in keep if types.get(name, "text") != "text"]
    kept = table.select(keep)
    if as_written:
        again = tables.read(dict.fromkeys(as_written, "text"), as_written)
        for name in as_written:
            kept = kept.set_column(kept.column_names.index(name), name, again[name])
    return Rows(X, None, y, table=kept)


def types_of(encoder, classes, target=None):
    """How text columns are to be read for an encoder: numbers as numbers, levels as they are written."""
    types = {}
    for column in encoder.columns_:
        if isinstance(column, Number):
            types[column.name] = column.kind
        elif isinstance(column, Levels):
            types[column.name] = "text"
    if target is not None:
        types.pop(target, None)
        if classes.dtype.kind in "OU":
            types[target] = "text"
    return types


def _encoded(encoder, table, aside, tables, say):
    try:
        X, counts = encoder.encode(table)
    except ValueError as error:
        raise ValueError(with_places(str(error), tables.place)) from error
    counts.extra = [name for name in counts.extra if name not in aside]
    for sentence in counts.sentences():
        say(sentence)
    return X


def known_labels(y, classes, path):
    """Labels as the model knows them.

    Raises
    ------
    ValueError
        It does not know some.
    """
    y = as_known(y, classes)
    strange = sorted(set(np.unique(y).tolist()) - set(classes.tolist()), key=str)
    if strange:
        raise ValueError(
            f"{path} has labels that the model does not know: {strange[:5]}; it knows {classes.tolist()}."
        )
    return y


def check_classes(target, classes, counts):
    """Raise ValueError for labels that are no classes."""
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


def split(y, options):
    """Numbers of the rows to learn from and of those held out, in order, both with all classes."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(y))
    kept, out = train_test_split(rows, test_size=options.test_size, random_state=options.seed, stratify=y)
    return np.sort(kept), np.sort(out)


def _labels(table, target, tables):
    return labels_of(target, table[target], tables.place)


def layout(options):
    """How the text of tables reads."""
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
    """Whether files are tables that are encoded; without pyarrow, text is read as numbers alone."""
    return encode != "none" and has_pyarrow() and kind_of(find_files(patterns)[0]) in TABLES


# -- numbers as they are -------------------------------------------------------------------------------------


def _one_file(options):
    paths = find_files(options.file)
    if len(paths) > 1:
        raise UsageError(
            f"{len(paths)} files ({', '.join(paths[:3])}, ...); several are read where they are tables"
        )
    return paths[0]


def _numbers_to_learn(options):
    given = {"target": options.target, "weight": options.weight}
    table = read_file(_one_file(options), **given, drop=tuple(listed(options.drop)))
    if table.target is None:
        raise UsageError(f"{options.file[0]}: --target is missing; expected the column of the labels")
    X, y, weight, held_out = table.X, table.target, table.weight, None
    if options.test_size:
        kept, out = split(y, options)
        held_out = (X[out], y[out])
        X, y, weight = X[kept], y[kept], None if weight is None else weight[kept]
    if options.valid:
        valid = read_file(options.valid[0], **given, features=table.names, n_features=X.shape[1])
        held_out = (valid.X, known_labels(valid.target, np.unique(y), options.valid[0]))
    return Rows(X, table.names, y, weight, held_out)


def _numbers_to_use(options, model, target, keep):
    if keep:
        raise UsageError("--keep needs a table with named columns and a model that was trained on one")
    if hasattr(model, "encoder_"):
        raise ValueError(
            f"{options.file[0]!r} has columns with no names; the model was trained on a table with "
            f"{', '.join(map(repr, model.encoder_.feature_names_in_[:5]))}."
        )
    names = model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None
    path = _one_file(options)
    table = read_file(path, target=target, features=names, n_features=model.n_features_in_)
    y = None if table.target is None else known_labels(table.target, model.classes_, path)
    return Rows(table.X, names, y)


def without_names(function):
    """Call what warns that the columns of a matrix have no names, without this warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return function()
