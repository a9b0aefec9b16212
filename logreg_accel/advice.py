"""Warnings about fits that ended early: the reason, the columns that cause it, and what to try."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from . import driver
from .solvers import questions as ask


def warn(model, fitted, stacklevel):
    """Give a ConvergenceWarning if the fit ended above `tol`: the solver, tol, reads, and what to try."""
    solution, solver = fitted.solution, fitted.solver
    if solution.status == driver.SEPARABLE:
        none = not np.isfinite(model.C)
        why, penalty = ("C is inf", "a finite C") if none else ("some have no penalty", "a penalty for all")
        firth = " or `firth`" if len(model.classes_) == 2 else ""  # which has no model of several classes
        warnings.warn(
            f"The classes are separable and {why}: the loss has no minimum and falls as the weights of "
            f"{_separating(model, solution)} grow; the weights returned are those where the solver stopped. "
            f"Use {penalty}{firth}, or leave these columns out.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
        return
    floor = max(model.tol, driver.HIGH_FLOOR)
    high_floor = solution.status == ask.NOISE_FLOOR and not solution.bound <= floor
    if high_floor or solution.status not in driver.SATISFIED:
        warnings.warn(
            f"Solver {solver!s} stopped ({solution.status}) after {solution.n_passes:.4g} passes at an "
            f"estimated relative suboptimality of {solution.suboptimality:.2g} (proven: "
            f"{solution.bound:.2g}), above `tol`={model.tol:g}. "
            f"{_advice(model, fitted)}",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )


def separating(model, solution):
    """The columns that separate classes, (n_features,) of bool; None if they are not known."""
    if solution.separating is None:  # also if a budget ended the search for them
        return None
    return solution.separating.reshape(-1, model.coef_.shape[0])[: model.coef_.shape[1]].any(axis=1)


def _separating(model, solution, most=10):
    """The columns that separate classes, as words for a message: by name where they have one."""
    found = separating(model, solution)
    if found is None:
        return "some columns"
    numbers = np.flatnonzero(found)
    names = getattr(model, "feature_names_in_", None)
    words = [f"column {j}" if names is None else repr(str(names[j])) for j in numbers[:most]]
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return (", ".join(words) or "the intercept") + more


def _advice(model, fitted):
    lower = f"Lower the step of {fitted.solver!s}, or leave it at its default 1/L, which is safe."
    remedies = "scale the columns, pass float64 or use solver='newton-cholesky'"
    if fitted.solver == "newton-cholesky":
        remedies = "scale the columns, pass float64 or leave out columns that are combinations of others"
    scale = f"Rounding hides any further descent: {remedies}."
    takes_more = "Raise `n_iter_no_change`, lower `step`, or use solver='auto': it takes a handful of reads."
    more_steps = f"Raise `max_iter` (now {model.max_iter}), scale the columns, or try another solver."
    return {
        ask.NOISE_FLOOR: lower if fitted.solver == "gd" else scale,
        ask.STALLED: takes_more,
        driver.MAX_ITER: more_steps,
        driver.MAX_PASSES: f"Raise `max_passes` (now {model.max_passes}).",
        driver.MAX_SECONDS: f"Raise `max_seconds` (now {model.max_seconds}).",
    }.get(fitted.solution.status, lower)
