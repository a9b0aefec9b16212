"""Error bars on the command line: made by `train --inference`, kept with the model, shown by `inspect`."""

import math
import warnings

from ..inference import inference
from ..inference.tables import number
from . import UsageError
from .output import print_facts, print_table
from .plan import bases
from .reading import without_names


def check(options, model):
    """Raise UsageError for what no error bars can be made of, before the work."""
    if options.inference and getattr(model, "C", 0.0) != math.inf:
        raise UsageError(
            f"--inference {options.inference} with a penalty, which biases coefficients, so that p-values "
            "would be wrong; add --C inf"
        )
    if options.inference == "iid" and options.class_weight is not None:
        raise UsageError("--inference iid does not hold with --class-weight; use HC1")


def error_bars(options, model, rows, X, warn):
    """What `inspect` shows of an `inference`, as plain values; None where there are none, and says why."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = without_names(lambda: inference(model, X, rows.y, rows.weight, vcov=options.inference))
    except (ValueError, MemoryError) as error:
        warn(f"no error bars: {error}")
        return None
    for warning in caught:
        if "valid feature names" not in str(warning.message):
            warn(str(warning.message))
    facts = {"covariance": result.vcov, "formula": result.formula}
    if rows.encoder is not None and bases(rows.encoder):
        facts["compared with"] = bases(rows.encoder)
    for name in ("nobs", "llf", "llnull", "prsquared", "aic", "bic", "llr_pvalue"):
        facts[name] = float(getattr(result, name))
    return {**facts, "table": result.table().to_dict()}


def show(kept):
    """Print the table that a model's file holds."""
    print_facts("Error bars", {name: value for name, value in kept.items() if name != "table"})
    table = kept["table"]
    labels = [name for name, column in table.items() if isinstance(column[0], str)]
    numbers = [name for name in table if name not in labels]
    rows = [
        [" ".join(table[name][i] for name in labels), *(number(table[name][i], name) for name in numbers)]
        for i in range(len(table[labels[0]]))
    ]
    print_table("Coefficients", ["feature", *numbers], rows)
