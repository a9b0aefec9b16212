"""`logreg-accel predict`, `evaluate` and `inspect`, the verbs that use a saved model."""

import csv
import io
import sys

import numpy as np

from .. import load, read_file
from ..persistence.writing import write_whole
from . import UsageError
from .output import check_output, print_facts, print_json, print_table, same_file, text
from .train import check_target, flat, measure, predicted, probabilities


def predict(options):
    """Write one line per row: the likeliest class and the probability of every class.

    Of two classes, only the probability of the second one is written.
    """
    _check_where_predictions_go(options)
    model = load(options.model)
    table = read_file(options.file, features=_features(model), n_features=model.n_features_in_)
    probability, label = probabilities(model, table.X), predicted(model, table.X)
    classes = model.classes_[1:] if len(model.classes_) == 2 else model.classes_
    columns = [probability[:, -len(classes) + i].tolist() for i in range(len(classes))]
    if options.output:
        write_whole(options.output, lambda file: _write_predictions(file, label, columns, classes))
        if not options.quiet:
            print(f"{options.output}: {len(label)} predictions", file=sys.stderr)
    elif options.json:
        print_json(
            {
                "prediction": label.tolist(),
                "probability": columns[0] if len(columns) == 1 else probability.tolist(),
            }
        )
    else:
        _write_predictions(sys.stdout.buffer, label, columns, classes)


def _check_where_predictions_go(options):
    inputs = [options.file, options.model]
    if options.output:
        check_output("--output", options.output, inputs)
    elif any(same_file("/dev/stdout", given) for given in inputs):
        raise UsageError("the output goes to a file that is read; name another one")


def _write_predictions(file, label, columns, classes):
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["prediction", *(f"probability_{name}" for name in classes)])
    writer.writerows(zip(label.tolist(), *columns, strict=True))
    stream.flush()
    stream.detach()


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
            f"{strange[:5].tolist()}; it knows {model.classes_.tolist()}."
        )
    from sklearn.metrics import confusion_matrix

    facts = {"rows": len(table.target), **measure(model, table.X, table.target)}
    confusion = confusion_matrix(table.target, predicted(model, table.X), labels=model.classes_).tolist()
    if options.json:
        print_json({**facts, "classes": model.classes_.tolist(), "confusion": confusion})
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
        "classes": model.classes_.tolist(),
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
