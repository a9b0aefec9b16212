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
        warn_separable(model, [solution], 1, len(model.classes_), stacklevel + 1)
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


def warn_separable(model, separable, n_models, n_classes, stacklevel):
    """Give a ConvergenceWarning about the Solutions of separable classes, out of those of so many models."""
    everywhere = not np.isfinite(model.C) or model.penalty_factor is None
    why, penalty = ("C is inf", "a finite C") if everywhere else ("some have no penalty", "a penalty for all")
    which = (
        "The classes are" if n_models == 1 else f"The classes of {len(separable)} of {n_models} models are"
    )
    firth = " or `firth`" if n_classes == 2 else ""  # which has no model of several classes
    words = words_of_separating(model, separable)
    warnings.warn(
        f"{which} separable and {why}: the loss has no minimum and falls as the weights of "
        f"{words} grow; the weights returned are those where the solver stopped. "
        f"Use {penalty}{firth}, or leave these columns out.",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )


def separating(model, solution):
    """The columns that separate classes, (n_features,) of bool; None if they are not known."""
    if solution.separating is None:  # also if a budget ended the search for them
        return None
    n = model.n_features_in_
    return solution.separating.reshape(n + bool(model.fit_intercept), -1)[:n].any(axis=1)


def words_of_separating(model, solutions, most=10):
    """The columns that separate classes in some Solutions, as words for a message: by name where they have
    one."""
    found = [one for solution in solutions if (one := separating(model, solution)) is not None]
    if not found:
        return "some columns"
    numbers = np.flatnonzero(np.any(found, axis=0))
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
