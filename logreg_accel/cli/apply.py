"""`logreg-accel predict`, `evaluate` and `inspect`, the verbs that use a saved model."""

import os
import sys

import numpy as np

from .. import load
from ..data.finding import find_files
from ..data.opening import kind_of
from ..data.tables import ARROW, SUFFIXES, harmless, plain, table_writer
from ..persistence.writing import write_whole
from ..table import LeftOut, Levels
from . import UsageError, bars, page
from .output import (
    Progress,
    check_drawing,
    check_output,
    coefficient,
    for_people,
    inputs_of,
    name_of,
    print_facts,
    print_json,
    print_table,
    same_file,
    text,
)
from .quality import measure, print_quality, warn_of_weights
from .reading import listed
from .tally import Tally
from .using import scored, together


def predict(options):
    """Write one line per row: kept columns, the class, and the probability of every class.

    For two classes, only the probability of the second one is written.
    """
    write = _writer(options)
    if options.keep and (options.output or "").lower().endswith(".npy"):
        raise UsageError("--keep: an .npy file cannot contain kept columns; use .csv or .parquet")
    model, progress = load(options.model), Progress(options.quiet)
    _check_threshold(options, model)
    parts = scored(options, model, keep=listed(options.keep), say=progress.say)
    if options.json and not options.output:
        rows = together(parts)
        one = rows.probability.shape[1] == 2
        probability = rows.probability[:, 1] if one else rows.probability
        print_json({"prediction": plain(rows.label), "probability": probability.tolist()})
        return
    count = 0

    def columns():
        nonlocal count
        for part in parts:
            count += len(part.label)
            yield _columns(part, model.classes_)

    if options.output:
        write_whole(options.output, lambda file: write(file, columns()))
    else:
        write(sys.stdout.buffer, columns())
    if options.json:
        print_json({"output": options.output, "rows": count})
    if not options.quiet:
        _tell_of_predictions(options.output, count, plain(model.classes_))


def _columns(part, classes):
    """The output columns of some rows, by name."""
    kept, scores = part.kept or {}, {"prediction": part.label}
    classes = classes[1:] if len(classes) == 2 else classes
    for i, name in enumerate(classes, start=-len(classes)):
        scores[f"probability_{name}"] = part.probability[:, i]
    both = sorted(kept.keys() & scores.keys())
    if both:
        raise ValueError(
            f"--keep {both[0]}: the output has a column of this name; keep others, or rename it."
        )
    return {**kept, **scores}


def _check_threshold(options, model):
    if options.threshold is not None and len(model.classes_) != 2:
        raise UsageError(f"--threshold needs a model of two classes; this one has {len(model.classes_)}")


def _tell_of_predictions(output, rows, labels):
    if output:
        print(f"{output}: {rows:,} predictions", file=sys.stderr)
    changed = [harmless(label) for label in labels if harmless(label) != label]
    if changed and not (output and output.lower().endswith(ARROW)):
        print(
            f"labels that a spreadsheet would run as formulas have got an apostrophe in front, such as "
            f"{changed[0]}; .parquet and --json keep them as they are",
            file=sys.stderr,
        )


def _writer(options):
    """The function that writes predictions in the format of the output's suffix; checks early that it can."""
    inputs, suffix = [*inputs_of(options.file), options.model], ""
    if options.output:
        check_output("--output", options.output, inputs, (*SUFFIXES, ".npy"))
        suffix = os.path.splitext(options.output)[1].lower()
    elif any(same_file("/dev/stdout", given) for given in inputs):
        raise UsageError("the output file is also an input; name another one")
    return table_writer(options.output, suffix)


def evaluate(options):
    """Print how good a model is on labelled rows, beside the base rate."""
    model = load(options.model)
    _check_threshold(options, model)
    by = [options.by] if options.by else []
    target = _target(options, model)
    check_drawing("--report", options.report, [*inputs_of(options.file), options.model])
    progress = Progress(options.json)
    classes, every, groups, kept = model.classes_, Tally(model.classes_), {}, []
    for part in scored(options, model, target, by, progress.say):
        if part.y is None:
            raise UsageError(f"{options.file[0]}: --target is missing; expected the column of the labels")
        every.add(part.y, part.probability, part.label)
        _add_to_groups(groups, part, classes)
        if options.report:  # its curves need all rows
            kept.append(part._replace(kept=None))
    measured, bins, groups = every.measures(), every.calibration(), _largest(groups)
    warn_of_weights(model, progress.warn)
    confusion = every.confusion.tolist()
    if options.report:
        lead = f"Measured on {', '.join(options.file)}: {every.rows:,} rows of {target or 'labels'}."
        rows = together(iter(kept))
        sample = {os.path.basename(options.file[0])[:24]: page.Sample(rows.y, rows.probability, rows.label)}
        page.write(options.report, f"{options.model}, evaluated", lead, model, sample, progress.warnings)
    if options.json:
        facts = {"rows": every.rows, **measured, "classes": plain(classes), "confusion": confusion}
        print_json({**facts, "calibration": bins, **({"by": groups} if by else {})})
        return
    print_quality(f"{options.model} on {options.file[0]}: {every.rows:,} rows", {"": measured}, classes)
    print_table(
        "Confusion matrix: true class (left), predicted class (top)",
        ["", *(str(name) for name in classes)],
        [[str(name), *map(str, row)] for name, row in zip(classes, confusion, strict=True)],
    )
    print_table(
        f"Calibration: the probability of {'the likeliest class' if len(classes) > 2 else classes[1]}",
        ["between", "rows", "predicted", "observed"],
        [
            [f"{b['from']:.1f} and {b['to']:.1f}", str(b["rows"]), measure(b["said"]), measure(b["found"])]
            for b in bins
        ],
    )
    if by:
        shown = ("rows", "base_rate", "accuracy", "loss", "auc")
        cells = [[name, *(measure(group[key]) for key in shown)] for name, group in groups.items()]
        print_table(
            f"By {options.by}", [options.by, "rows", "base rate", "accuracy", "log loss", "AUC"], cells
        )


def _target(options, model):
    """The column of the labels: that of --target, or else the one that the model was trained with."""
    if options.target is not None or kind_of(find_files(options.file)[0]) == "svmlight":
        return options.target
    aside = getattr(model, "aside_", None)
    if aside is None and hasattr(model, "encoder_"):  # saved by an earlier version, or in Python
        raise UsageError(f"{options.file[0]}: --target is missing; expected the column of the labels")
    return aside and aside[0]


def _add_to_groups(groups, part, classes):
    """Add some rows to the Tally of the group of each, by name."""
    for column in (part.kept or {}).values():
        values = np.array(["(missing)" if v is None else str(v) for v in column.to_pylist()])
        for name in np.unique(values).tolist():
            own = values == name
            tally = groups.setdefault(name, Tally(classes))
            tally.add(part.y[own], part.probability[own], part.label[own])


def _largest(groups, most=20):
    """The quality in each group of rows, largest first; small groups beyond a limit are merged."""
    names = sorted(sorted(groups), key=lambda name: -groups[name].rows)
    shown = {name: groups[name] for name in names[: most if len(names) <= most else most - 1]}
    if rest := names[len(shown) :]:
        others = shown[f"({len(rest)} others)"] = groups[rest[0]]
        for name in rest[1:]:
            others.absorb(groups[name])
    return {name: {"rows": tally.rows, **tally.measures()} for name, tally in shown.items()}


def inspect(options):
    """Print the parameters, how the fit went, and the largest coefficients."""
    path = options.file or options.model
    model = load(path)
    names = (model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None) or [
        f"column {j}" for j in range(model.n_features_in_)
    ]
    size = np.abs(model.coef_).max(axis=0)
    order = np.argsort(-size, kind="stable")[: options.top]
    binary = len(model.coef_) == 1
    facts = {
        "classes": plain(model.classes_),
        "features": int(model.n_features_in_),
        "dtype": str(model.coef_.dtype),
        "intercept": float(model.intercept_[0]) if binary else model.intercept_.tolist(),
        "status": model.status_,
        "backend": str(model.backend_),
        "solver": str(model.solver_),
        "steps": int(model.n_iter_[0]),
        "passes": model.n_passes_,
        "suboptimality": model.suboptimality_,
        "proven": model.suboptimality_bound_,
        "C": model.C,
        **({"threshold": model.threshold_} if hasattr(model, "threshold_") else {}),
    }
    if options.json:
        coefficients = model.coef_[0] if binary else model.coef_.T
        told = {"inference": model.inference_} if getattr(model, "inference_", None) else {}
        print_json({**facts, "coefficients": dict(zip(names, coefficients.tolist(), strict=True)), **told})
        return
    print_facts(path, for_people(facts | {"classes": ", ".join(map(str, model.classes_))}))
    if hasattr(model, "encoder_"):
        cells = [[name_of(column), made_of(column)] for column in model.encoder_.columns_]
        print_table("Columns of the table", ["column", "taken as"], cells)
    print_table(
        f"Largest coefficients ({len(order)} of {model.n_features_in_})",
        ["feature", *(["coefficient"] if binary else [str(name) for name in model.classes_])],
        [[names[j], *(coefficient(float(value)) for value in model.coef_[:, j])] for j in order],
    )
    if getattr(model, "inference_", None):
        bars.show(model.inference_)


def made_of(column):
    if isinstance(column, LeftOut):
        return "left out"
    if isinstance(column, Levels):
        known = len(column.levels) + (column.base is not None)
        return f"{known} levels" + ("" if column.base is None else f", compared with {column.base}")
    return f"number, {text(column.median)} if missing" if column.missing else "number"
