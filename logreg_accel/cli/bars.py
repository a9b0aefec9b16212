"""Error bars on the command line: computed by `train --inference` or `--firth`, kept with the model, shown by
`inspect`."""

import math
import warnings

from ..inference import inference
from ..inference.firth import firth
from ..inference.tables import number
from . import UsageError, running
from .output import print_facts, print_table
from .plan import bases
from .reading import without_names

_PROFILES = 30  # coefficients up to which profiles are computed; each takes some ten searches
_WITHOUT = {
    "inference": None,
    "cv": None,
    "l1_ratio": 0.0,
    "class_weight": None,
    "solver": "auto",
    "max_passes": None,
    "max_seconds": None,
    "checkpoint": None,
}
"""Options without meaning for --firth, with their defaults."""
_LABELS = {
    "nobs": "rows",
    "llf": "log-likelihood",
    "llnull": "log-likelihood, constant only",
    "prsquared": "pseudo R²",
    "aic": "AIC",
    "bic": "BIC",
    "llr_pvalue": "p, likelihood-ratio test",
}


def check(options, model):
    """Raise UsageError before the work if error bars are impossible."""
    if options.firth:
        given = [name for name, usual in _WITHOUT.items() if getattr(options, name) != usual]
        if given or options.C not in (None, math.inf):
            name = given[0] if given else "C"
            raise UsageError(
                f"--firth has its own penalty, search and error bars; leave out --{name.replace('_', '-')}"
            )
    if options.base and (options.no_intercept or not (options.inference or options.firth)):
        raise UsageError(
            "--base chooses what levels are compared with, by --inference or --firth and beside an intercept"
        )
    if options.inference and getattr(model, "C", 0.0) != math.inf:
        raise UsageError(
            f"--inference {options.inference} with a penalty, which biases coefficients, so that p-values "
            "would be wrong; add --C inf"
        )
    if options.inference == "iid" and options.class_weight is not None:
        raise UsageError("--inference iid does not hold with --class-weight; use HC1")


def error_bars(options, model, rows, X, warn):
    """The part of an `inference` that `inspect` shows, as plain values; None after a message if it failed."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = without_names(lambda: inference(model, X, rows.y, rows.weight, vcov=options.inference))
    except (ValueError, MemoryError) as error:
        warn(f"no error bars: {error}", always=True)  # always, since they were requested
        return None
    for warning in caught:
        if "valid feature names" not in str(warning.message):
            warn(str(warning.message))
    return _kept(result, rows)


def firth_fit(options, rows, X, progress):
    """The model of `firth`, with the values that `inspect` shows, and the Outcome of the fit."""
    made = []

    def fit():
        found = firth(
            X,
            rows.y,
            rows.weight,
            fit_intercept=not options.no_intercept,
            intervals="profile" if X.shape[1] <= _PROFILES else "wald",
            max_iter=options.max_iter,
            backend=options.backend,
            n_threads=options.threads,
        )
        with progress.working("profiles of the likelihood"):
            made.append((found.model, _kept(found, rows)))
        if found.intervals == "wald":
            progress.warn(
                f"tests and intervals are Wald's: profiles of {X.shape[1]} coefficients take long. In Python "
                "firth(X, y) makes them, with conf_int(columns=...) only some"
            )

    outcome = running.run(None, lambda: without_names(fit), progress.warn, options.strict)
    model, kept = made[0]
    model.inference_ = kept
    return model, outcome


def _kept(result, rows):
    """The numbers of an Inference as plain values."""
    facts = {"covariance": result.vcov, "formula": result.formula}
    if rows.encoder is not None and bases(rows.encoder):
        facts["compared with"] = bases(rows.encoder)
    for name in ("nobs", "llf", "llnull", "prsquared", "aic", "bic", "llr_pvalue"):
        facts[name] = float(getattr(result, name))
    return {**facts, "table": result.table().to_dict()}


def show(kept):
    """Print the table that a model's file holds."""
    facts = {_LABELS.get(name, name): value for name, value in kept.items() if name != "table"}
    print_facts("Error bars", facts)
    table = kept["table"]
    labels = [name for name, column in table.items() if isinstance(column[0], str)]
    numbers = [name for name in table if name not in labels]
    rows = [
        [" ".join(table[name][i] for name in labels), *(number(table[name][i], name) for name in numbers)]
        for i in range(len(table[labels[0]]))
    ]
    print_table("Coefficients", ["feature", *numbers], rows)
