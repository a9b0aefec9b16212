"""`logreg-accel train`, and what it shares with the other verbs."""

import statistics

import numpy as np

from .. import LogisticRegression, solvers
from ..backends import BACKENDS, unusable
from ..data import as_matrix
from ..parameters import check_parameters
from . import UsageError, bars, choosing, page, running, stream
from .output import (
    Progress,
    check_drawing,
    check_output,
    coefficient,
    for_people,
    inputs_of,
    print_facts,
    print_json,
    print_table,
)
from .quality import print_quality, quality, warn_of_weights
from .reading import refuse_gaps, rows_to_learn
from .using import probabilities, score, threshold_of


def train(options):
    """Fit a model to a file, save it, and print how good it is."""
    progress = Progress(options.quiet)
    model = _model(options, progress)
    if stream.wanted(options):
        return stream.train(options, model, progress)
    rows = rows_to_learn(options, progress)
    X, y = rows.X, rows.y
    if options.class_weight not in (None, "balanced"):
        model.set_params(class_weight=_class_weights(options.class_weight, np.unique(y)))
    if options.dtype:
        X = X.astype(options.dtype, copy=False)

    model, outcome, tried = _fit(options, model, rows, _with_names(X, rows.names), progress)
    if rows.encoder is not None:
        model.encoder_ = rows.encoder
    if rows.aside:
        model.aside_ = rows.aside
    if options.threshold is not None:
        chosen_on, labels = rows.held_out or (X, y)
        by_rule = isinstance(options.threshold, str)
        known = (labels, probabilities(model, chosen_on)) if by_rule else None
        model.threshold_ = threshold_of(options.threshold, model, known)
    model.save(options.model)

    samples = {"train": _sample(model, X, y)}
    if rows.held_out:
        samples["test"] = _sample(model, *rows.held_out)
    measured = {name: quality(*sample, model.classes_) for name, sample in samples.items()}
    warn_of_weights(model, progress.warn)
    if options.report:
        size = f"{X.shape[0]:,} rows, {X.shape[1]:,} features"
        if rows.held_out:
            size += f"; {len(rows.held_out[1]):,} rows held out"
        page.write_trained(options, model, size, samples, progress.warnings)
    _tell(options, model, X, y, measured, tried)
    return outcome.code(options)


def _fit(options, model, rows, X, progress):
    """The fitted model, its Outcome, and the tried values of C."""
    if options.firth:
        return *bars.firth_fit(options, rows, X, progress), []
    tried = []

    def fit():
        if options.cv:
            tried.extend(choosing.choose(options, model, X.stored, rows.y, rows.weight, progress))
        try:
            model.fit(X, rows.y, sample_weight=rows.weight, checkpoint=options.checkpoint)
        except ValueError as error:
            refuse_gaps(X.stored, rows.names, error)
            raise

    outcome = running.run(model, fit, progress.warn, options.strict)
    if options.inference and not outcome.interrupted:
        model.inference_ = bars.error_bars(options, model, rows, X, progress.warn)
    return model, outcome, tried


def _tell(options, model, X, y, measured, tried=None):
    """Print the quality and coefficients, then the facts about the fit."""
    facts = _summary(model, options)
    if options.json:
        print_json({**facts, **measured, **({"cv": tried} if tried else {})})
        return
    if options.quiet:
        return
    classes = model.classes_
    if tried:
        choosing.tell(tried)
    print_quality(f"{options.model}: {X.shape[0]:,} rows, {X.shape[1]:,} features", measured, classes)
    if hasattr(model, "feature_names_in_") and len(model.coef_) == 1:
        order = np.argsort(-abs(model.coef_[0]), kind="stable")[:5]
        names = [model.feature_names_in_[j] for j in order]
        strongest = [
            [name, coefficient(float(model.coef_[0, j]))] for name, j in zip(names, order, strict=True)
        ]
        print_table(f"Largest coefficients, for {classes[1]}", ["feature", "coefficient"], strongest)
    print_facts("The fit", for_people(facts))


def _class_weights(given, classes):
    """The weights of "label=weight,...", by label."""
    known = {str(label): label for label in classes.tolist()}
    weights = {}
    for label, weight in given.items():
        if label not in known:
            raise ValueError(f"--class-weight has the label {label!r}; expected {', '.join(known)}.")
        weights[known[label]] = weight
    return weights


def _with_names(X, names):
    """Features of a file with the names of their columns."""
    matrix = as_matrix(X)
    matrix.names = names
    return matrix


def _model(options, progress):
    """The estimator of the options; raises UsageError early for options that would fail after the work."""
    model = LogisticRegression(
        C=options.C if isinstance(options.C, float) else 1.0,
        l1_ratio=options.l1_ratio,
        tol=options.tol,
        fit_intercept=not options.no_intercept,
        class_weight="balanced" if options.class_weight == "balanced" else None,
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


def _sample(model, X, y):
    """Labelled rows, and the model's predictions for them."""
    found = score(model, X)
    return page.Sample(np.asarray(y), found.probability, found.label)


def _check(options, model):
    """Raise errors early that would otherwise occur only after the work."""
    inputs = [*inputs_of(options.file), *inputs_of(options.valid or [])]
    check_output("--model", options.model, inputs=inputs)
    check_drawing("--report", options.report, [*inputs, options.model])
    others = [options.model, options.report] if options.report else [options.model]
    stream.check_checkpoint(options, [*inputs, *others])
    if options.solver != "auto" and options.solver not in solvers.SOLVERS:
        theirs = options.solver in ("saga", "sag", "liblinear", "newton")
        hint = "; auto chooses what suits the data and the penalty" if theirs else ""
        raise UsageError(f"--solver {options.solver}: expected auto, {', '.join(solvers.SOLVERS)}{hint}")
    if options.backend != "auto" and options.backend not in BACKENDS:
        raise UsageError(f"--backend {options.backend}: expected auto, {', '.join(BACKENDS)}")
    if options.backend != "auto" and (reason := unusable(options.backend)):
        raise UsageError(f"--backend {options.backend} cannot run here: {reason}")
    bars.check(options, model)
    if options.test_size and options.valid:
        raise UsageError("--valid and --test-size both determine the rows held out; give one of them")
    choosing.check(options)
    try:
        check_parameters(model)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _summary(model, options):
    return {
        "backend": str(model.backend_),
        "backend_reason": model.backend_.reason,
        "solver": str(model.solver_),
        "status": model.status_,
        "steps": int(model.n_iter_[0]),
        "passes": model.n_passes_,
        **_speed(model.history_),
        "suboptimality": model.suboptimality_,
        **({} if options.firth else {"proven": model.suboptimality_bound_}),
        "model": options.model,
        **_error_bars(options, model),
        **({"threshold": model.threshold_} if hasattr(model, "threshold_") else {}),
    }


def _speed(history):
    if not history:
        return {}
    return {
        "seconds": history[-1].seconds,
        "GB_per_s": statistics.median(record.gb_per_s for record in history),
    }


def _error_bars(options, model):
    """The kind of error bars to keep, if requested."""
    if not (options.inference or options.firth):
        return {}
    kept = getattr(model, "inference_", None)
    return {"error_bars": kept["formula"] if kept else "none"}
