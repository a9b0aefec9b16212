"""Options of a fit with a value for each column."""

import dataclasses

import numpy as np

from .data.convert import to_host
from .solvers import projected_newton, row_space

_SIGNS = {"+": (0.0, np.inf), "-": (-np.inf, 0.0)}


def penalty_factors(model, n_features):
    """Return the factor of the penalty of each column, (n_features,), or None if all are 1.

    Raises
    ------
    ValueError
        `penalty_factor` has the wrong length, names that are not columns, or numbers below 0 or not finite.
    """
    given = model.penalty_factor
    if given is None:
        return None
    if isinstance(given, dict):
        factors = np.ones(n_features)
        for name, value in given.items():
            factors[column_called(model, name, "penalty_factor")] = _number(value)
    else:
        try:
            factors = np.asarray(to_host(given), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`penalty_factor` must be numbers, one per column: {error}.") from error
    if factors.shape != (n_features,):
        raise ValueError(
            f"`penalty_factor` has shape {factors.shape}; expected one number per column, ({n_features},)."
        )
    bad = ~np.isfinite(factors) | (factors < 0)
    if bad.any():
        j = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"`penalty_factor` has {factors[j]} for column {j}; expected finite numbers of at least 0."
        )
    return factors


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def column_called(model, name, option):
    """The number of a column that an option names.

    Raises
    ------
    ValueError
        There is no such column, or columns have no names.
    """
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        raise ValueError(f"`{option}` names {name!r}, and the columns of `X` have no names; give an array.")
    found = np.flatnonzero(names == name)
    if len(found) != 1:
        raise ValueError(
            f"`{option}` names {name!r}, which is not a column of `X`; columns are {names[:10].tolist()}."
        )
    return int(found[0])


def check_solver(solver, plain):
    """Raise ValueError for a solver that cannot take the options of a fit."""
    if not plain and isinstance(solver, row_space):
        raise ValueError(
            "`solver` is 'row-space', which takes one penalty for all columns, not `penalty_factor` or "
            "`standardize`; use solver='newton-cg' or 'auto'."
        )


def strengths(factors, scale, n_features):
    """Return the factors of the L2 and of the L1 penalty of each column, two arrays (n_features,).

    If a column is divided by s, its weight is multiplied by s: the penalties of that are s²·w² and s·|w|.
    """
    f = np.ones(n_features) if factors is None else factors
    s = 1.0 if scale is None else scale
    return f * s * s, f * s


def by_weight(penalty, factors, scale, n_features, k, fit_intercept):
    """A penalty with separate strengths for the weights of a point of k outputs, if columns differ in
    strength."""
    if (factors is None and scale is None) or not penalty.there:
        return penalty
    of_l2, of_l1 = (np.repeat(part, k) for part in strengths(factors, scale, n_features))
    intercepts = np.ones(k if fit_intercept else 0)
    fixed = np.append(np.zeros(len(of_l2), dtype=bool), intercepts == 1)
    return penalty.by_weight(np.append(of_l2, intercepts), np.append(of_l1, intercepts), fixed)


# -- bounds --------------------------------------------------------------------------------------------------


def solver_asked(model):
    """The solver of a fit; bounds require projected-newton.

    Raises
    ------
    ValueError
        Bounds with an L1 penalty, or with a solver that cannot handle them.
    """
    if model.bounds is None:
        return model.solver
    if model.l1_ratio > 0 and model.C < np.inf:
        raise ValueError(
            "`bounds` cannot be combined with an L1 penalty (`l1_ratio` above 0); expected l1_ratio=0."
        )
    if isinstance(model.solver, projected_newton) or model.solver in ("auto", "projected-newton"):
        return "projected-newton" if isinstance(model.solver, str) else model.solver
    raise ValueError(
        f"`solver` is {model.solver!r}, which cannot handle `bounds`; expected 'auto' or 'projected-newton'."
    )


def bounds_of(model, n_features):
    """(lower, upper) of the weight of each column, two arrays (n_features,).

    Raises
    ------
    ValueError
        The wrong form or length, names that are not columns, NaN, or a lower bound above the upper one.
    """
    given = model.bounds
    lower, upper = np.full(n_features, -np.inf), np.full(n_features, np.inf)
    if isinstance(given, dict):
        for name, value in given.items():
            j = column_called(model, name, "bounds")
            lower[j], upper[j] = _pair(_SIGNS.get(value, value) if isinstance(value, str) else value, name)
    else:
        for bound, side in zip((lower, upper), _pair(given, None), strict=True):
            try:
                bound[:] = np.asarray(to_host(side), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"`bounds` must be a number, or ({n_features},) numbers, on each side: {error}."
                ) from error
    crossing = ~(lower <= upper) | (lower == np.inf) | (upper == -np.inf)  # or NaN
    if crossing.any():
        j = int(np.flatnonzero(crossing)[0])
        raise ValueError(
            f"`bounds` of column {j} are {lower[j]} and {upper[j]}; expected lower <= upper, and a number "
            "between them."
        )
    return lower, upper


def _pair(value, name):
    """The two sides of a bound."""
    whose = "`bounds`" if name is None else f"`bounds` of {name!r}"
    try:
        lower, upper = value
        lower, upper = -np.inf if lower is None else lower, np.inf if upper is None else upper
        return (lower, upper) if name is None else (float(lower), float(upper))
    except (TypeError, ValueError):
        form = "(lower, upper), or a dict of names" if name is None else "(lower, upper), '+' or '-'"
        raise ValueError(f"{whose} is {repr(value)[:80]}; expected {form}.") from None


def between_bounds(model, rows, solver, k):
    """Rows and solver of a fit with bounds: sums in float64, and a box for its points."""
    if model.bounds is None:
        return rows, solver
    if not rows.in_memory:
        raise TypeError(f"`bounds` need rows in memory, not {type(rows).__name__}; pass arrays.")
    lower, upper = bounds_of(model, rows.n_features)
    free = np.full(k if model.fit_intercept else 0, np.inf)
    box = np.append(np.repeat(lower, k), -free), np.append(np.repeat(upper, k), free)
    rows = rows.in_float64(bool(model.fit_intercept)) or rows
    rows.rounds_to = np.dtype(np.float64)  # a weight that is rounded may leave the box
    return rows, dataclasses.replace(solver, box=box)
