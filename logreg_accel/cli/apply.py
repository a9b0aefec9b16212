"""`logreg-accel predict`, `evaluate` and `inspect`, the verbs that use a saved model."""

import os
import sys

import numpy as np

from .. import load, read_file
from ..data.tables import ARROW, SUFFIXES, harmless, plain, table_writer
from ..persistence.writing import write_whole
from . import UsageError
from .output import check_output, print_facts, print_json, print_table, same_file, text
from .train import check_target, flat, measure, predicted, probabilities


def predict(options):
    """Write one line per row: the likeliest class and the probability of every class.

    Of two classes, only the probability of the second one is written.
    """
    write = _writer(options)
    model = load(options.model)
    table = read_file(options.file, features=_features(model), n_features=model.n_features_in_)
    probability, label = probabilities(model, table.X), predicted(model, table.X)
    if options.json and not options.output:
        one = probability.shape[1] == 2
        print_json(
            {
                "prediction": plain(label),
                "probability": probability[:, 1].tolist() if one else probability.tolist(),
            }
        )
        return
    classes = model.classes_[1:] if len(model.classes_) == 2 else model.classes_
    columns = {"prediction": label}
    for i, name in enumerate(classes, start=-len(classes)):
        columns[f"probability_{name}"] = probability[:, i]
    if options.output:
        write_whole(options.output, lambda file: write(file, columns))
    else:
        write(sys.stdout.buffer, columns)
    if not options.quiet:
        _tell_of_predictions(options.output, len(label), plain(model.classes_))


def _tell_of_predictions(output, rows, labels):
    if output:
        print(f"{output}: {rows} predictions", file=sys.stderr)
    changed = [harmless(label) for label in labels if harmless(label) != label]
    if changed and not (output and output.lower().endswith(ARROW)):
        print(
            f"labels that a spreadsheet would run have an apostrophe before them, such as {changed[0]}; "
            ".parquet and --json take them as they are",
            file=sys.stderr,
        )


def _writer(options):
    """What writes the predictions in the format of the output's suffix; checks early that it can."""
    inputs, suffix = [options.file, options.model], ""
    if options.output:
        check_output("--output", options.output, inputs, SUFFIXES)
        suffix = os.path.splitext(options.output)[1].lower()
    elif any(same_file("/dev/stdout", given) for given in inputs):
        raise UsageError("the output goes to a file that is read; name another one")
    return table_writer(options.output, suffix)


def evaluate(options):
    """Print loss, accuracy and AUC on labelled rows."""
    model = load(options.model)
    table = read_file(
        options.file, target=options.target, features=_features(model), n_features=model.n_features_in_
    )
    check_target(table, options)
    strange = np.setdiff1d(table.target, model.classes_)
    if len(strange):
        raise ValueError(
            f"{options.file} has labels that the model does not know: "
            f"{plain(strange[:5])}; it knows {plain(model.classes_)}."
        )
    from sklearn.metrics import confusion_matrix

    facts = {"rows": len(table.target), **measure(model, table.X, table.target)}
    confusion = confusion_matrix(table.target, predicted(model, table.X), labels=model.classes_).tolist()
    if options.json:
        print_json({**facts, "classes": plain(model.classes_), "confusion": confusion})
        return
    print_facts(f"{options.model} on {options.file}", facts)
    print_table(
        "Rows of a class (left), and what they were taken for",
        ["", *(str(name) for name in model.classes_)],
        [[str(name), *map(str, row)] for name, row in zip(model.classes_, confusion, strict=True)],
    )


def inspect(options):
    """Print the parameters, how the fit went, and the largest coefficients."""
    model = load(options.model)
    names = _features(model) or [f"column {j}" for j in range(model.n_features_in_)]
    size = np.abs(model.coef_).max(axis=0)
    order = np.argsort(-size, kind="stable")[: options.top]
    binary = len(model.coef_) == 1
    facts = {
        "classes": plain(model.classes_),
        "features": model.n_features_in_,
        "dtype": str(model.coef_.dtype),
        "intercept": float(model.intercept_[0]) if binary else model.intercept_.tolist(),
        "status": model.status_,
        "backend": str(model.backend_),
        "solver": str(model.solver_),
        "steps": int(model.n_iter_[0]),
        "passes": model.n_passes_,
        "suboptimality": model.suboptimality_,
        "C": model.C,
    }
    if options.json:
        coefficients = model.coef_[0] if binary else model.coef_.T
        print_json({**facts, "coefficients": dict(zip(names, coefficients.tolist(), strict=True))})
        return
    print_facts(options.model, flat(facts))
    print_table(
        f"Largest coefficients ({len(order)} of {model.n_features_in_})",
        ["feature", *(["coefficient"] if binary else [str(name) for name in model.classes_])],
        [[names[j], *(text(float(value)) for value in model.coef_[:, j])] for j in order],
    )


def _features(model):
    return model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None
