"""The rule behind solver="auto": the cheapest solver by costs.py for a small X, a rule about the shape
otherwise."""

import math

from . import costs
from .by_levels import LEVELS_AT_ONCE

# newton-subsampled: a sample pays if it is a small part of the rows; with fewer rows per feature, newton-cg
# is as fast. For small X, the other methods are fast enough, and newton-cholesky's last full step makes
# results agree to rounding. With many features, the Hessian of a sample takes longer than the reads it saves.
# That limit is higher with several classes, for which newton-cg is much slower; there, one block of the
# Hessian takes up to 200 MB.
SAMPLE_FROM_ROWS = 50  # per feature
SAMPLE_FROM_BYTES = 1 << 19  # also for steps that eliminate the levels of a category
SAMPLE_UP_TO_FEATURES = 1000
SAMPLE_UP_TO_FEATURES_OF_CLASSES = 5000

# With several classes, factoring the Hessian of a sample pays only if there are many rows per parameter: with
# fewer, newton-cg, which factors one block for all classes, is faster.
SAMPLE_BY_PARAMETERS_UP_TO = 1000

# newton-cholesky: with more parameters than this, newton-cg is faster where columns are well conditioned, and
# it switches to the full Hessian by itself where they are not.
NEWTON_UP_TO_FEATURES = 300

# With several classes, its Hessian may also take no longer than this share of the products of a step.
NEWTON_UP_TO_PRODUCTS = 0.65

# row-space: it takes the same time at any C, whereas lbfgs can take much longer on real data; with more rows,
# lbfgs is faster.
ROW_SPACE_UP_TO_ROWS = 500
ROW_SPACE_FROM_WIDTH = 2  # features per row

# dual: beyond this strength, conjugate gradients need fewer reads than dual needs epochs.
DUAL_UP_TO_STRENGTH = 10.0  # C times the mean of ‖x‖²

# lbfgs: with fewer features per row than this, or with several classes, newton-cg is often faster.
LBFGS_FROM_WIDTH = 2

# working-set: with fewer columns it is as fast to fit all of them; with many rows, a copy of some columns is
# large, and the curvature of a sample serves prox-newton well.
WORKING_SET_FROM_FEATURES = 256

# prox-newton: its model is a square matrix of at most this size. Beyond, working-set uses coordinate descent,
# or fista where columns cannot be accessed one by one.
PROX_NEWTON_UP_TO_SIZE = 2000


# newton-cholesky: up to this many numbers in X and multiplications for a Hessian, its steps take less time
# than the choice among solvers; `small` then also avoids the overhead of the driver. Weighting the rows for a
# pair of classes takes as long as a constant number of multiplications per row.
FEW_NUMBERS = 1 << 16
FEW_PRODUCTS = 1 << 23
PRODUCTS_FOR_A_PAIR = 64


def few(n_rows, n_features, n_outputs):
    """Whether X is so small that the arithmetic of a Newton step costs almost nothing."""
    size, pairs = (n_features + 1) * n_outputs, n_outputs * (n_outputs + 1) // 2
    products = (n_rows + size) * size * size + PRODUCTS_FOR_A_PAIR * n_rows * pairs
    return 0 < n_rows * n_features <= FEW_NUMBERS and products <= FEW_PRODUCTS


def choose_solver(
    n_features,
    n_rows=0,
    nbytes=0,
    penalised=True,
    n_outputs=1,
    l1=False,
    strength=lambda: math.inf,
    seen=lambda: None,
    gathers=False,
    by_levels=lambda: math.inf,
):
    """Return the name of the solver that "auto" stands for, and the reason.

    `strength` is a function () -> C times the mean of ‖x‖², inf where dual coordinate ascent is not offered;
    `seen` is a function () -> costs.Seen, None where nothing is known of the rows; `gathers` says whether
    some columns of X can be copied into memory; `by_levels` is a function () -> the number of products with
    the Hessian that take as long as a Newton step that eliminates the levels of a category, inf where that is
    not possible.
    """
    size = n_features * n_outputs
    if l1:
        return _under_l1(n_features, n_rows, n_outputs, gathers)
    what = f"{n_features} features" + (f" x {n_outputs} classes" if n_outputs > 1 else "")
    if few(n_rows, n_features, n_outputs):
        return "newton-cholesky", f"{what}, {n_rows} rows: so few that a Hessian costs almost nothing"
    tall = nbytes >= SAMPLE_FROM_BYTES and _is_tall(n_features, n_rows, n_outputs)
    look = seen()
    levels = look is not None and look.layout == "sparse" and penalised and nbytes >= SAMPLE_FROM_BYTES
    if levels and by_levels() <= LEVELS_AT_ONCE:
        return "newton-cg", f"{what}, most of them levels of one category: eliminated, they cost little"
    known = look is not None and look.entries <= costs.ENTRIES_UP_TO[look.layout]
    if known and not (tall and look.layout == "sparse"):  # real one-hot columns are worse than random ones
        if size > NEWTON_UP_TO_FEATURES and penalised and n_outputs == 1:
            if (moderate := strength()) <= DUAL_UP_TO_STRENGTH:
                return "dual", _epochs(moderate)
        name = costs.cheapest(n_rows, n_features, n_outputs, penalised, look)
        return name, f"{what}, {n_rows} rows, C·Σ‖x − x̄‖² of {look.curvature:.2g}: the least work"
    if tall:
        per_feature = n_rows / n_features
        return "newton-subsampled", f"{per_feature:.0f} rows per feature: a sample shows the curvature"
    return _by_shape(what, n_features, n_rows, penalised, n_outputs, strength)


def _under_l1(n_features, n_rows, n_outputs, gathers):
    size = n_features * n_outputs
    wide = n_features >= WORKING_SET_FROM_FEATURES and n_rows < SAMPLE_FROM_ROWS * n_features
    wide = wide or (n_outputs == 1 and size > PROX_NEWTON_UP_TO_SIZE)
    name = "prox-newton" if size <= PROX_NEWTON_UP_TO_SIZE else "fista"
    return "working-set" if wide and gathers else name, f"{size} weights under an L1 penalty"


def _is_tall(n_features, n_rows, n_outputs):
    """Whether a sample is a small part of the rows, and its Hessian takes less than the reads it saves."""
    size = n_features * n_outputs
    most = SAMPLE_UP_TO_FEATURES if n_outputs == 1 else SAMPLE_UP_TO_FEATURES_OF_CLASSES
    wanted = SAMPLE_FROM_ROWS * (size if size <= SAMPLE_BY_PARAMETERS_UP_TO else n_features)
    return n_rows >= wanted and n_features <= most


def _by_shape(what, n_features, n_rows, penalised, n_outputs, strength):
    """The rules for an X that is neither tall nor small."""
    dear = n_outputs > 1 and _hessian_beside_products(n_features, n_outputs) > NEWTON_UP_TO_PRODUCTS
    if n_features * n_outputs <= NEWTON_UP_TO_FEATURES and not dear:
        return "newton-cholesky", f"{what}: the Hessian is cheap to factor"
    few_rows = n_rows * n_outputs <= ROW_SPACE_UP_TO_ROWS and n_features >= ROW_SPACE_FROM_WIDTH * n_rows
    if penalised and few_rows:
        return "row-space", f"{n_rows} rows: as many unknowns as rows are enough"
    if penalised and n_outputs == 1 and (moderate := strength()) <= DUAL_UP_TO_STRENGTH:
        return "dual", _epochs(moderate)
    if products_alone(n_features, n_rows, n_outputs) == "lbfgs":
        return "lbfgs", f"{what}, {n_rows} rows: no Hessian is worth its cost"
    return "newton-cg", f"{what}: the Hessian is expensive to factor, its products are not"


def _epochs(strength):
    return f"C times the mean of ‖x‖² is {strength:.2g}: few epochs are needed"


def _hessian_beside_products(n, K):
    """The time of a Hessian of K classes relative to that of a dozen products with it, both in ns per row.

    A block of the Hessian, one for each pair of classes, takes n² flops per row, and first a copy of the row,
    weighted; a product takes 4·n flops for each class, and exponentials. The rates were fitted to generated
    data such that the faster of the two methods is chosen.
    """
    return K * (n * n / 60 + 1.5 * n + 10) / (10 * n + 240)


def products_alone(n_features, n_rows, n_outputs=1):
    """Return the name of the solver to use where no Hessian may be formed."""
    return "lbfgs" if n_outputs == 1 and n_features >= LBFGS_FROM_WIDTH * n_rows else "newton-cg"
