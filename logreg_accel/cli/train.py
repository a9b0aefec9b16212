"""`logreg-accel train`, and what it shares with the other verbs."""

import math
import statistics
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .. import LogisticRegression, read_file, solvers
from ..backends import BACKENDS, unusable
from ..data import as_matrix
from ..fitting import check_parameters
from . import NOT_CONVERGED, UsageError
from .output import Progress, check_output, print_facts, print_json


def train(options):
    """Fit a model to a file, save it, and print how good it is."""
    progress = Progress(options.quiet)
    model = _model(options, progress)
    table = read_file(
        options.file,
        target=options.target,
        weight=options.weight,
        drop=tuple(filter(None, options.drop.split(","))),
    )
    check_target(table, options)
    X, y, weight = table.X, table.target, table.weight
    if options.dtype:
        X = X.astype(options.dtype, copy=False)
    held_out = None
    if options.test_size:
        X, y, weight, held_out = _split(X, y, weight, options)

    interrupted = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(_with_names(X, table.names), y, sample_weight=weight)
        except KeyboardInterrupt:
            if not hasattr(model, "coef_"):
                raise
            interrupted = True  # the best model so far is worth keeping
    for warning in caught:
        progress.say(f"warning: {warning.message}")
    model.set_params(callback=None)
    if table.names:
        model.feature_names_in_ = np.array(table.names, dtype=object)
    model.save(options.model)

    summary = _summary(model, X, options)
    summary["train"] = measure(model, X, y)
    if held_out:
        summary["test"] = measure(model, *held_out)
    if options.json:
        print_json(summary)
    elif not options.quiet:
        print_facts(f"{options.model}: {X.shape[0]} rows, {X.shape[1]} features", flat(summary))
    if interrupted:
        raise KeyboardInterrupt
    unconverged = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return NOT_CONVERGED if options.strict and unconverged else 0


def _with_names(X, names):
    """Features of a file with the names of their columns, for messages."""
    matrix = as_matrix(X)
    matrix.names = names
    return matrix


def _model(options, progress):
    """The estimator that the options ask for; raises UsageError for what would only fail after the work."""
    model = LogisticRegression(
        C=options.C,
        l1_ratio=options.l1_ratio,
        tol=options.tol,
        fit_intercept=not options.no_intercept,
        class_weight=options.class_weight,
        solver=options.solver,
        max_iter=options.max_iter,
        max_passes=options.max_passes,
        max_seconds=options.max_seconds,
        random_state=options.seed,
        callback=progress,
        backend=options.backend,
        n_threads=options.threads,
    )
    _check(options, model)
    return model


def measure(model, X, y):
    """Return the mean loss, the accuracy and the area under the ROC curve.

    With more than two classes, the area is the mean of one against the rest.
    """
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    proba = probabilities(model, X)
    classes = model.classes_[1:] if len(model.classes_) == 2 else model.classes_
    areas = [
        roc_auc_score(own, proba[:, -len(classes) + i]) if 0 < own.sum() < len(own) else math.nan
        for i, own in enumerate(np.asarray(y) == label for label in classes)
    ]
    exact = proba.astype(np.float64)
    return {
        "loss": float(log_loss(y, exact / exact.sum(axis=1, keepdims=True), labels=model.classes_)),
        "accuracy": float(accuracy_score(y, predicted(model, X))),
        "auc": float(np.mean(areas)),
    }


def probabilities(model, X):
    """Predict probabilities for the rows of a file, without scikit-learn's warning about feature names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return model.predict_proba(X)


def predicted(model, X):
    """Predict the likeliest classes, with the same warning silenced as in `probabilities`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return model.predict(X)


def check_target(table, options):
    """Raise UsageError if there is no target; only svmlight files always contain one."""
    if table.target is None:
        raise UsageError(f"{options.file}: --target is missing; expected the column of the labels")


def flat(summary):
    """Flatten nested dicts by joining names: {"train": {"loss": 1}} -> {"train loss": 1}."""
    out = {}
    for name, value in summary.items():
        if isinstance(value, dict):
            out.update({f"{name} {inner}": item for inner, item in value.items()})
        else:
            out[name.replace("_", " ")] = value
    return out


def _check(options, model):
    """Raise errors early that would otherwise come only after the work."""
    check_output("--model", options.model, inputs=[options.file])
    if options.solver != "auto" and options.solver not in solvers.SOLVERS:
        raise UsageError(f"--solver {options.solver}: expected auto, {', '.join(solvers.SOLVERS)}")
    if options.backend != "auto" and options.backend not in BACKENDS:
        raise UsageError(f"--backend {options.backend}: expected auto, {', '.join(BACKENDS)}")
    if options.backend != "auto" and (reason := unusable(options.backend)):
        raise UsageError(f"--backend {options.backend} cannot run here: {reason}")
    try:
        check_parameters(model)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _split(X, y, weight, options):
    from sklearn.model_selection import train_test_split

    kept, out = train_test_split(
        np.arange(len(y)), test_size=options.test_size, random_state=options.seed, stratify=y
    )
    kept, out = np.sort(kept), np.sort(out)
    return X[kept], y[kept], None if weight is None else weight[kept], (X[out], y[out])


def _summary(model, X, options):
    return {
        "backend": str(model.backend_),
        "backend_reason": model.backend_.reason,
        "solver": str(model.solver_),
        "status": model.status_,
        "steps": int(model.n_iter_[0]),
        "passes": model.n_passes_,
        "seconds": model.history_[-1].seconds,
        "GB_per_s": statistics.median(record.gb_per_s for record in model.history_),
        "suboptimality": model.suboptimality_,
        "model": options.model,
    }
